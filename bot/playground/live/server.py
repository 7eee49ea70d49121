"""A strict stand-in for Huawei Cloud Live, over real HTTP on loopback.

Owns flows with two states, the order in which a call is checked, and a journal of calls. Must not know the client: its
rules, in `live.errors`, come from the vendor's pages.

Source: the vendor's Media Live API reference, pages ListFlows, ShowFlowDetail, ModifyFlowStart, ModifyFlowStop.
"""

import asyncio
import dataclasses
import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Final, Literal, Self
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot.playground.live import errors as live_errors
from bot.playground.live import iam as live_iam
from bot.playground.live.errors import Arrived, Refusal, Trouble, Troubles
from bot.playground.live.listener import LoopbackServer
from bot.usecases import ports

AK: Final = "AKEXAMPLE0000000000A"
SK: Final = "SKEXAMPLE000000000000000000000000000000A"
IAM_USER, IAM_PASSWORD, IAM_DOMAIN = "flowbot-user", "not-for-anyone's eyes/1+1=2", "example-account"

UnknownFlow = Literal["404", "400", "generic"]

ACTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/flows"): "live:ott:listFlow",
    ("GET", "/flows/detail"): "live:ott:getFlowDetail",
    ("PUT", "/flows/stop"): "live:ott:updateFlowStatusStop",
    ("PUT", "/flows/start"): "live:ott:updateFlowStatusStart",
}
"""The IAM action of each endpoint, by method and by path after `/v1/{project_id}`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowSource:
    """A source of a flow. Live's own replies contain the passphrase too."""

    name: str
    protocol: str = "srt-listener"
    health: str = "CONNECTED"
    passphrase: str = "not-for-anyone"  # noqa: S105 -- a fake secret for tests to look for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """An output of a flow."""

    name: str
    type: str = "srt-listener"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveFlow:
    """A flow task; `status` is ACTIVE or STANDBY."""

    project_id: str
    flow_id: str
    name: str
    region: str
    status: str
    sources: tuple[FlowSource, ...]
    outputs: tuple[Output, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveCall:
    """One call in the journal. `status` is None until it is answered, and stays None if the connection was dropped."""

    number: int
    at: float
    arrived: Arrived
    identity: live_errors.Authorization | None
    status: int | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.arrived.method

    @property
    def path(self) -> str:
        """The path as sent."""
        return self.arrived.path.decode("ascii")

    @property
    def query(self) -> Mapping[str, str]:
        """The query, decoded."""
        return dict(parse_qsl(self.arrived.query.decode("ascii"), keep_blank_values=True))


class LiveStandIn:
    """Live on a loopback port, as an async context manager: `endpoint` is its base URL and that of `iam`.

    It starts with one key and one user; `add_key` and `add_user` add more. `unknown_flow` chooses the answer for a flow
    that does not exist, since the vendor's pages do not say; `limit_per_minute`, if given, is enforced by the clock.
    """

    def __init__(
        self,
        *,
        clock: ports.Clock,
        ak: str = AK,
        sk: str = SK,
        security_token: str | None = None,
        unknown_flow: UnknownFlow = "404",
        limit_per_minute: int | None = None,
    ) -> None:
        self.faults = Troubles()
        self.unknown_flow = unknown_flow
        self._clock = clock
        self._gateway = live_errors.Gateway(now=clock.now, limit_per_minute=limit_per_minute)
        self._flows: dict[tuple[str, str], LiveFlow] = {}
        self._calls: list[LiveCall] = []
        self._denied: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._listener = LoopbackServer(self._serve)
        self.iam = live_iam.Iam(clock=clock, changed=self._change)
        self.add_user(IAM_USER, IAM_PASSWORD, IAM_DOMAIN)
        self.add_key(ak=ak, sk=sk, security_token=security_token)

    async def __aenter__(self) -> Self:
        await self._listener.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.close()

    @property
    def endpoint(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def flows(self) -> Mapping[tuple[str, str], LiveFlow]:
        """The current flows, by project id and flow id."""
        return MappingProxyType(self._flows)

    @property
    def calls(self) -> tuple[LiveCall, ...]:
        """Every call received, including refused ones, in order of arrival."""
        return tuple(self._calls)

    def calls_of(self, method: str, path: str) -> tuple[LiveCall, ...]:
        """Return the calls of one endpoint; `path` is what follows `/v1/{project_id}`."""
        return tuple(call for call in self._calls if call.method == method and _split(call.arrived.path)[1] == path)

    def add_key(
        self, *, ak: str, sk: str, security_token: str | None = None, projects: Collection[str] | None = None
    ) -> None:
        """Add or change an access key; `projects` are the ids of its projects, or None for all."""
        only = None if projects is None else frozenset(projects)
        self._gateway.keys[ak] = live_errors.Key(sk=sk, security_token=security_token, projects=only)

    def add_user(self, name: str, password: str, domain: str) -> None:
        """Add an IAM user, or change a user's password, which invalidates the old tokens."""
        self.iam.add_user(name, password, domain)

    def revoke_tokens(self) -> None:
        """Invalidate every token issued so far, as a changed right or password does."""
        self.iam.revoke()

    def add_flow(
        self,
        project_id: str,
        flow_id: str,
        name: str,
        status: str = "ACTIVE",
        *,
        region: str = "ap-southeast-3",
        sources: Sequence[FlowSource] = (FlowSource(name="main"),),
        outputs: Sequence[Output] = (Output(name="out"),),
    ) -> LiveFlow:
        """Add or change a flow."""
        flow = LiveFlow(
            project_id=project_id,
            flow_id=flow_id,
            name=name,
            region=region,
            status=status,
            sources=tuple(sources),
            outputs=tuple(outputs),
        )
        self._flows[project_id, flow_id] = flow
        self._change()
        return flow

    def set_status(self, project_id: str, flow_id: str, status: str) -> None:
        """Change a flow from outside, as somebody at the cloud's console would."""
        self._flows[project_id, flow_id] = dataclasses.replace(self._flows[project_id, flow_id], status=status)
        self._change()

    def deny(self, action: str, *, status: Literal[401, 403] = 401) -> None:
        """Take an IAM action away from the key."""
        self._denied[action] = status

    def allow(self, action: str) -> None:
        """Give an IAM action back."""
        self._denied.pop(action, None)

    async def down(self) -> None:
        """Refuse connections, and close those that are open."""
        await self._listener.down()

    async def up(self) -> None:
        """Accept connections again, on the same port."""
        await self._listener.up()

    async def until(self, predicate: Callable[["LiveStandIn"], bool], timeout: float = 5) -> None:  # noqa: ASYNC109 -- its TimeoutError contains the journal
        """Wait until the predicate holds, checking after each change.

        Raises TimeoutError, with the journal, after `timeout` real seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while not predicate(self):
                    await self._changed.wait()
        except TimeoutError:
            journal = [f"{call.method} {call.path} -> {call.status}" for call in self._calls]
            raise TimeoutError(f"the condition did not hold within {timeout:g} s; calls: {journal}") from None

    def _change(self) -> None:
        # Nothing runs between the check and the wait, so no change is missed.
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, request: Request) -> Response | None:
        arrived = await _read(request)
        if arrived.path == live_iam.PATH:
            answer = await self.iam.answer(arrived)
            return None if answer is None else _response(*answer)
        number = len(self._calls)
        call = LiveCall(number=number, at=self._clock.now(), arrived=arrived, identity=live_errors.identify(arrived))
        self._calls.append(call)
        self._change()
        outcome = self._refusal(arrived) or await self._carry_out(arrived)
        if outcome is None:
            return None
        response = _response(outcome, {"X-Request-Id": f"live-{number + 1:06d}"})
        self._calls[number] = dataclasses.replace(call, status=response.status_code)
        self._change()
        return response

    def _refusal(self, arrived: Arrived) -> Refusal | None:
        """Check a call in the real service's order: route, key or token, throttle, project, right."""
        project_id, path = _split(arrived.path)
        if path not in {known for _, known in ACTIONS}:
            return live_errors.no_such_api()
        by_token = live_iam.shows_token(arrived)
        refused = self.iam.refuse(arrived) or self._gateway.throttle() if by_token else self._gateway.refuse(arrived)
        if refused is not None:
            return refused
        action = ACTIONS.get((arrived.method, path))
        if action is None:
            return live_errors.wrong_method()
        named = self.iam.projects_of(arrived) if by_token else {arrived.header("x-project-id")}
        if named != {project_id} or not (by_token or self._gateway.is_for(arrived, project_id)):
            return live_errors.wrong_project()
        return live_errors.denied(action, self._denied[action]) if action in self._denied else None

    async def _carry_out(self, arrived: Arrived) -> "_Outcome | None":
        project_id, path = _split(arrived.path)
        trouble = self.faults.take(arrived.method, path)
        if isinstance(trouble.hold, asyncio.Event):
            await trouble.hold.wait()
        elif trouble.hold is not None:
            await self._clock.sleep(trouble.hold)
        query = dict(parse_qsl(arrived.query.decode("ascii"), keep_blank_values=True))
        if path == "/flows":
            outcome = self._list(project_id, query)
        else:
            outcome = self._one(project_id, path, query.get("flow_id", ""), trouble)
        return None if trouble.drop else trouble.reply or outcome

    def _list(self, project_id: str, query: Mapping[str, str]) -> "_Outcome":
        limit, offset = query.get("limit", "10"), query.get("offset", "0")
        if not (limit.isdecimal() and 1 <= int(limit) <= 100 and offset.isdecimal()):
            return live_errors.invalid("Invalid request parameter. limit or offset")
        flows = [flow for flow in self._flows.values() if flow.project_id == project_id]
        page = itertools.islice(flows, int(offset), int(offset) + int(limit))
        return {
            "total": len(flows),
            "flows": [{**_summary(flow), "description": "", "protocol": "srt-listener"} for flow in page],
        }

    def _one(self, project_id: str, path: str, flow_id: str, trouble: Trouble) -> "_Outcome":
        flow = self._flows.get((project_id, flow_id))
        if flow is None:
            return live_errors.no_such_flow(self.unknown_flow)
        if path == "/flows/detail":
            return _detail(flow)
        wanted = "STANDBY" if path == "/flows/stop" else "ACTIVE"
        if flow.status == wanted:
            return live_errors.invalid(f"flow task is in {wanted.lower()} status")
        if trouble.effect:
            self.set_status(project_id, flow_id, wanted)
        return {"status": trouble.status or wanted, "flow_id": flow_id}


_Outcome = Refusal | dict[str, object]


def _split(path: bytes) -> tuple[str, str]:
    """Return the project id and the rest of the path; two empty strings for paths outside the API."""
    version, _, rest = path.decode("ascii").removeprefix("/").partition("/")
    project_id, slash, endpoint = rest.partition("/")
    return (project_id, slash + endpoint) if version == "v1" else ("", "")


async def _read(request: Request) -> Arrived:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
    return Arrived(
        method=request.method,
        path=request.scope["raw_path"],
        query=request.scope["query_string"],
        headers=headers,
        body=await request.body(),
    )


def _response(outcome: _Outcome, named: Mapping[str, str]) -> Response:
    """Return the response to send; `named` is the header with the request id, which some errors repeat."""
    if not isinstance(outcome, Refusal):
        return _json(outcome, 200, named)
    headers = {**named, **outcome.headers}
    if isinstance(outcome.body, str):
        return HTMLResponse(outcome.body, outcome.status, headers)
    (request_id,) = named.values()
    body = {**outcome.body, "request_id": request_id} if "request_id" in outcome.body else outcome.body
    return _json(body, outcome.status, headers)


def _json(body: object, status: int, headers: Mapping[str, str]) -> Response:
    """Return JSON in ASCII, which can hold any text: also halves of characters."""
    return Response(json.dumps(body), status, headers, "application/json")


def _summary(flow: LiveFlow) -> dict[str, object]:
    return {"name": flow.name, "region": flow.region, "flow_id": flow.flow_id, "status": flow.status}


def _detail(flow: LiveFlow) -> dict[str, object]:
    sources = [
        {
            "name": source.name,
            "protocol": source.protocol,
            "health_status": source.health,
            "decryption": {"algorithm": "aes256", "key_type": "srt-password", "passphrase": source.passphrase},
        }
        for source in flow.sources
    ]
    outputs = [{"name": output.name, "type": output.type} for output in flow.outputs]
    return {**_summary(flow), "sources": sources, "outputs": outputs}
