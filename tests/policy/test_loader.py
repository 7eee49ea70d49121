"""The policy file: what it may contain, and the place of each mistake."""

import contextlib
import hashlib
import json
import pathlib
import sys
import textwrap
import tomllib
import types
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.verbs import Door
from bot.policy import model
from bot.policy.file import loader as policy_file
from bot.policy.file import toml_lines

PROJECT = """\
[projects.hk]
project_id = "0123456789abcdef"
region = "ap-southeast-3"
channels = ["C0INCIDENT", "C0WAR"]
"""
RULE = """\
[[rules]]
name = "one"
verbs = ["stop"]
who = ["U0ALICE"]
"""
APPROVED = RULE + 'approvals = 1\napprovers = ["U0BOB"]\n'

EVERY_KEY = """\
[projects.hk]                       # comments may hold [brackets] and "quotes
project_id = "0123456789abcdef0123456789abcdef"
region     = "ap-southeast-3"
endpoint   = "https://live.example.org/"
channels   = ["C0INCIDENT"]
allow_shared = false

[people]
media-oncall = ["U0ALICE", "W0BOB", "S0MEDIAGRP"]
media-leads  = ["U0CAROL", "U0DAVE"]

[[rules]]
name      = "on-call stops, a lead approves"
effect    = "allow"
verbs     = ["stop"]
who       = ["media-oncall", "*"]
except    = ["media-leads"]
projects  = ["hk"]
flows     = ["*"]
channels  = ["C0INCIDENT"]
approvals = 1
approvers = ["media-leads"]
notify    = ["U0CAROL"]
reason    = "required"
expires   = "1h30m"
emergency = ["media-leads"]
protected = ["premium-*", "live"]
emergency_limit = 2

# between the rules

[[rules]]
name = "nobody reads"
effect = "deny"
verbs = ["read"]
who = ["media-leads"]
"""


def load(text: str) -> policy_file.Loaded:
    return policy_file.load(text.encode(), name="f.toml")


def told(text: str) -> list[str]:
    found = load(text)
    assert (found.policy is None) is bool(found.problems)
    return [str(problem) for problem in found.problems]


def rules(text: str) -> tuple[model.Rule, ...]:
    found = load(PROJECT + text)
    assert found.policy is not None, found.problems
    return found.policy.rules


def test_every_key_arrives() -> None:
    found = load(EVERY_KEY)
    assert found.problems == ()
    assert found.policy is not None
    first, second = found.policy.rules
    assert found.policy.projects == {
        "hk": model.Project(
            name="hk",
            project_id="0123456789abcdef0123456789abcdef",
            region="ap-southeast-3",
            endpoint="https://live.example.org",
            channels=("C0INCIDENT",),
        )
    }
    assert found.policy.people == {
        "media-oncall": ("U0ALICE", "W0BOB", "S0MEDIAGRP"),
        "media-leads": ("U0CAROL", "U0DAVE"),
    }
    lines = EVERY_KEY.split("\n")
    assert first == model.Rule(
        name="on-call stops, a lead approves",
        verbs=("stop",),
        who=("media-oncall", "*"),
        excluded=("media-leads",),
        projects=("hk",),
        flows=("*",),
        channels=("C0INCIDENT",),
        approvals=1,
        approvers=("media-leads",),
        notify=("U0CAROL",),
        protected=("premium-*", "live"),
        reason_required=True,
        expires=5400.0,
        emergency=("media-leads",),
        emergency_limit=2,
        text="\n".join(lines[11:28]),
    )
    assert (second.effect, second.verbs, second.text) == (model.Effect.DENY, ("read",), "\n".join(lines[31:36]))


def test_defaults_are_those_of_a_rule() -> None:
    (rule,) = rules(RULE)
    assert rule == model.Rule(name="one", verbs=("stop",), who=("U0ALICE",), text=RULE.rstrip())


def test_the_digest_is_that_of_the_bytes() -> None:
    data = b"\xef\xbb\xbf" + (PROJECT + RULE).replace("\n", "\r\n").encode()
    found = policy_file.load(data, name="f.toml")
    assert found.policy is not None
    assert found.policy.digest == hashlib.sha256(data).hexdigest()
    assert found.policy.rules[0].text == RULE.rstrip()


def test_the_endpoint_follows_from_the_region() -> None:
    found = load(PROJECT)
    assert found.policy is not None
    assert found.policy.projects["hk"].endpoint == "https://live.ap-southeast-3.myhuaweicloud.com"


def test_the_example_at_the_top_level_is_in_order() -> None:
    path = pathlib.Path(__file__).parents[2] / "flowbot.toml"
    found = policy_file.load(path.read_bytes(), name=path.name)
    assert (found.problems, found.defects, found.warnings) == ((), (), ())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('[operators]\nalice = "alice"\n', ['f.toml:6: operators.alice: "alice" is not the id of a user (U… or W…)']),
        (
            '[operators]\nalice = "S0LEADS"\n',
            ['f.toml:6: operators.alice: "S0LEADS" is not the id of a user (U… or W…)'],
        ),
        ("[operators]\nalice = 1\n", ["f.toml:6: operators.alice: must be text in quotes"]),
    ],
)
def test_an_operator_is_a_user_id(written: str, expected: list[str]) -> None:
    assert told(PROJECT + written + RULE) == expected


