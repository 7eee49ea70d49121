"""Who may do what: rules, decisions with their reasons, votes, break-glass, freezes, and why a decision is as it is.

Pure. What Slack says about people comes in, and may be "unknown", which never lets anybody do more than the truth
would. It must not know where facts come from, nor the words in which a decision is told.
"""
