"""Slack: its deliveries in, its messages out, its directory of people.

The only room that knows Slack's API, ids and limits; every word that a user reads is in `messages`. It must not decide
anything about requests.
"""
