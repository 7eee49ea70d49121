"""Find a flow in the cloud by the id or exact name that a person typed.

An id match wins; if the same text is also another flow's name, it is ambiguous.
"""

import asyncio
import dataclasses
import difflib
from typing import Final

from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Flow
from bot.policy import model
from bot.usecases import answers, ports

NAMES_FRESH: Final = 60.0
"""The maximum age in seconds of a cached list of names; the flow itself is always read again."""

NAMES_FRESHEST: Final = 5.0
"""The maximum age in seconds of a list from which it follows that no flow has a name."""

GUESS_BY: Final = 3600.0
"""The maximum age in seconds of a list that an emergency uses while the cloud cannot be read."""

CANDIDATES: Final = 5
"""How many similar flows are suggested if none matches."""

Found = Flow | answers.NoSuchFlow | answers.Unreadable
Names = tuple[ports.FlowName, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listed:
    """All flows of a project at the time `at`."""

    names: Names
    at: float


class FlowFinder:
    """Finds flows, and caches each project's names for a minute; concurrent callers share one request."""

    def __init__(self, *, cloud: ports.Cloud, clock: ports.Clock) -> None:
        self._cloud = cloud
        self._clock = clock
        self._lists: dict[str, Listed] = {}
        self._pending: dict[tuple[str, ports.Purpose], asyncio.Task[Listed | CloudFailure]] = {}

    def remembered(self, project: model.Project, typed: str) -> str | None:
        """Return the id of the only flow with this name, from the cache alone."""
        known = self._lists.get(project.name)
        if known is None or not 0 <= self._clock.now() - known.at < NAMES_FRESH:
            return None
        matches = [name.flow_id for name in known.names if typed in (name.name, name.flow_id)]
        return matches[0] if len(matches) == 1 else None

    async def listed(self, project: model.Project, *, max_age: float = NAMES_FRESH) -> Listed | CloudFailure:
        """Return all flows of the project, from a list of at most this age; concurrent callers share one request."""
        return await self._names(project, max_age=max_age, purpose="read")

    async def find(
        self, project: model.Project, typed: str, *, purpose: ports.Purpose = "stop", freshest: bool = True
    ) -> Found:
        """Return the flow with this id or exact name, as the cloud describes it now, or why there is none.

        Whether there is none is decided by the `freshest` names, or otherwise by the cached ones.
        """
        by_id = await self._cloud.flow(project, typed, purpose=purpose)
        if isinstance(by_id, Flow):
            return await self._unless_a_name_too(project, typed, by_id, purpose=purpose)
        if by_id.fault not in (Fault.NOT_FOUND, Fault.REJECTED):
            return answers.Unreadable(typed=typed, project=project.name, failure=by_id)
        return await self._by_name(project, typed, purpose=purpose, freshest=freshest)

    async def find_or_guess(self, project: model.Project, typed: str, *, purpose: ports.Purpose = "stop") -> Found:
        """Find the flow like `find`; if it cannot be read, guess it from the names, or take the typed text as its id.

        For emergencies. A guess has no status, and no name if none is known.
        """
        names = self._names(project, max_age=NAMES_FRESHEST, purpose=purpose)
        found, listed = await asyncio.gather(self.find(project, typed, purpose=purpose), names)
        if not isinstance(found, answers.Unreadable):
            return found
        fresh = not isinstance(listed, CloudFailure)
        known = self._lists.get(project.name) if isinstance(listed, CloudFailure) else listed
        lately = known is not None and self._clock.now() - known.at <= GUESS_BY
        return _guess(project, typed, known.names if known is not None and lately else (), all_there_are=fresh)

    async def _unless_a_name_too(
        self, project: model.Project, typed: str, flow: Flow, *, purpose: ports.Purpose
    ) -> Found:
        listed = await self._names(project, purpose=purpose)
        if isinstance(listed, CloudFailure):
            return flow
        twins = [name for name in listed.names if name.name == typed and name.flow_id != flow.flow_id]
        if not twins:
            return flow
        both = ((flow.flow_id, flow.name), *((twin.flow_id, twin.name) for twin in twins))
        return answers.NoSuchFlow(typed=typed, project=project.name, candidates=both[:CANDIDATES], ambiguous=True)

    async def _by_name(self, project: model.Project, typed: str, *, purpose: ports.Purpose, freshest: bool) -> Found:
        """Look in the cached names first, and in fresh ones before reporting that there is no such flow."""
        found = await self._in_names(project, typed, max_age=NAMES_FRESH, purpose=purpose)
        if isinstance(found, answers.NoSuchFlow) and not found.ambiguous and freshest:
            return await self._in_names(project, typed, max_age=NAMES_FRESHEST, purpose=purpose)
        return found

    async def _in_names(self, project: model.Project, typed: str, *, max_age: float, purpose: ports.Purpose) -> Found:
        listed = await self._names(project, max_age=max_age, purpose=purpose)
        if isinstance(listed, CloudFailure):
            return answers.Unreadable(typed=typed, project=project.name, failure=listed)
        matches = [name for name in listed.names if name.name == typed]
        nothing = answers.NoSuchFlow(typed=typed, project=project.name, candidates=_nearest(typed, listed.names))
        if not matches:
            return nothing
        if len(matches) > 1:
            several = tuple((match.flow_id, match.name) for match in matches[:CANDIDATES])
            return dataclasses.replace(nothing, candidates=several, ambiguous=True)
        flow = await self._cloud.flow(project, matches[0].flow_id, purpose=purpose)
        if isinstance(flow, CloudFailure):
            return answers.Unreadable(typed=typed, project=project.name, failure=flow)
        if flow.name == typed:
            return flow
        self._lists.pop(project.name, None)  # the flow was renamed: drop the cached list
        return nothing

    async def _names(
        self, project: model.Project, *, max_age: float = NAMES_FRESH, purpose: ports.Purpose
    ) -> Listed | CloudFailure:
        known = self._lists.get(project.name)
        if known is not None and self._clock.now() - known.at < max_age:
            return known
        # A stop does not wait for a list that a read command requested: the cloud may delay that one.
        shared: tuple[ports.Purpose, ...] = ("stop",) if purpose == "stop" else ("stop", "read")
        under_way = (self._pending[project.name, other] for other in shared if (project.name, other) in self._pending)
        return await asyncio.shield(next(under_way, None) or self._begin(project, purpose))

    def _begin(self, project: model.Project, purpose: ports.Purpose) -> asyncio.Task[Listed | CloudFailure]:
        key = project.name, purpose
        self._pending[key] = reading = asyncio.create_task(self._read(project, purpose))
        reading.add_done_callback(lambda _: self._pending.pop(key))
        return reading

    async def _read(self, project: model.Project, purpose: ports.Purpose) -> Listed | CloudFailure:
        names = await self._cloud.flows(project, purpose=purpose)
        if isinstance(names, CloudFailure):
            return names
        self._lists[project.name] = listed = Listed(names=names, at=self._clock.now())
        return listed


def _guess(project: model.Project, typed: str, names: Names, *, all_there_are: bool) -> Flow | answers.NoSuchFlow:
    """Guess the flow that cannot be read: by the list of names, or with the typed text as its id."""
    matches = [name for name in names if typed in (name.flow_id, name.name)]
    if len(matches) > 1 or (all_there_are and not matches):
        several = tuple((match.flow_id, match.name) for match in matches[:CANDIDATES])
        near = several or _nearest(typed, names)
        return answers.NoSuchFlow(typed=typed, project=project.name, candidates=near, ambiguous=bool(several))
    flow_id, name = (matches[0].flow_id, matches[0].name) if matches else (typed, "")
    return Flow(flow_id=flow_id, name=name, region=project.region, status="")


def _nearest(typed: str, names: Names) -> tuple[tuple[str, str], ...]:
    """Return the flows most similar to the typed text; those that contain it come first."""
    wanted = typed.casefold()
    contain = [name for name in names if wanted in name.name.casefold() or wanted in name.flow_id.casefold()]
    spelled = {name.name.casefold(): name for name in reversed(names)}
    similar = [spelled[close] for close in difflib.get_close_matches(wanted, spelled, n=CANDIDATES)]
    ordered = {name.flow_id: name.name for name in (*contain, *similar)}
    return tuple(ordered.items())[:CANDIDATES]
