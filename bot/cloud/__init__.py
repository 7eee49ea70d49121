"""Huawei Cloud Live: the only room that knows its API and speaks HTTP with it.

Failures leave it as values. It must not know requests, rules or people.
"""
