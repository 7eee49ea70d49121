"""`flowbot doctor`: looks at everything that a bot depends on, and says what is wrong and what to do about it.

The checks are pure: what was seen goes in, a finding comes out. `examination` and `delivery` ask, through the adapters.
It must change nothing anywhere, and knows nothing about requests.
"""
