"""The settings of this process, from the environment and files, and its log, with secrets cut out.

It must not build anything or use the network.
"""
