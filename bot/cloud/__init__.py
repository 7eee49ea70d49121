"""Huawei Cloud Live: the only place that knows its API and speaks HTTP with it."""
