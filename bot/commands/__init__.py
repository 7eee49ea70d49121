"""What people send: the verbs, the grammar, Slack's own way of writing text, and deliveries as values.

Pure. It must not know which flows, projects and rules there are, nor in which words anybody is told of a problem.
"""