def test_operators_are_a_table() -> None:
    (found,) = told(f'operators = ["U0ALICE"]\n{PROJECT}{RULE}')
    assert found.startswith("f.toml:1: operators")


def test_operators_and_the_door_of_a_rule_are_loaded() -> None:
    found = load(
        PROJECT
        + '[operators]\nalice = "U0ALICE"\n"b.o-b" = "W0BOB"\n'
        + RULE
        + 'door = "host"\n'
        + RULE.replace("one", "two")
    )
    assert found.policy is not None, found.problems
    assert found.policy.operators == {"alice": "U0ALICE", "b.o-b": "W0BOB"}
    assert [rule.door for rule in found.policy.rules] == [Door.HOST, None]


def test_the_limit_of_emergencies_is_the_rules_own_or_the_files_or_three() -> None:
    one, two = RULE + 'emergency = ["U0CAROL"]\n', RULE.replace("one", "two") + "emergency_limit = 5\n"
    assert [rule.emergency_limit for rule in rules(one + two)] == [3, 5]
    found = load("emergency_limit = 1\n" + PROJECT + one + two)
    assert found.policy is not None, found.problems
    assert [(rule.emergency, rule.emergency_limit) for rule in found.policy.rules] == [(("U0CAROL",), 1), ((), 5)]


@pytest.mark.parametrize("value", ["0", "101", "true", '"3"', "2.0", "[]"])
def test_a_limit_is_a_whole_number_from_1_to_100(value: str) -> None:
    what = "emergency_limit: must be a whole number from 1 to 100"
    assert told(f"emergency_limit = {value}\n{PROJECT}") == [f"f.toml:1: {what}"]
    assert told(f"{PROJECT}{RULE}emergency_limit = {value}\n") == [f"f.toml:9: rule 1, {what}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x =", 1),
        ('\n\nx = "', 3),
        ("a = 1\na = 2\n", 2),
        ("[projects.hk]\nx = [\n  1,\n", 3),
        ("x = 1\n[[x]]\n", 2),
    ],
)
def test_a_slip_of_syntax_is_one_problem_with_its_line(text: str, line: int) -> None:
    (problem,) = load(text).problems
    assert problem.where == f"f.toml:{line}"
    assert problem.what.startswith("is not TOML: ")


def test_bytes_that_are_no_text_are_one_problem_with_their_line() -> None:
    (problem,) = policy_file.load(b"# ok\n# \xff\n", name="f.toml").problems
    assert str(problem) == "f.toml:2: is not UTF-8 text"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.toml:1: projects: needs at least one project, as [projects.NAME]"),
        ("\n[projects]\n", "f.toml:2: projects: needs at least one project, as [projects.NAME]"),
        ("projects = 1", "f.toml:1: projects: must be written as [projects]"),
        (PROJECT + "[rules]\nname = 1", "f.toml:5: rules: must be written as [[rules]]"),
        ("people = []\n" + PROJECT, "f.toml:1: people: must be written as [people]"),
        ("rule = 1\n" + PROJECT, 'f.toml:1: rule: is not a known key here; did you mean "rules"?'),
        *((f"{key} = 1\n{PROJECT}", f"f.toml:1: {key}: is not in this version yet") for key in ("oncall",)),
        (PROJECT + "[cases]\nname = 1", "f.toml:5: cases: must be written as [[cases]]"),
        (
            PROJECT + "[[rules]]\n'max_duration' = 1\n" + RULE[10:],
            "f.toml:6: rule 1, max_duration: is not in this version yet",
        ),
    ],
)
def test_tables_and_keys_that_do_not_belong(text: str, expected: str) -> None:
    assert told(text) == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[projects.hk]", '[projects."h k"]', "1: projects.h k: a project's name has 1 to 64 letters, digits,"),
        (
            "project_id",
            "project_ids",
            '2: projects.hk.project_ids: is not a known key here; did you mean "project',
        ),
        ('"0123456789abcdef"', "5", "2: projects.hk.project_id: must be text in quotes"),
        ("cdef", "/..", '2: projects.hk.project_id: "0123456789ab/.." is not 1 to 64 letters, digits and hyphens'),
        ("ap-southeast-3", "evil.example/", '3: projects.hk.region: "evil.example/" is not a region'),
        ('["C0INCIDENT", "C0WAR"]', "[]", "4: projects.hk.channels: must not be empty"),
        ('["C0INCIDENT", "C0WAR"]', '"C0INCIDENT"', "4: projects.hk.channels: must be a list in brackets"),
        ("C0WAR", "#war", '4: projects.hk.channels: "#war" is not the id of a channel'),
        ("C0WAR", "U0WAR", '4: projects.hk.channels: "U0WAR" is not the id of a channel'),
        ("channels", 'allow_shared = "yes"\nchannels', "4: projects.hk.allow_shared: must be true or false"),
    ],
)
def test_a_project(old: str, new: str, expected: str) -> None:
    assert any(line.startswith(f"f.toml:{expected}") for line in told(PROJECT.replace(old, new)))


