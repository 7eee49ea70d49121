"""How this process is set up: its settings, from the environment and files, and its log with secrets cut out.

It must not build anything, nor ask the network.
"""
