"""Huawei Cloud Live over HTTP: `ports.Cloud` for flows.

Owns the endpoints, the deadline of a try, and what is kept of a reply. Repeats nothing and remembers nothing: what a
failure means for the next step is decided elsewhere. Must not know of requests for approval, of Slack, or of the store;
httpx and the vendor's spellings stop here.

Source: the vendor's Media Live API reference, pages ListFlows, ShowFlowDetail and "Stopping a Flow Task".
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import httpx

from bot import ports
from bot import request as requests
from bot.cloud import auth, bodies
from bot.errors import CloudFailure, Fault
from bot.policy import Project

TIMEOUT: Final = 10.0
"""How long one try may take, in seconds, from the first thought of connecting to the last byte of the reply."""

PAGE: Final = 100
MAX_PAGES: Final = 50
_MAX_BODY: Final = 1 << 20

_DIRECT: Final[Mapping[str, None]] = {
    "http://": None,  # plain HTTP is for loopback alone, under whatever name
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}

_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reply:
    http_status: int
    headers: httpx.Headers
    body: bytes


def open_client() -> httpx.AsyncClient:
    """Return the one client that all projects share; the caller closes it.

    The environment's proxy and certificate variables count, since many companies let nothing out without them; loopback
    never goes through a proxy, which would take it for its own.
    """
    return httpx.AsyncClient(
        headers={"User-Agent": "flowbot", "Accept": "application/json"},
        follow_redirects=False,
        trust_env=True,
        mounts=dict(_DIRECT),
        limits=httpx.Limits(max_connections=20, max_keepalive_connections=5, keepalive_expiry=30.0),
    )


class LiveClient:
    """`ports.Cloud`. Never raises what the network or the cloud does: those are failures, as values.

    `credentials` go by the project's name; `now` returns seconds since the epoch (UTC); `timeout` is in seconds.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        credentials: Mapping[str, auth.Credentials],
        now: Callable[[], float],
        timeout: float = TIMEOUT,
    ) -> None:
        self._client = client
        self._credentials = dict(credentials)
        self._now = now
        self._timeout = timeout
        # Of every project, not only the one that is called: they may share a gateway.
        self._secrets = tuple({secret for held in credentials.values() for secret in held.secrets()})
        # Connecting (an address, then TLS) and waiting for a free connection end well before the whole try does. So a
        # try that never left ends with an error that says so; past the deadline the call may have been carried out.
        self._phases = httpx.Timeout(timeout, connect=timeout * 0.3, pool=timeout * 0.2)

    async def flow(self, project: Project, flow_id: str) -> requests.Flow | CloudFailure:
        """Read one flow, without its secrets."""
        reply = await self._call(project, "GET", f"/flows/detail?flow_id={quote(flow_id, safe='')}", self._deadline())
        if isinstance(reply, CloudFailure):
            return reply
        fields = _fields(reply)
        status = _text(fields, "status")
        if not status or not _is_about(fields, flow_id):
            return self._unreadable(reply)
        return requests.Flow(
            flow_id=_text(fields, "flow_id") or flow_id,
            name=_text(fields, "name"),
            region=_text(fields, "region"),
            status=status,
            sources=_parts(fields, "sources", protocol="protocol", health="health_status"),
            outputs=_parts(fields, "outputs", protocol="type", health=None),
        )

    async def flows(self, project: Project) -> tuple[ports.FlowName, ...] | CloudFailure:
        """Read the names of all flows, page by page; all pages together are one try."""
        deadline = self._deadline()
        found: dict[str, ports.FlowName] = {}
        for page in range(MAX_PAGES):
            reply = await self._call(project, "GET", f"/flows?limit={PAGE}&offset={page * PAGE}", deadline)
            if isinstance(reply, CloudFailure):
                return reply
            fields = _fields(reply)
            rows = fields.get("flows")
            if not isinstance(rows, list):
                return self._unreadable(reply)
            before = len(found)
            for name in _names(rows):
                found.setdefault(name.flow_id, name)  # the list may shift between two pages
            total = fields.get("total")
            if len(found) == before or (isinstance(total, int) and page * PAGE + len(rows) >= total):
                return tuple(found.values())
        # A list that is cut short would let a flow look as if it did not exist.
        return CloudFailure(
            fault=Fault.UNCERTAIN, message=f"the list of flows did not end after {MAX_PAGES} pages of {PAGE}"
        )

    async def stop(self, project: Project, flow_id: str) -> ports.Accepted | CloudFailure:
        """Ask once for the flow to be stopped."""
        # No body, and no content type for one: the gateway would hash what was not signed.
        reply = await self._call(project, "PUT", f"/flows/stop?flow_id={quote(flow_id, safe='')}", self._deadline())
        if isinstance(reply, CloudFailure):
            return reply
        fields = _fields(reply)
        status = _text(fields, "status")
        if not status or not _is_about(fields, flow_id):
            return self._unreadable(reply)
        return ports.Accepted(status=status, request_id=bodies.request_id(reply.headers, secrets=self._secrets))

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

    async def _call(self, project: Project, method: str, target: str, deadline: float) -> _Reply | CloudFailure:
        held = self._credentials.get(project.name)
        if held is None:
            return CloudFailure(
                fault=Fault.CREDENTIALS, message=f"there are no credentials for the project {project.name}"
            )
        # The URL is text that is already encoded: httpx's `params` would turn a space into "+".
        url = f"{project.endpoint}/v1/{quote(project.project_id, safe='')}{target}"
        signer = auth.KeySigner(held, project_id=project.project_id, now=self._now)
        try:
            async with asyncio.timeout_at(deadline):
                reply = await self._fetch(method, url, signer)
        except (*_NEVER_SENT, httpx.InvalidURL) as error:
            return self._lost(Fault.NEVER_SENT, error)
        except TimeoutError:
            return CloudFailure(fault=Fault.UNCERTAIN, message=f"no answer within {self._timeout:g} seconds")
        except httpx.HTTPError as error:
            return self._lost(Fault.UNCERTAIN, error)
        if 200 <= reply.http_status < 300:
            return reply
        return bodies.failure(reply.http_status, reply.headers, reply.body, secrets=self._secrets)

    async def _fetch(self, method: str, url: str, signer: httpx.Auth) -> _Reply:
        request = self._client.build_request(method, url, timeout=self._phases)
        response = await self._client.send(request, auth=signer, stream=True, follow_redirects=False)
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BODY:
                    break  # no reply of ours is that long; what came of it cannot be read
        finally:
            await response.aclose()
        return _Reply(http_status=response.status_code, headers=response.headers, body=bytes(body))

    def _lost(self, fault: Fault, error: Exception) -> CloudFailure:
        # h11 quotes the header that it will not send, and that may be a key with a stray newline.
        quotable = str(error) and not isinstance(error, httpx.LocalProtocolError)
        words = f"{type(error).__name__}: {error}" if quotable else type(error).__name__
        return CloudFailure(fault=fault, message=bodies.shown(words, secrets=self._secrets))

    def _unreadable(self, reply: _Reply) -> CloudFailure:
        return bodies.unreadable(reply.http_status, reply.headers, reply.body, secrets=self._secrets)


def _fields(reply: _Reply) -> Mapping[str, object]:
    """Return the JSON object of a reply; none where it cannot be read."""
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return bodies.plain(value).strip()[:200] if isinstance(value, str) else ""


def _is_about(fields: Mapping[str, object], flow_id: str) -> bool:
    # Where the reply names a flow it must be ours; ids are hex, which people also type in capitals.
    named = _text(fields, "flow_id")
    return not named or named.casefold() == flow_id.casefold()


def _names(rows: list[object]) -> list[ports.FlowName]:
    found = [row for row in rows if isinstance(row, dict) and _text(row, "flow_id")]
    return [
        ports.FlowName(flow_id=_text(row, "flow_id"), name=_text(row, "name"), status=_text(row, "status"))
        for row in found
    ]


def _parts(fields: Mapping[str, object], name: str, *, protocol: str, health: str | None) -> tuple[requests.Part, ...]:
    """Keep what may be shown of sources and outputs, field by field: a source also carries its passphrase."""
    rows = fields.get(name)
    return tuple(
        requests.Part(
            name=_text(row, "name"), protocol=_text(row, protocol), health=_text(row, health) if health else ""
        )
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    )