def test_a_project_without_a_key_is_named_by_its_table() -> None:
    assert told("\n[projects.hk]\n") == [
        f"f.toml:2: projects.hk.{key}: is missing" for key in ("project_id", "region", "channels")
    ]
    assert told("projects.hk = 3") == ["f.toml:1: projects.hk: must be a table"]


def test_a_channel_belongs_to_one_project() -> None:
    text = PROJECT + PROJECT.replace("hk", "eu").replace('"C0INCIDENT", ', '\n  "C0EU",\n  ')
    assert told(text) == ['f.toml:8: projects.eu.channels: "C0WAR" is already in "hk"']
    assert told(PROJECT.replace("C0WAR", "C0INCIDENT")) == []


def test_projects_whose_variables_would_be_the_same_are_refused() -> None:
    text = PROJECT.replace("hk", "hk-1") + PROJECT.replace("hk", "HK_1").replace("C0", "C1")
    assert told(text) == ['f.toml:5: projects.HK_1: is too similar to "hk-1": their variables would have the same name']


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://live.example.org", None),
        ("https://live.example.org:8443/", None),
        ("http://localhost:8080", None),
        ("http://127.0.0.1", None),
        ("http://127.1.2.3:1", None),
        ("http://[::1]:8080", None),
        ("http://live.example.org", "must be https: plain http is for loopback only"),
        ("http://127.0.0.1.example.org", "must be https: plain http is for loopback only"),
        ("http://localhost.example.org", "must be https: plain http is for loopback only"),
        ("http://[::2]", "must be https: plain http is for loopback only"),
        ("https://live.example.org/v1", "must end after the host"),
        ("https://live.example.org/?a=b", "must end after the host"),
        ("https://live.example.org/#a", "must end after the host"),
        ("https://u:p@live.example.org", "must not contain a user or a password"),
        ("http://localhost@live.example.org", "must not contain a user or a password"),
        ("ftp://live.example.org", "must be a URL like https://host"),
        ("live.example.org", "must be a URL like https://host"),
        ("https://", "must be a URL like https://host"),
        ("https://live.example.org\\t", "must be a URL like https://host"),
        ("https://live.example.org:99999", "is not a URL"),
        ("https://[::1", "is not a URL"),
    ],
)
def test_an_endpoint(url: str, fault: str | None) -> None:
    text = PROJECT + f'endpoint = "{url}"\n'
    assert told(text) == ([f"f.toml:5: projects.hk.endpoint: {fault}"] if fault else [])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('STAFF = ["U0ALICE"]', '"STAFF" cannot name a set: it looks like an id; use lower case'),
        ('"*" = ["U0ALICE"]', '"*" cannot name a set: it looks like an id; use lower case'),
        ('"" = ["U0ALICE"]', '"" cannot name a set: it looks like an id; use lower case'),
        ('leads = ["alice"]', '"alice" is not the id of a user (U… or W…) or a group (S…)'),
        ('leads = ["*"]', '"*" is not the id of a user (U… or W…) or a group (S…)'),
        ('leads = ["C0WAR"]', '"C0WAR" is not the id of a user (U… or W…) or a group (S…)'),
        ('leads = "U0ALICE"', "must be a list in brackets"),
        ("leads = [1]", "must be text in quotes"),
        ("leads = []", None),
    ],
)
def test_a_set(line: str, expected: str | None) -> None:
    name = line.split(" =")[0].strip('"')
    assert told(f"{PROJECT}[people]\n{line}") == ([f"f.toml:6: people.{name}: {expected}"] if expected else [])


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (RULE.replace('name = "one"\n', ""), 5, "name: is missing"),
        (RULE.replace('verbs = ["stop"]\n', ""), 5, "verbs: is missing"),
        (RULE.replace('who = ["U0ALICE"]\n', ""), 5, "who: is missing"),
        (RULE.replace("one", ""), 6, "name: must not be empty"),
        (RULE.replace("who", "whom"), 8, 'whom: is not a known key here; did you mean "who"?'),
        (RULE.replace("stop", "stpo"), 7, "verbs: must be 'stop', 'start' or 'read'"),
        (RULE.replace('"stop"', ""), 7, "verbs: must not be empty"),
        (RULE + 'effect = "permit"', 9, "effect: must be 'allow' or 'deny'"),
        (RULE.replace("U0ALICE", "alice"), 8, 'who: "alice" is not a set of [people]'),
        (RULE.replace("U0ALICE", "leds"), 8, 'who: "leds" is not a set of [people]; did you mean "leads"?'),
        (RULE.replace("U0ALICE", "C0WAR"), 8, 'who: "C0WAR" is not allowed here: use sets, users'),
        (RULE.replace('"U0ALICE"', ""), 8, "who: must not be empty"),
        (RULE + 'except = ["alice"]', 9, 'except: "alice" is not a set of [people]'),
        (RULE + 'projects = ["kh"]', 9, 'projects: "kh" is not a project of this file'),
        (RULE + "projects = []", 9, "projects: must not be empty"),
        (RULE + "flows = []", 9, "flows: must not be empty"),
        (RULE + 'flows = [""]', 9, "flows: must not be empty"),
        (RULE + "channels = []", 9, "channels: must not be empty"),
        (RULE + 'channels = ["U0ALICE"]', 9, 'channels: "U0ALICE" is not the id of a channel'),
        (RULE + "approvals = -1", 9, "approvals: must not be negative"),
        (RULE + "approvals = 101", 9, "approvals: must be at most 100"),
        (RULE + "approvals = true", 9, "approvals: must be a whole number"),
        (RULE + 'approvals = "1"', 9, "approvals: must be a whole number"),
        (RULE + "approvals = 1", 5, "approvers: is missing: approvals is more than 0"),
        (RULE + "approvals = 1\napprovers = []", 10, "approvers: is missing: approvals is more than 0"),
        (RULE + 'approvers = ["U0BOB"]', 9, "approvers: has no effect: approvals is 0"),
        (APPROVED.replace("U0BOB", "*"), 10, 'approvers: "*" is not allowed here'),
        (APPROVED.replace("U0BOB", "bob"), 10, 'approvers: "bob" is not a set of [people]'),
        (APPROVED + 'notify = ["*"]', 11, 'notify: "*" is not allowed here'),
        (APPROVED + 'emergency = ["bob"]', 11, 'emergency: "bob" is not a set of [people]'),
        (RULE + "protected = []", 9, "protected: must not be empty"),
        (RULE + 'protected = [""]', 9, "protected: must not be empty"),
        (RULE + 'protected = "premium-*"', 9, "protected: must be a list in brackets"),
        (RULE + "protected = [1]", 9, "protected: must be text in quotes"),
        (RULE + 'protect = ["premium-*"]', 9, 'protect: is not a known key here; did you mean "protected"?'),
        (
            '[[rules]]\neffect = "deny"\n' + RULE[10:] + 'protected = ["premium-*"]',
            10,
            "protected: has no meaning in a deny rule",
        ),
        (RULE + 'door = "slack"', 9, "door: must be 'host'"),
        (
            '[[rules]]\neffect = "deny"\n' + RULE[10:] + 'door = "host"',
            10,
            "door: has no meaning in a deny rule",
        ),
        (RULE + 'reason = "yes"', 9, "reason: must be 'required' or 'optional'"),
        (RULE + "expires = 30", 9, 'expires: must be a duration in quotes, like "30m"'),
        (RULE + 'expires = "30"', 9, 'expires: must be a duration in quotes, like "30m"'),
        (RULE + 'expires = "soon"', 9, 'expires: must be a duration in quotes, like "30m"'),
        (RULE + 'expires = "4s"', 9, "expires: must be between 5s and 24h"),
        (RULE + 'expires = "24h1s"', 9, "expires: must be between 5s and 24h"),
        (RULE + 'expires = "-30m"', 9, "expires: must be between 5s and 24h"),
        ('[[rules]]\neffect = "deny"\n' + RULE[10:] + "approvals = 1", 10, "approvals: has no meaning in a deny rule"),
        (
            '[[rules]]\neffect = "deny"\n' + RULE[10:] + 'approvers = ["leads"]',
            10,
            "approvers: has no meaning in a deny",
        ),
        (
            '[[rules]]\neffect = "deny"\n' + RULE[10:] + 'emergency = ["leads"]',
            10,
            "emergency: has no meaning in a deny",
        ),
        (RULE + RULE, 10, "name: is already the name of rule 1"),
        ("rules = [3]", 0, ": must be a table"),
    ],
)
def test_a_rule(text: str, line: int, expected: str) -> None:
    if line == 0:
        assert told(f"{text}\n{PROJECT}") == ["f.toml:1: rule 1: must be a table"]
        return
    number = 2 if text == RULE + RULE else 1
    problems = told(f'{PROJECT}{text}\n[people]\nleads = ["U0BOB"]')
    assert any(problem.startswith(f"f.toml:{line}: rule {number}, {expected}") for problem in problems), problems


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("24h", 86400), ("1h30m", 5400), ("0.5h", 1800)])
def test_an_expiry_is_a_duration(text: str, seconds: float) -> None:
    assert rules(f'{RULE}expires = "{text}"')[0].expires == seconds


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "freeze = 1\n"
        + PROJECT.replace("C0WAR", "war")
        + RULE.replace("stop", "halt")
        + 'flows = [1, 2]\nreason = ""\n'
    )
    assert [line.split(":")[1] for line in told(text)] == ["1", "5", "8", "10", "10", "11"]


