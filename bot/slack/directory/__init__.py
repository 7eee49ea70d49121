"""Slack as a directory of people, user groups and channels, with answers cached and calls kept below Slack's limits.

What Slack cannot be asked is unknown. It must not know what anybody may do.
"""
