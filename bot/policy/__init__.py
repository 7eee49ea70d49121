"""Who may do what: rules, decisions with their reasons, votes, break-glass, freezes, and explanations.

Pure. Facts about people and groups are arguments and may be unknown; unknown never allows more than the truth would. It
must not know where facts come from, nor the wording of any message.
"""