def test_a_problem_between_two_rules_is_reported_at_the_second() -> None:
    third = RULE.replace("one", "three").replace("stop", "halt")
    assert [line.split(":")[1] for line in told(PROJECT + RULE + RULE + third)] == ["10", "15"]


def test_problems_in_unlike_places_are_found_by_their_lines() -> None:
    text = textwrap.dedent('''\
        # [projects.no] is a comment
        projects = { hk = { project_id = "a", region = "r", channels = [
          "C0HOME",  # ]
          "war",
        ] } }
        "people".'le ads' = ["""U0
        [rules]""", "bob"]

        [[ rules ]]  # the first
        name = """
        [[rules]]
        name = 3
        """
        verbs = ["stop"]
        "who" = ["U0ALICE"]
        expires = 3
        [[rules]]
        name = 'two # "'
        verbs = ['stop'] # [
        who = [
          "U0ALICE",
          # "U0BOB",
          "nobody",
        ]
        ''')
    assert [(line.split(":")[1], line.split(":")[2]) for line in told(text)] == [
        ("2", " projects.hk.channels"),
        ("6", " people.le ads"),
        ("6", " people.le ads"),
        ("16", " rule 1, expires"),
        ("20", " rule 2, who"),
    ]


def test_rules_in_an_inline_list_are_told_apart() -> None:
    text = f'rules = [{{ name = "a", verbs = ["stop"], who = ["U0A"] }}, {{ name = "a" }}]\n{PROJECT}'
    assert told(text) == [
        "f.toml:1: rule 2, verbs: is missing",
        "f.toml:1: rule 2, who: is missing",
        "f.toml:1: rule 2, name: is already the name of rule 1",
    ]


