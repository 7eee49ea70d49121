"""Who types a command on the host."""

import os
import pwd


def of_user() -> str:
    """Return the login of the process's real user; for root, of whoever used sudo. Other variables never count."""
    login = pwd.getpwuid(os.getuid()).pw_name
    return (os.environ.get("SUDO_USER") or login) if os.getuid() == 0 else login
