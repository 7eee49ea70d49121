"""Asks everything that the checks need, side by side, and returns the findings.

Owns who is asked what, and for how long: what hangs takes the time of nothing else.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp

from bot.cloud import credentials as cloud_credentials
from bot.cloud.client import LiveClient, open_client
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.policy import freezing, model
from bot.policy.model import Person, Policy, Project
from bot.serve.doctor import cloud_checks, database_checks, findings, settings_checks, slack_checks
from bot.serve.doctor.cloud_checks import Reads
from bot.serve.doctor.findings import Finding
from bot.settings.credentials import Credentials, IamUser
from bot.settings.loader import Settings
from bot.settings.log import Redaction
from bot.slack.directory.people import SlackDirectory
from bot.slack.directory.survey import GroupsSeen, Survey, Unasked
from bot.slack.installation import Installation
from bot.slack.web_api import WebApi
from bot.store.engines import database_url, inspection
from bot.usecases import ports

WITHIN: Final = 8.0
"""Seconds for all questions together; the command may take ten."""

TRIES: Final = 2
"""How often a key is tried before it is known to be accepted."""

NO_FLOW: Final = "flowbot-doctor"
"""A flow to ask for where no flow is known: the right to read is checked before the id."""

UNTIL_TRIED: Final = (Fault.DENIED, Fault.CREDENTIALS, Fault.NEVER_SENT, Fault.UNCERTAIN, Fault.THROTTLED)
"""Faults after which it is not known that the project may read a flow; any other is about that flow."""


async def examine(
    settings: Settings,
    *,
    clock: ports.Clock,
    within: float = WITHIN,
    disk: inspection.Disk | None = None,
) -> tuple[Finding, ...]:
    """Run every check, for at most `within` seconds. It changes nothing."""
    database, slack, cloud = await asyncio.gather(
        inspection.look(settings.database_url, within=within, now=clock.now, disk=disk or inspection.MachineDisk()),
        _slack(settings, clock, within),
        _cloud(settings, clock, within),
    )
    found = (*settings_checks.judge(settings), *database_checks.judge(database), *slack, *cloud)
    return findings.redacted(found, redaction(settings).text)


def redaction(settings: Settings) -> Redaction:
    """Return what cuts the secrets of the settings out of a text."""
    return Redaction((*settings.secrets(), *database_url.passwords(settings.database_url)))


def web_api(settings: Settings, session: aiohttp.ClientSession) -> WebApi:
    """Return a client that asks once."""
    token = settings.slack_bot_token.get_secret_value()
    return WebApi(token=token, base_url=settings.slack_api_url, session=session, retry_handlers=[])


# Slack


async def _slack(settings: Settings, clock: ports.Clock, within: float) -> tuple[Finding, ...]:
    policy = freezing.at(settings.policy, clock.now())
    each = within / 2  # one question follows another
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=each)) as session:
        client = web_api(settings, session)
        survey = Survey(client=client, clock=clock)
        token, groups, ticket = await asyncio.gather(survey.token(), survey.groups(), _ticket(survey, settings))
        first = (
            slack_checks.clock(token),
            slack_checks.bot_token(token),
            slack_checks.scopes(token),
            slack_checks.app_token(ticket),
        )
        unasked = slack_checks.unasked(token)
        if unasked is not None:
            return (*filter(None, first), unasked)
        directory = SlackDirectory(client=client, installation=Installation(client=client), clock=clock)
        channels, persons = await asyncio.gather(
            _channels(survey, policy, token.scopes or frozenset()), _persons(directory, policy, groups, each)
        )
    named = sorted(ident for ident in _named(policy) if model.is_group(ident))
    rules = (slack_checks.approvers(policy, rule, persons, groups) for rule in policy.rules)
    people = slack_checks.users((ident for ident in _named(policy) if not model.is_group(ident)), persons)
    return (
        *filter(None, first),
        *channels,
        *people,
        *(slack_checks.group(ident, groups) for ident in named),
        *filter(None, rules),
    )


async def _ticket(survey: Survey, settings: Settings) -> str | Unasked | None:
    token = settings.slack_app_token
    return None if token is None else await survey.ticket(token.get_secret_value())


async def _channels(survey: Survey, policy: Policy, scopes: frozenset[str]) -> list[Finding]:
    owners = {channel: project for project in policy.projects.values() for channel in project.channels}
    named = dict.fromkeys((*owners, *(channel for rule in policy.rules for channel in rule.channels)))
    seen = await asyncio.gather(*map(survey.channel, named))
    public = slack_checks.EVERYWHERE in scopes
    return [
        slack_checks.channel(id, one, owner=owners.get(id), posts_everywhere=public)
        for id, one in zip(named, seen, strict=True)
    ]


async def _persons(
    directory: SlackDirectory, policy: Policy, groups: GroupsSeen | Unasked, within: float
) -> Mapping[str, Person]:
    """Ask who the users of the policy are, and the members of its groups, as the bot would."""
    named = _named(policy)
    known = {} if isinstance(groups, Unasked) else groups
    members = itertools.chain.from_iterable(known[ident].members for ident in named if ident in known)
    users = {*(ident for ident in named if not model.is_group(ident)), *members}
    try:
        async with asyncio.timeout(within):
            return await directory.persons(users, max_age=0.0)
    except TimeoutError:
        return {}


def _named(policy: Policy) -> frozenset[str]:
    """Return every user and group of the policy, wherever it stands."""
    entries = [
        entry
        for rule in policy.rules
        for entry in (*rule.who, *rule.excluded, *rule.approvers, *rule.notify, *rule.emergency)
    ]
    return frozenset(model.expand(policy, (*policy.people, *entries))) - {model.EVERYBODY}


# The cloud


async def _cloud(settings: Settings, clock: ports.Clock, within: float) -> tuple[Finding, ...]:
    projects = settings.policy.projects
    held = {name: settings.credentials_for(name) for name in projects}
    keys: dict[Credentials, list[Project]] = {}
    for name, project in projects.items():
        keys.setdefault(held[name], []).append(project)
    deadline = asyncio.get_running_loop().time() + within
    async with open_client() as pools:
        client = LiveClient(pools, credentials=cloud_credentials.fixed(held), now=clock.now, timeout=within * 0.6)
        answers = await asyncio.gather(*(_with_one_key(client, sharing, deadline) for sharing in keys.values()))
    reads = {name: seen for answer in answers for name, seen in answer.items()}
    by_token = {name: isinstance(credentials, IamUser) for name, credentials in held.items()}
    seen = ((project, reads[name], by_token[name]) for name, project in projects.items())
    return cloud_checks.judge(settings.policy, seen)


async def _with_one_key(client: LiveClient, sharing: Sequence[Project], deadline: float) -> dict[str, Reads]:
    """Try the key for two of its projects, and for the others only once the cloud has accepted it."""
    seen = await _each(client, sharing[:TRIES], deadline)
    accepted = any(_is_accepted(reads.listed) for reads in seen.values())
    rest = sharing[TRIES:]
    others = await _each(client, rest, deadline) if accepted else {one.name: Reads(asked=False) for one in rest}
    return {**seen, **others}


def _is_accepted(listed: CloudFailure | None) -> bool:
    return listed is None or (listed.http_status is not None and not cloud_checks.is_wrong_key(listed))


async def _each(client: LiveClient, projects: Sequence[Project], deadline: float) -> dict[str, Reads]:
    seen = await asyncio.gather(*(_reads(client, project, deadline) for project in projects))
    return {project.name: reads for project, reads in zip(projects, seen, strict=True)}


async def _reads(client: LiveClient, project: Project, deadline: float) -> Reads:
    """List flows, and read one of them if the credentials were accepted."""
    late = CloudFailure(fault=Fault.UNCERTAIN, message="no answer in time")
    listed = None
    try:
        async with asyncio.timeout_at(deadline):
            found = await client.any_flow(project)
            listed = found if isinstance(found, CloudFailure) else None
            if listed is not None and listed.fault is not Fault.DENIED:
                return Reads(listed=listed)
            flow_id = NO_FLOW if found is None or isinstance(found, CloudFailure) else found.flow_id
            read = await client.flow(project, flow_id)
    except TimeoutError:
        return Reads(listed=listed or late)
    is_known = isinstance(read, CloudFailure) and read.fault in UNTIL_TRIED
    return Reads(listed=listed, read=read if is_known and isinstance(read, CloudFailure) else None)