@pytest.mark.parametrize(
    ("who", "approvals", "approvers", "most"),
    [
        (["U0A"], 2, ["U0B"], 1),
        (["*"], 3, ["leads"], 2),
        (["leads"], 2, ["leads"], 1),
        (["leads", "U0A"], 2, ["leads"], None),
        (["S0GROUP"], 2, ["leads"], None),
        (["U0A"], 9, ["leads", "S0GROUP"], None),
        (["U0A"], 2, ["leads", "U0B"], None),
    ],
)
def test_a_rule_that_nobody_can_satisfy_is_a_defect_that_stops_no_start(
    who: list[str], approvals: int, approvers: list[str], most: int | None
) -> None:
    rule = f'[[rules]]\nname = "x"\nverbs = ["stop"]\nwho = {who}\napprovals = {approvals}\napprovers = {approvers}\n'
    found = load(f'{PROJECT}{rule}[people]\nleads = ["U0B", "U0C"]')
    assert found.policy is not None
    expected = f"f.toml:9: rule 1, approvals: needs {approvals}, but there are only {most} besides the requester:"
    assert [str(defect).startswith(expected) for defect in found.defects] == ([True] if most is not None else [])


def test_who_is_excepted_does_not_make_a_rule_satisfiable() -> None:
    rule = 'name = "x"\nverbs = ["stop"]\nwho = ["leads", "U0A"]\napprovals = 2\napprovers = ["leads"]\n'
    sets = '[people]\nleads = ["U0B", "U0C"]\n[[rules]]\n'
    assert load(PROJECT + sets + rule).defects == ()
    assert len(load(PROJECT + sets + rule + 'except = ["U0A"]').defects) == 1


def test_a_rule_about_nobody_is_no_defect() -> None:
    found = load(PROJECT + APPROVED + 'except = ["U0ALICE"]')
    assert (found.problems, found.defects) == ((), ())


FREEZE = 'from = 2026-12-24T18:00:00\nto = 2026-12-27T06:00:00\nzone = "Europe/Berlin"\n'


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        (FREEZE + "approvals = 2", model.Freeze(since=1798131600.0, until=1798347600.0, approvals=2)),
        (FREEZE + "deny = true", model.Freeze(since=1798131600.0, until=1798347600.0, deny=True)),
        (
            'from = "2026-12-24T18:00:00+01:00"\nto = 2026-12-27T05:00:00Z\ndeny = true',
            model.Freeze(since=1798131600.0, until=1798347600.0, deny=True),
        ),
    ],
)
def test_a_freeze_is_read_in_its_zone(freeze: str, expected: model.Freeze) -> None:
    found = load(f"{PROJECT}{APPROVED}[[rules.freeze]]\n{freeze}\n")

    assert found.policy is not None, found.problems
    assert found.policy.rules[0].freezes == (expected,)


@pytest.mark.parametrize(
    ("freeze", "what"),
    [
        (FREEZE, "needs either approvals = NUMBER or deny = true"),
        (FREEZE + "approvals = 2\ndeny = true", "needs either approvals = NUMBER or deny = true"),
        (FREEZE + "approvals = 101", "must be at most 100"),
        (FREEZE.replace("Europe/Berlin", "Middle/Earth") + "deny = true", '"Middle/Earth" is not a time zone'),
        (FREEZE.replace('zone = "Europe/Berlin"', "") + "deny = true", "needs a zone"),
        (FREEZE.replace("2026-12-27", "2025-12-27") + "deny = true", "ends before it begins"),
        (FREEZE.replace("2026-12-24T18:00:00", '"soon"') + "deny = true", "must be a time"),
        (FREEZE + "deny = true\nweekly = true", "is not a known key here"),
    ],
)
def test_what_is_wrong_with_a_freeze_is_said_with_its_place(freeze: str, what: str) -> None:
    (problem,) = told(f"{PROJECT}{APPROVED}[[rules.freeze]]\n{freeze}\n")

    assert what in problem
    assert "rule 1, freeze" in problem


