"""Huawei Cloud Live over HTTP: `ports.Cloud` for flows.

Owns the endpoints, the deadline of a try, and what is kept of a reply. Its only retry is one with a new token after a
refused one; the caller decides what any other failure means. Must not know approvals, Slack or the store; httpx and the
vendor's names stop here.

Source: the vendor's Media Live API reference, pages ListFlows, ShowFlowDetail and "Stopping a Flow Task".
"""

import asyncio
import dataclasses
import functools
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import httpx

from bot.cloud import auth, bodies, wire
from bot.cloud.budget import CALLS, READS, Budget
from bot.cloud.pools import Pools
from bot.cloud.tokens import Tokens
from bot.commands.verbs import CHANGES, Verb
from bot.lifecycle import call_outcome, records
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.policy.model import Project
from bot.settings.credentials import Credentials, IamUser
from bot.usecases import ports
from bot.usecases.ports import Purpose

TIMEOUT: Final = 10.0
"""Maximum seconds for one try, from connecting to the last byte of the reply."""

PAGE: Final = 100
MAX_PAGES: Final = 50

_DIRECT: Final[Mapping[str, None]] = {
    "http://": None,  # plain HTTP is for loopback only, under whatever name
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Call:
    """One call before authentication; `deadline` is by the event loop's clock."""

    project: Project
    method: str
    url: str
    purpose: Purpose
    deadline: float


def open_client() -> Pools:
    """Return the clients of all projects; the caller closes them.

    The environment's proxy and certificate variables apply, since many companies allow no other way out; loopback never
    goes through a proxy, which would take it for its own.
    """
    trusted = _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    def open_one() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"User-Agent": "flowbot", "Accept": "application/json"},
            follow_redirects=False,
            trust_env=True,
            verify=trusted,
            mounts=dict(_DIRECT),
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=5, keepalive_expiry=30.0),
        )

    return Pools(open_one)


@functools.cache
def _trusted(file: str | None, directory: str | None) -> ssl.SSLContext:
    """Read the certificates that httpx trusts with these variables: that takes longer than all else of a start."""
    return httpx.create_ssl_context(trust_env=True)


