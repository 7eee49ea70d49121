"""A request and its operation: states, records and transitions, what is due, and what a reply of the cloud means.

Pure functions from one record to the next; times and ids are arguments. It must not know who may do what, how records
are stored, nor how people are notified.
"""
