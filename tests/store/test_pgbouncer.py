"""The store behind a real PgBouncer in transaction mode: the contract's tests of leases and races."""

import asyncio
from collections.abc import Iterator

import pytest

from bot.store import migrate, schema
from tests import postgres, proxies

from . import test_contract


@pytest.fixture(scope="module")
def pooled_port(server: postgres.Server) -> Iterator[int]:
    """Return the port of a PgBouncer in front of the server."""
    with proxies.pgbouncer(server) as port:
        yield port


@pytest.fixture
def url(server_url: str, server: postgres.Server, pooled_port: int) -> str:
    """Return the URL of an empty database behind PgBouncer."""
    return server_url.replace(f":{server.port}/", f":{pooled_port}/")


class TestRequestLeases(test_contract.TestRequestLeases):
    """As without it."""


class TestInboxLeases(test_contract.TestInboxLeases):
    """As without it."""


class TestOneTransaction(test_contract.TestOneTransaction):
    """As without it."""


async def test_it_migrates_through_the_pooler(url: str) -> None:
    assert await asyncio.to_thread(migrate.migrate, url) == schema.REVISION
