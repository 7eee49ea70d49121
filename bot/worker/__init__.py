"""The background work: the inbox, entries and requests processed under leases, the call, and delivery to Slack.

It executes what `lifecycle.schedule` says is due. It must not decide who may do what, nor the wording of any message.
"""
