"""The two databases: connections, locks, transactions, and the meaning of their failures.

It must not know any table but the revision's.
"""
