"""Huawei Cloud Live: the only room that knows its API and calls it over HTTP.

Failures are returned as values. It must not know requests, rules or people.
"""
