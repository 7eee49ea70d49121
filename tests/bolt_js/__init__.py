"""A small app in Bolt for JavaScript, for the tests of the stand-in for Slack: where it is, and how to install it."""

import pathlib
import shutil
from typing import Final

APP: Final = pathlib.Path(__file__).with_name("app.js")
INSTALL: Final = "npm ci --prefix tests/bolt_js"


def is_installed() -> bool:
    """Tell whether the app can run: with Node.js, and with its packages beside it."""
    return shutil.which("node") is not None and APP.with_name("node_modules").is_dir()
