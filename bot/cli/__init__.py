"""The command line: what an operator types on the host, its exit codes, and how a failure reads there.

A module for each group of commands. It must not decide anything, and imports a heavy module only in the command that
uses it.
"""
