"""The composition root: builds the bot from its settings, serves its HTTP routes, and shuts it down in reverse.

It wires rooms together. It must not decide anything.
"""
