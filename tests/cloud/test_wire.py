"""One exchange: how much of a reply is read, and the failure for a lost one."""

import asyncio

import httpx
import pytest

from bot.cloud import wire
from bot.lifecycle.cloud_failure import Fault

from .test_client import peer


async def test_a_reply_is_read_up_to_a_length_that_none_of_ours_has() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    async with peer(flood) as endpoint, httpx.AsyncClient(trust_env=False) as http:
        reply = await wire.exchange(http, http.build_request("GET", endpoint))
    assert wire.MAX_BODY < len(reply.body) < 2 * wire.MAX_BODY


async def test_a_redirect_is_a_reply_and_nothing_more() -> None:
    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")

    async with peer(elsewhere) as endpoint, httpx.AsyncClient(trust_env=False, follow_redirects=True) as http:
        reply = await wire.exchange(http, http.build_request("GET", endpoint))
    assert (reply.http_status, reply.succeeded) == (307, False)


@pytest.mark.parametrize(
    ("body", "fields"),
    [(b'{"a":1}', {"a": 1}), (b"[1]", {}), (b"", {}), (b'{"a":', {}), (b"\xff", {}), (b"[" * 100_000, {})],
)
def test_a_body_that_is_no_object_has_no_fields(body: bytes, fields: dict[str, object]) -> None:
    assert wire.HttpReply(http_status=200, headers=httpx.Headers(), body=body).fields() == fields


def test_a_reply_does_not_print_what_may_be_secret() -> None:
    reply = wire.HttpReply(http_status=201, headers=httpx.Headers({"X-Subject-Token": "s3cr3t"}), body=b"s3cr3t")
    assert "s3cr3t" not in f"{reply!r} {reply}"


def test_what_is_said_of_a_loss_quotes_no_secret_and_no_header() -> None:
    quoted = wire.lost(Fault.UNCERTAIN, httpx.ReadError("s3cr3t hung up"), secrets=["s3cr3t"])
    assert quoted.message == "ReadError: [redacted] hung up"
    header = wire.lost(Fault.UNCERTAIN, httpx.LocalProtocolError("Illegal header value b'other'"), secrets=[])
    assert header.message == "LocalProtocolError"
    assert wire.lost(Fault.UNCERTAIN, httpx.ReadError(""), secrets=[]).message == "ReadError"
