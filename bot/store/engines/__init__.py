"""The two databases: how each is reached, locked and written to, and what its failures mean.

It must not know any table but the revision's.
"""