@pytest.mark.parametrize(
    ("moment", "zone"),
    [
        ("9999-12-31T23:59:59", "America/New_York"),
        ("9999-12-31T23:59:59-00:01", "Europe/Berlin"),
        ("0001-01-01T00:00:00", "Asia/Tokyo"),
        ("1969-12-31T23:59:59", "UTC"),
    ],
)
@pytest.mark.parametrize("key", ["from", "to"])
def test_a_date_that_no_calendar_shows_is_a_problem_in_its_line(key: str, moment: str, zone: str) -> None:
    times = {"from": "1970-01-02T00:00:00", "to": "9999-12-30T00:00:00", key: moment}
    freeze = f'from = {times["from"]}\nto = {times["to"]}\nzone = "{zone}"\ndeny = true\n'

    line = 12 if key == "from" else 13
    assert told(f"{PROJECT}{APPROVED}[[rules.freeze]]\n{freeze}") == [
        f"f.toml:{line}: rule 1, freeze, {key}: must be between the years 1970 and 9999, in UTC"
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_freeze_may_last_for_as_long_as_dates_go(zone: str) -> None:
    freeze = f'from = 1970-01-02T00:00:00\nto = 9999-12-30T23:59:59\nzone = "{zone}"\ndeny = true\n'

    assert told(f"{PROJECT}{APPROVED}[[rules.freeze]]\n{freeze}") == []


BERLIN = 'zone = "Europe/Berlin"\ndeny = true\n'
ENDS_EARLIER = 1792888200.0  # 2026-10-25T00:30:00Z: 02:30 in summer time; the clock shows it again an hour later
MISSING_EARLIER = 1774744200.0  # 2026-03-29T00:30:00Z: 02:30 does not exist, and is read as 01:30 or as 03:30


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-10-25T02:30:00", "2026-10-26T00:00:00", (ENDS_EARLIER, 1792969200.0)),
        ("2026-10-24T00:00:00", "2026-10-25T02:30:00", (1792792800.0, ENDS_EARLIER + 3600)),
        ("2026-10-25T02:30:00", "2026-10-25T02:30:00", (ENDS_EARLIER, ENDS_EARLIER + 3600)),
        ("2026-10-24T00:00:00", "2026-10-25T02:30:00+02:00", (1792792800.0, ENDS_EARLIER)),
        ("2026-03-29T02:30:00", "2026-03-30T00:00:00", (MISSING_EARLIER, 1774821600.0)),
        ("2026-03-28T00:00:00", "2026-03-29T02:30:00", (1774652400.0, MISSING_EARLIER + 3600)),
    ],
)
def test_a_time_that_a_clock_shows_twice_or_never_is_read_the_stricter_way(
    since: str, until: str, expected: tuple[float, float]
) -> None:
    found = load(f"{PROJECT}{APPROVED}[[rules.freeze]]\nfrom = {since}\nto = {until}\n{BERLIN}")

    assert found.policy is not None, found.problems
    (freeze,) = found.policy.rules[0].freezes
    assert (freeze.since, freeze.until) == expected


def test_two_projects_that_are_one_in_the_cloud_are_warned_of() -> None:
    again = PROJECT.replace("[projects.hk]", "[projects.asia]").replace('["C0INCIDENT", "C0WAR"]', '["C0ASIA"]')
    elsewhere = again.replace("asia", "eu").replace("C0ASIA", "C0EU").replace("ap-southeast-3", "eu-west-101")

    found = load(f"{PROJECT}{again}{elsewhere}{RULE}")

    assert found.policy is not None
    assert [str(warning) for warning in found.warnings] == [
        'f.toml:6: projects.asia.project_id: is that of "hk" too: a flow of both can have two open requests at once, '
        "and a rule for one of them does not hold in the other"
    ]


def test_a_freeze_may_ask_for_approvals_where_the_rule_asks_for_none() -> None:
    frozen = f"[[rules.freeze]]\n{FREEZE}approvals = 1\n"

    assert told(f"{PROJECT}{RULE}{frozen}") == ["f.toml:5: rule 1, approvers: is missing: approvals is more than 0"]
    assert load(f'{PROJECT}{RULE}approvers = ["U0BOB"]\n{frozen}').problems == ()


def case(**keys: object) -> str:
    """Return the TOML of a case about Alice, whom the rule "one" lets stop flows; None leaves a key out."""
    given = {"user": "U0ALICE", "channel": "C0WAR", "command": "stop main-feed", "expect": "allow", **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in given.items() if value is not None]
    return "\n".join(("[[cases]]", *lines, ""))


