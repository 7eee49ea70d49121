"""Tests of the words; `examples` holds the values that they are made from."""
