"""What a command, a click or a submitted modal changes: each loads what it needs, decides, and writes one change.

It owns the ports through which it asks the outside world. It must not know Slack, HTTP or SQL, and speaks to nobody:
what the asker is told goes back as a value, what the channel is told is queued on the request.
"""