class LiveClient:
    """`ports.Cloud` over HTTP. Failures of the network or the cloud are returned as values, never raised.

    `credentials` is called for each try with the project's name; `now` returns seconds since the epoch (UTC); `timeout`
    is in seconds. Reads for people are refused once they have used up their share of the budget; all other calls are
    always sent. Each project has separate connections for reads and for calls.
    """

    def __init__(
        self,
        pools: Pools,
        *,
        credentials: Callable[[], Mapping[str, Credentials]],
        now: Callable[[], float],
        timeout: float = TIMEOUT,
    ) -> None:
        self._pools = pools
        self._credentials = credentials
        self._held: Mapping[str, Credentials] = {}
        self._before: Mapping[str, Credentials] = {}
        self._tokens = Tokens(pools, now=now, timeout=timeout)
        self._budgets: dict[str, Budget] = {}
        self._now = now
        self._timeout = timeout
        self._phases = wire.phases(timeout)

    async def flow(self, project: Project, flow_id: str, *, purpose: Purpose = "stop") -> records.Flow | CloudFailure:
        """Read one flow, without its secrets."""
        target = f"/flows/detail?flow_id={quote(flow_id, safe='')}"
        reply = await self._call(project, "GET", target, purpose=purpose)
        if isinstance(reply, CloudFailure):
            return reply
        fields = reply.fields()
        status = _text(fields, "status")
        if not status or not _is_about(fields, flow_id):
            return self._unreadable(reply)
        return records.Flow(
            flow_id=_text(fields, "flow_id") or flow_id,
            name=_whole(fields, "name"),
            region=_text(fields, "region"),
            status=status,
            sources=_parts(fields, "sources", protocol="protocol", health="health_status"),
            outputs=_parts(fields, "outputs", protocol="type", health=None),
        )

    async def flows(self, project: Project, *, purpose: Purpose = "stop") -> tuple[ports.FlowName, ...] | CloudFailure:
        """Read the names of all flows, page by page. All pages together are one try; each page counts as a call."""
        deadline = self._deadline()
        found: dict[str, ports.FlowName] = {}
        for page in range(MAX_PAGES):
            target = f"/flows?limit={PAGE}&offset={page * PAGE}"
            reply = await self._call(project, "GET", target, purpose=purpose, deadline=deadline)
            if isinstance(reply, CloudFailure):
                return reply
            fields = reply.fields()
            rows = fields.get("flows")
            if not isinstance(rows, list):
                return self._unreadable(reply)
            before = len(found)
            for name in _names(rows):
                found.setdefault(name.flow_id, name)  # the list may shift between two pages
            total = fields.get("total")
            if len(found) == before or (isinstance(total, int) and page * PAGE + len(rows) >= total):
                return tuple(found.values())
        # A truncated list would make a flow look as if it did not exist.
        return CloudFailure(
            fault=Fault.UNCERTAIN, message=f"the list of flows did not end after {MAX_PAGES} pages of {PAGE}"
        )

    async def change(self, project: Project, flow_id: str, verb: Verb) -> call_outcome.Accepted | CloudFailure:
        """Call once what a changing verb does to a flow."""
        # No body, and no content type for one: the gateway would hash what was not signed.
        reply = await self._call(project, "PUT", f"/flows/{CHANGES[verb].call}?flow_id={quote(flow_id, safe='')}")
        if isinstance(reply, CloudFailure):
            return reply
        fields = reply.fields()
        status = _text(fields, "status")
        if not status or not _is_about(fields, flow_id):
            return self._unreadable(reply)
        return call_outcome.Accepted(
            status=status, request_id=bodies.request_id(reply.headers, secrets=self._secrets())
        )

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

    async def _call(
        self, project: Project, method: str, target: str, *, purpose: Purpose = "stop", deadline: float | None = None
    ) -> wire.HttpReply | CloudFailure:
        """Make one try with the current credentials; fetching a token counts towards its time."""
        held = self._look().get(project.name)
        if held is None:
            return CloudFailure(
                fault=Fault.CREDENTIALS, message=f"there are no credentials for the project {project.name}"
            )
        # The URL is already encoded: httpx's `params` would turn a space into "+".
        url = f"{project.endpoint}/v1/{quote(project.project_id, safe='')}{target}"
        deadline = self._deadline() if deadline is None else deadline
        call = _Call(project=project, method=method, url=url, purpose=purpose, deadline=deadline)
        budget = self._budget(held)
        if isinstance(held, IamUser):
            return await self._with_token(call, held, budget)
        signer = auth.KeySigner(held, project_id=project.project_id, now=self._now)
        return await self._send(call, signer, budget)

    async def _with_token(self, call: _Call, user: IamUser, budget: Budget) -> wire.HttpReply | CloudFailure:
        """Send with a token, and once more with a new one if it was refused: Live has not seen the call then."""
        token = await self._tokens.token(call.project, user, deadline=call.deadline)
        if isinstance(token, CloudFailure):
            return token
        reply = await self._send(call, auth.TokenBearer(token, project_id=call.project.project_id), budget)
        if not isinstance(reply, CloudFailure) or not bodies.refuses_token(reply):
            return reply
        token = await self._tokens.another(call.project, user, refused=token, deadline=call.deadline)
        if isinstance(token, CloudFailure):
            return token
        return await self._send(call, auth.TokenBearer(token, project_id=call.project.project_id), budget)

    async def _send(self, call: _Call, proof: httpx.Auth, budget: Budget) -> wire.HttpReply | CloudFailure:
        now = self._now()
        if call.purpose == "read" and budget.reads_left(now) == 0:
            limit = f"flowbot's own limit: reads may use at most {READS} of the {CALLS} calls per minute"
            return CloudFailure(fault=Fault.THROTTLED, message=limit, retry_after=budget.wait(now))
        budget.spend(call.purpose, now=now)
        try:
            async with asyncio.timeout_at(call.deadline):
                client = self._pools.of(call.project.name, call.purpose)
                request = client.build_request(call.method, call.url, timeout=self._phases)
                reply = await wire.exchange(client, request, auth=proof)
        except wire.NEVER_SENT as error:
            return wire.lost(Fault.NEVER_SENT, error, secrets=self._secrets())
        except TimeoutError:
            return CloudFailure(fault=Fault.UNCERTAIN, message=f"no answer within {self._timeout:g} seconds")
        except httpx.HTTPError as error:
            return wire.lost(Fault.UNCERTAIN, error, secrets=self._secrets())
        if reply.succeeded:
            return reply
        return bodies.failure(reply.http_status, reply.headers, reply.body, secrets=self._secrets())

    def _look(self) -> Mapping[str, Credentials]:
        found = self._credentials()
        if found != self._held:
            self._before, self._held = self._held, found
        return found

    def _budget(self, held: Credentials) -> Budget:
        """Return the account's budget; projects with the same credentials share it, even after these are replaced."""
        account = next(name for name, other in self._held.items() if other == held)
        return self._budgets.setdefault(account, Budget())

    def _secrets(self) -> tuple[str, ...]:
        # The secrets of every project, since they may share a gateway, and of credentials just replaced, since the
        # reply may be to a call made with them.
        known = {secret for held in (self._before, self._held) for each in held.values() for secret in each.secrets()}
        return (*known, *self._tokens.secrets())

    def _unreadable(self, reply: wire.HttpReply) -> CloudFailure:
        return bodies.unreadable(reply.http_status, reply.headers, reply.body, secrets=self._secrets())


def _text(fields: Mapping[str, object], name: str) -> str:
    return _whole(fields, name)[:200]


def _whole(fields: Mapping[str, object], name: str) -> str:
    """Return a text at its full length: rules match a flow's whole name."""
    value = fields.get(name)
    return bodies.plain(value).strip() if isinstance(value, str) else ""


def _is_about(fields: Mapping[str, object], flow_id: str) -> bool:
    # The reply's flow must be ours; ids are hex, which people also type in capitals.
    named = _text(fields, "flow_id")
    return not named or named.casefold() == flow_id.casefold()


def _names(rows: list[object]) -> list[ports.FlowName]:
    found = [row for row in rows if isinstance(row, dict) and _text(row, "flow_id")]
    return [
        ports.FlowName(flow_id=_text(row, "flow_id"), name=_whole(row, "name"), status=_text(row, "status"))
        for row in found
    ]


def _parts(fields: Mapping[str, object], name: str, *, protocol: str, health: str | None) -> tuple[records.Part, ...]:
    """Keep what may be shown of sources and outputs, field by field: a source also contains its passphrase."""
    rows = fields.get(name)
    return tuple(
        records.Part(
            name=_text(row, "name"), protocol=_text(row, protocol), health=_text(row, health) if health else ""
        )
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    )
