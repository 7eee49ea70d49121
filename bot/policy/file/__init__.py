"""`flowbot.toml`: parse it into a policy or into all its problems, each with its line; lint and `[[cases]]`.

Pure. It must not know what a decision is used for.
"""
