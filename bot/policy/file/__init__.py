"""`flowbot.toml`: its text becomes a policy, or every problem in it at once, each with its line; lint and `[[cases]]`.

Pure. It must not know what a decision is used for.
"""
