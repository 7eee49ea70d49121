"""The command line: the commands on the host, their exit codes and error messages.

One module for each group of commands. It must not decide anything, and each command imports its heavy modules itself.
"""