def cases_told(text: str, *, of: str = RULE) -> list[str]:
    """Return the problems of cases after a project and a rule; they begin in line 9, with their keys from line 10."""
    return [line.removeprefix("f.toml:") for line in told(PROJECT + of + text)]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"approvals": 0, "rule": "one"},
        {"user": "U0BOB", "expect": "deny"},
        {"command": "start main-feed", "expect": "deny"},
        {"command": "STOP `main-feed` --project hk --dry-run because it loops"},
        {"command": "status main-feed"},
    ],
)
def test_a_case_that_holds(keys: dict[str, object]) -> None:
    found = load(PROJECT + RULE + case(**keys))

    assert (found.problems, found.cases) == ((), 1)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"user": None}, "9: case 1, user: is missing"),
        ({"user": "alice"}, '10: case 1, user: "alice" is not the id of a user (U… or W…)'),
        ({"channel": "war"}, '11: case 1, channel: "war" is not the id of a channel (C… or G…)'),
        ({"channel": "C0WER"}, '11: case 1, channel: "C0WER" is not a channel of this file; did you mean "C0WAR"?'),
        (
            {"command": "stpo main-feed"},
            '12: case 1, command: "stpo main-feed" is not a command that a rule decides; try: stop main-feed',
        ),
        ({"command": ""}, "12: case 1, command: must not be empty"),
        ({"command": "help"}, '12: case 1, command: "help" is not a command that a rule decides'),
        ({"command": "stop a --project eu"}, "12: case 1, command: which project? Add --project with one of: hk"),
        ({"expect": "yes"}, "13: case 1, expect: must be 'allow' or 'deny'"),
        ({"expects": "allow"}, '14: case 1, expects: is not a known key here; did you mean "expect"?'),
        ({"member_of": "S0ONE"}, "14: case 1, member_of: must be a list in brackets"),
        ({"member_of": ["leads"]}, '14: case 1, member_of: "leads" is not the id of a user group (S…)'),
        ({"member_of": ["S0ONE"]}, '14: case 1, member_of: "S0ONE" is not in any set or rule'),
        ({"approvals": -1}, "14: case 1, approvals: must not be negative"),
        ({"approvals": "1"}, "14: case 1, approvals: must be a whole number"),
        (
            {"expect": "deny", "approvals": 0, "user": "U0BOB"},
            "14: case 1, approvals: has no meaning if a deny is expected",
        ),
        ({"rule": "ones"}, '14: case 1, rule: "ones" is not a rule of this file; did you mean "one"?'),
        (
            {"expect": "deny"},
            '13: case 1, expect: expects "deny"; the decision is yes, without approval: '
            'by rule "one"; open for 1800 seconds',
        ),
        (
            {"user": "U0BOB"},
            '13: case 1, expect: expects "allow"; the decision is no: no rule allows it; '
            "who could do it instead: U0ALICE",
        ),
        (
            {"approvals": 1},
            '14: case 1, approvals: expects 1 approval; the decision is yes, without approval: by rule "one";',
        ),
        ({"approvals": 2}, "14: case 1, approvals: expects 2 approvals; the decision is"),
    ],
)
def test_a_case_that_does_not_hold_is_a_problem_in_its_line(keys: dict[str, object], expected: str) -> None:
    (found,) = cases_told(case(**keys))
    assert found.startswith(expected)


def test_a_case_says_which_rule_must_decide() -> None:
    both = RULE + RULE.replace("one", "two") + 'effect = "deny"\nflows = ["archive-*"]\n'

    assert cases_told(case(rule="one") + case(command="stop archive-1", expect="deny", rule="two"), of=both) == []
    assert cases_told(case(command="stop archive-1", expect="deny", rule="one"), of=both) == [
        '20: case 1, rule: expects rule "one" to decide; the decision is no: rule "two" denies it'
    ]


def test_a_case_says_in_which_groups_its_user_is() -> None:
    grouped = RULE.replace("U0ALICE", "S0ONE") + 'approvals = 2\napprovers = ["S0TWO"]\n'

    assert cases_told(case(member_of=["S0ONE"], approvals=2) + case(expect="deny"), of=grouped) == []
    assert cases_told(case(member_of=["S0TWO"], expect="allow"), of=grouped)[0].startswith(
        "15: case 1, expect: expects"
    )


def test_every_case_that_does_not_hold_is_told_in_the_order_of_the_file() -> None:
    text = case(expect="deny") + case() + case(user="U0BOB")

    assert [line.partition(": expects")[0] for line in cases_told(text)] == ["13: case 1, expect", "23: case 3, expect"]


def test_cases_may_stand_before_the_rules_and_wait_for_what_is_wrong_there() -> None:
    assert told(PROJECT + case(expect="deny") + RULE)[0].startswith("f.toml:9: case 1, expect: expects")
    assert told(PROJECT + case(expect="deny") + RULE.replace("stop", "stpo")) == [
        "f.toml:12: rule 1, verbs: must be 'stop', 'start' or 'read'"
    ]


def test_a_case_is_decided_by_the_rules_without_their_freezes() -> None:
    frozen = RULE + "freeze = [{ from = 1970-01-01T00:00:00Z, to = 9999-01-01T00:00:00Z, deny = true }]\n"

    assert cases_told(case(), of=frozen) == []


def test_a_case_changes_the_hash() -> None:
    with_one, without = (load(PROJECT + RULE + text).policy for text in (case(), ""))
    assert with_one is not None
    assert without is not None
    assert with_one.rules == without.rules
    assert with_one.digest != without.digest


