"""Slack: its deliveries in, its messages out, its directory of people."""
