"""Hypothesis for mutation testing: the same examples each time, in a process that runs every law many times."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutants",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.differing_executors],
)
