"""Commands, clicks and submitted modals: each use case loads what it needs, decides, and writes one change.

It owns the ports to the outside world. It must not know Slack, HTTP or SQL, and sends no messages: the answer is
returned as a value, and replies to the channel are queued on the request.
"""
