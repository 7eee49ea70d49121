"""Slack's Web API as the stand-in answers it: arguments, tokens, methods, refusals. It must not know the bot."""
