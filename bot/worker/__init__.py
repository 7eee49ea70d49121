"""What goes on between deliveries: the inbox, entries and requests taken up under a lease, the call, and telling Slack.

It executes what `lifecycle.schedule` says is due. It must not decide who may do what, nor find words.
"""
