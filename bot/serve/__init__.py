"""The composition root: builds the bot from its settings, serves its HTTP routes, and shuts it down in reverse.

It connects the rooms. It must not decide anything.
"""