@given(st.lists(st.sampled_from([*(PROJECT + EVERY_KEY).splitlines(), "]", '"""', "[[rules]]"]), max_size=12))
def test_no_text_makes_it_crash(lines: list[str]) -> None:
    found = load("\n".join(lines))
    assert (found.policy is None) is bool(found.problems)
    for problem in found.problems:
        assert 1 <= int(problem.where.split(":")[1]) <= len(lines) + 1


SHAPES: dict[str, Callable[[int], str]] = {
    "a long list": lambda n: "[people]\nall = [\n" + '    "U0ALICE", # on call\n' * n + "]\n",
    "a long text": lambda n: RULE.replace('"one"', '"""\n' + "one\n" * n + '"""'),
    "a long list with a mistake": lambda n: "[people]\nall = [\n" + '    "U0ALICE",\n' * n + '    "nobody",\n]\n',
    "many mistakes": lambda n: "[people]\nall = [\n" + '    "nobody",\n' * n + "]\n",
    "many sets": lambda n: "[people]\n" + "".join(f'set-{k} = ["U0ALICE"]\n' for k in range(n)),
    "many rules": lambda n: "".join(RULE.replace('"one"', f'"rule {k}"') for k in range(n)),
    "many freezes": lambda n: RULE + f"[[rules.freeze]]\n{FREEZE}deny = true\n" * n,
    "many cases": lambda n: RULE + case() * n,
    "comments": lambda n: '# [brackets] and "quotes\n' * n,
}


def work_done(text: str) -> int:
    """Count the calls of Python and C functions while the lines of a text are found, and the characters parsed."""
    made = 0

    def count(frame: types.FrameType, event: str, argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")
        if event == "call" and frame.f_code is tomllib.loads.__code__:
            made += len(frame.f_locals[frame.f_code.co_varnames[0]])

    sys.setprofile(count)
    try:
        toml_lines.Places(text)
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_as_long_a_file_is_at_most_twice_the_work_to_find_places_in(shape: str) -> None:
    once, twice = (work_done(PROJECT + SHAPES[shape](n)) for n in (100, 200))

    assert twice <= 2 * once


@pytest.mark.parametrize("shape", SHAPES)
def test_the_places_in_a_long_file_are_right(shape: str) -> None:
    text = PROJECT + SHAPES[shape](20)
    found = load(text)

    assert {str(problem).split(":")[1] for problem in found.problems} == ({"6"} if "nobody" in text else set())


STATEMENTS = [
    "[KEY]",
    "  [[KEY.list]] # [comment",
    "KEY = 1",
    """KEY = [ # ]\n  'it', ']', # [ \n "\\"[", 'c:\\'\n]""",
    "",
    '# """ \'',
    'KEY = """\n \\""" # no end\n[ """',
    'KEY = """3"""""',
    'KEY = """""" # [',
    'KEY = """\\\n\n"""',
    "KEY = '''\\\n]'''''",
    'KEY = { two = "}", three = [1,\n[2]\n] }',
    '"# [" = { KEY = "#" } # "',
    "'\"' . KEY = '[' # '",
]


def fewest_lines(text: str) -> list[tuple[int, int]]:
    """Return the lines of each statement the slow way: the fewest lines that are valid TOML."""
    rows, found, start = text.split("\n"), [], 0
    for end in range(1, len(rows) + 1):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            tomllib.loads("\n".join(rows[start:end]))
            found.append((start + 1, end))
            start = end
    return found


@given(st.lists(st.sampled_from(STATEMENTS), max_size=8))
def test_a_statement_is_the_fewest_lines_that_are_toml_by_themselves(found: list[str]) -> None:
    text = "\n".join(statement.replace("KEY", f"k{number}") for number, statement in enumerate(found))

    assert list(toml_lines.statements(text)) == fewest_lines(text)


STRANGE = [
    "99999999999999999h", "1e400", "inf", "-1", "9" * 5000, '"' + "9" * 5000 + 'h"', '"99999999999999999h"', '"NaNs"',
    "2026-12-24", "12:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", '"9999-12-31T23:59:59-23:59"',
    "[[]]", "[{}]", "{ a = 1 }", '""', '"\\u0000"', '"../../etc/passwd"', '"/etc/passwd"', "nan", "[1, 2]", "true",
]  # fmt: skip
KEYS = "projects people rules cases expires approvals emergency_limit from to zone deny freeze name who flows endpoint"
MORE_KEYS = "region channels project_id user command expect member_of verbs protected approvers notify except reason"


@given(
    table=st.sampled_from(["", "[projects.hk]", "[people]", "[[rules]]", "[[rules.freeze]]", "[[cases]]"]),
    key=st.sampled_from(f"{KEYS} {MORE_KEYS}".split()),
    value=st.sampled_from(STRANGE),
)
def test_no_value_makes_it_crash(table: str, key: str, value: str) -> None:
    before = APPROVED if table == "[[rules.freeze]]" else ""
    found = load(f"{table or PROJECT}\n{key} = {value}\n" if not before else f"{before}{table}\n{key} = {value}\n")

    assert (found.policy is None) is bool(found.problems)
