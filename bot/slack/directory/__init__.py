"""Slack's directory of people, user groups and channels, cached and within Slack's rate limits.

What Slack cannot be asked stays unknown. It must not know what anybody may do.
"""
