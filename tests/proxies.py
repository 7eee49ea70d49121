"""Debian's own proxies before a server of the tests: HAProxy before the bot, PgBouncer before PostgreSQL."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests import postgres

_HAPROXY = """
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    {defaults}
frontend slack
    bind fd@{listener}
    default_backend flowbot
backend flowbot
    server one 127.0.0.1:{port}
"""

_PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users.txt
pool_mode = transaction
default_pool_size = 4
server_round_robin = 1
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


def binary(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed, and fail it in CI."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed: CI needs Debian's package `{name}`")
        pytest.skip(f"{name} is not installed: Debian's package `{name}` has it")
    return found


@contextlib.contextmanager
def haproxy(port: int, directory: pathlib.Path, *, defaults: str = "") -> Iterator[str]:
    """Run HAProxy before a port of loopback, and yield its URL; `defaults` are lines of its configuration."""
    program = binary("haproxy")
    with socket.create_server(("127.0.0.1", 0)) as listener:  # who connects before it runs waits in the backlog
        config = directory / "haproxy.cfg"
        config.write_text(_HAPROXY.format(defaults=defaults, listener=listener.fileno(), port=port))
        with _running([program, "-db", "-q", "-f", str(config)], pass_fds=[listener.fileno()]):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def pgbouncer(server: postgres.Server) -> Iterator[int]:
    """Run PgBouncer, which lends sessions to transactions, before the server; yield its port."""
    program = binary("pgbouncer")
    directory = server.directory / "pgbouncer"
    directory.mkdir(exist_ok=True)
    own_port = postgres._free_port()
    (directory / "users.txt").write_text('"postgres" ""\n')
    config = directory / "pgbouncer.ini"
    config.write_text(_PGBOUNCER.format(port=server.port, own_port=own_port, directory=directory))
    with _running([program, str(config)], stderr=subprocess.PIPE, **server.user) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"process up" in line:
                break
        else:
            pytest.fail("PgBouncer has not started")
        yield own_port


@contextlib.contextmanager
def _running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    process: subprocess.Popen[bytes] = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]  # noqa: S603 - ours
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
