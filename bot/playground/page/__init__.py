"""The page of `flowbot playground`: a chat that looks like Slack, and a control panel beside it.

Shows what the stand-ins contain, and lets people act in them. It does not reimplement any behaviour of the bot.
"""
