"""Slack: incoming deliveries, outgoing messages, and the directory of people.

The only room that knows Slack's API, ids and limits; `messages` holds every word that a user reads. It must not decide
anything about requests.
"""
