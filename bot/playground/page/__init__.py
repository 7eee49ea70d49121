"""The page of `flowbot playground`: the workspace as people see it, and the other side of the glass beside it.

Serves what the stand-ins hold, and lets people act in them. What the bot does is nowhere in here.
"""
