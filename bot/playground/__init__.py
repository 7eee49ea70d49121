"""Stand-ins for Slack and Huawei Cloud Live, for tests, `flowbot playground` and its page."""
