"""The stand-ins for the outside world, for tests, `flowbot playground` and its page."""
