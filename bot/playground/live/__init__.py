"""A strict stand-in for Huawei Cloud Live and its IAM, over real HTTP on loopback. It must not know the bot."""
