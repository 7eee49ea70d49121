"""A request and its operation: their states and records, the steps between them, what is due, and what a reply of the
cloud means.

Pure functions from one record to the next; times and ids come in as arguments. It must not know who may do what, how
records are stored, nor how anybody is told.
"""
