"""A sample world for a policy: every id in the policy exists, and some people who are not in it.

Pure, except that it adds to the stand-ins. It must not know what the rules decide.
"""

import dataclasses
import datetime
import json
import re
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bot.playground import world
from bot.playground.live.server import FlowSource, LiveStandIn, Output
from bot.playground.slack.server import SlackStandIn
from bot.policy import model
from bot.policy.file import loader as policy_file
from bot.policy.file.problems import SettingsInvalid

GROUP_SIZE: Final = 2
"""Sample people in each user group."""

SAMPLE: Final = world.POLICY.replace("approvals = 1\n", 'approvals = 1\nemergency = ["media-oncall"]\n')
"""The sample policy of the page: the on-call people may skip the leads' approval in an emergency."""

_READABLE: Final = re.compile(r"[UWSCG]0([A-Z]{2,})")
_SOURCES: Final = (FlowSource(name="encoder-1"), FlowSource(name="encoder-2", health="DISCONNECTED"))
_OUTPUTS: Final = (Output(name="cdn-apac"), Output(name="cdn-eu", type="rtmp-push"), Output(name="archive"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """What the playground starts with: the policy, its text with the placeholder `{endpoint}`, people and flows."""

    policy: model.Policy
    text: str
    furnish: world.Furnish


def sample() -> Scene:
    """Return the sample world with its sample policy."""
    return Scene(
        policy=_parsed(SAMPLE.replace("{endpoint}", "http://127.0.0.1"), "sample"),
        text=SAMPLE,
        furnish=_sample,
    )


def of_file(data: bytes, *, name: str) -> Scene:
    """Return a world for the policy file called `name`. Raises errors.SettingsInvalid."""
    found = _parsed(data, name)
    raw = tomllib.loads(data.decode("utf-8-sig"))
    for project in raw["projects"].values():
        project["endpoint"] = "{endpoint}"
    return Scene(policy=found, text=_toml(raw), furnish=lambda slack, live: _furnish(found, slack, live))


def _parsed(data: bytes | str, name: str) -> model.Policy:
    loaded = policy_file.load(data.encode() if isinstance(data, str) else data, name=name)
    if loaded.policy is None:
        raise SettingsInvalid(loaded.problems)
    return loaded.policy


def _sample(slack: SlackStandIn, live: LiveStandIn) -> None:
    world.sample(slack, live)
    slack.workspace.add_person("U0NORA", "nora")
    for channel in ("C0INCIDENT", "C0RANDOM"):
        slack.workspace.join(channel, "U0NORA")
    for (project, flow_id), flow in list(live.flows.items()):
        live.add_flow(project, flow_id, flow.name, flow.status, sources=_SOURCES, outputs=_OUTPUTS)
    slack.workspace.post(
        "C0INCIDENT", "U0ERIN", "main-feed shows the same ten seconds over and over. Can we take it off air?"
    )


def _furnish(found: model.Policy, slack: SlackStandIn, live: LiveStandIn) -> None:
    workspace, names = slack.workspace, _names(found)
    entries = list(_entries(found))
    for user in (entry for entry in entries if not model.is_group(entry)):
        workspace.add_person(user, names[user])
    for group in (entry for entry in entries if model.is_group(entry)):
        members = [f"U{group[1:]}{number}" for number in range(1, GROUP_SIZE + 1)]
        for number, member in enumerate(members, 1):
            workspace.add_person(member, f"{names[group]}-{number}")
        workspace.add_group(group, names[group], members)
    _add_outsiders(slack)
    everybody = [person for person in workspace.persons if person not in (workspace.bot_user_id, "USLACKBOT")]
    for channel, name in _channels(found).items():
        workspace.add_channel(channel, name, everybody, private=channel.startswith("G"))
    for project in found.projects.values():
        for name in _flow_names(found, project.name):
            status = "STANDBY" if name == "studio-b" else "ACTIVE"
            id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{project.project_id}/{name}"))
            live.add_flow(
                project.project_id, id, name, status, region=project.region, sources=_SOURCES, outputs=_OUTPUTS
            )


def _add_outsiders(slack: SlackStandIn) -> None:
    """Add one person of each kind that no rule allows anything, unless the policy has that id."""
    others: dict[str, dict[str, Any]] = {
        "U0NORA": {"name": "nora"},
        "U0GUEST": {"name": "gus-guest", "is_restricted": True},
        "U0SOLO": {"name": "solo-guest", "is_restricted": True, "is_ultra_restricted": True},
        "U0OTHER": {"name": "olga-of-another-company", "team_id": "T0OTHER", "is_stranger": True},
        "U0GONE": {"name": "greta-who-left", "deleted": True},
    }
    for id, person in others.items():
        if id not in slack.workspace.persons:
            slack.workspace.add_person(id, **person)


def _entries(found: model.Policy) -> Iterable[str]:
    """Return every user and group id of the policy once, in file order."""
    named = [entry for entries in found.people.values() for entry in entries]
    for rule in found.rules:
        named += [*rule.who, *rule.excluded, *rule.approvers, *rule.notify, *rule.emergency]
    return dict.fromkeys(entry for entry in named if entry != model.EVERYBODY and entry not in found.people)


def _names(found: model.Policy) -> dict[str, str]:
    """Return a readable name for each id: its own letters, or its first set and a number."""
    names: dict[str, str] = {}
    for entry in _entries(found):
        readable = _READABLE.fullmatch(entry)
        sets = [name for name, entries in found.people.items() if entry in entries]
        stem = readable[1].lower() if readable else sets[0] if sets else "group" if model.is_group(entry) else "person"
        names[entry] = _fresh(stem, names.values(), numbered=not readable)
    return names


def _channels(found: model.Policy) -> dict[str, str]:
    channels: dict[str, str] = {}
    places = [(channel, project.name) for project in found.projects.values() for channel in project.channels]
    places += [(channel, "elsewhere") for rule in found.rules for channel in rule.channels]
    for channel, stem in places:
        if channel not in channels:
            readable = _READABLE.fullmatch(channel)
            channels[channel] = _fresh(readable[1].lower() if readable else stem, channels.values())
    return channels


def _fresh(stem: str, taken: Iterable[str], *, numbered: bool = False) -> str:
    known = set(taken)
    candidates = [stem, *(f"{stem}-{number}" for number in range(1, len(known) + 3))]
    return next(one for one in candidates[1 if numbered else 0 :] if one not in known)


def _flow_names(found: model.Policy, project: str) -> list[str]:
    """Return names of sample flows: usual ones, and one for each pattern in this project's rules."""
    rules = [rule for rule in found.rules if project in (rule.projects or (project,))]
    patterns = [glob for rule in rules for glob in (*rule.flows, *rule.protected)]
    fitting = [
        re.sub(r"[^A-Za-z0-9_.-]", "", glob.replace("*", "sample").replace("?", "x"))
        for glob in patterns
        if glob != "*"
    ]
    return list(dict.fromkeys([*filter(None, fitting), "main-feed", "backup-feed", "studio-b"]))


def _toml(raw: Mapping[str, Any]) -> str:
    """Write a policy file again, as simple TOML."""
    lines = list(_pairs({key: value for key, value in raw.items() if key not in ("projects", "people", "rules")}))
    for name, project in raw["projects"].items():
        lines += [f"[projects.{_quoted(name)}]", *_pairs(project), ""]
    lines += ["[people]", *_pairs(raw.get("people", {})), ""]
    for rule in raw.get("rules", ()):
        lines += ["[[rules]]", *_pairs(rule), ""]
    return "\n".join(lines)


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield f"{_quoted(key)} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(_pairs(value))} }}"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
