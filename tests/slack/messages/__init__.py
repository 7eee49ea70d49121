"""Tests of messages; `examples` holds the values that they are made from."""
