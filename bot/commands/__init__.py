"""What people send: the verbs, the grammar, Slack's text format, and deliveries as values.

Pure. It must not know which flows, projects and rules exist, nor the wording of any message.
"""
