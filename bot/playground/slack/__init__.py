"""A strict stand-in for Slack, in process and over real sockets: see `server.SlackStandIn`.

It imports nothing of the bot outside `bot.playground`, so that it checks the bot independently.
"""
