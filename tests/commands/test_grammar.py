"""The grammar of commands: examples, and laws for random texts."""

import dataclasses
import re
import string

import hypothesis
import pytest
from hypothesis import strategies as st

from bot.commands import grammar, verbs
from bot.commands.grammar import ChangeCommand, HelpCommand, NotYet, ReadCommand, UsageError, UsageProblem
from bot.commands.verbs import Door, Option, Verb


def stop(
    flow: str,
    *,
    verb: Verb = Verb.STOP,
    project: str | None = None,
    reason: str | None = None,
    dry_run: bool = False,
    emergency: bool = False,
) -> ChangeCommand:
    return ChangeCommand(verb=verb, flow=flow, project=project, reason=reason, dry_run=dry_run, emergency=emergency)


def read(verb: Verb, about: str | None = None, *, project: str | None = None) -> ReadCommand:
    return ReadCommand(verb=verb, about=about, project=project)


def wrong(problem: UsageProblem, detail: str = "", *, verb: Verb | None = Verb.STOP) -> UsageError:
    return UsageError(verb=verb, problem=problem, detail=detail)


# Valid commands


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("stop main-feed", stop("main-feed")),
        ("stop Main_Feed2", stop("Main_Feed2")),
        ("stop 0f3a91", stop("0f3a91")),
        ("stop because-feed", stop("because-feed")),
        (f"stop {'a' * 64}", stop("a" * 64)),
        ("stop main-feed --project hk", stop("main-feed", project="hk")),
        ("stop main-feed --project=hk", stop("main-feed", project="hk")),
        ("stop --project hk --dry-run main-feed", stop("main-feed", project="hk", dry_run=True)),
        ("--dry-run stop main-feed", stop("main-feed", dry_run=True)),
        ("--project hk stop main-feed", stop("main-feed", project="hk")),
        ("stop main-feed because it loops", stop("main-feed", reason="it loops")),
        ("stop main-feed --reason it loops", stop("main-feed", reason="it loops")),
        ("stop main-feed --reason=it loops", stop("main-feed", reason="it loops")),
        ("stop main-feed --because it loops", stop("main-feed", reason="it loops")),
        ("stop main-feed --dry-run because it loops", stop("main-feed", dry_run=True, reason="it loops")),
        ("stop main-feed --emergency because it loops", stop("main-feed", emergency=True, reason="it loops")),
        ("—Emergency stop --dry-run main-feed", stop("main-feed", dry_run=True, emergency=True)),
        ("start main-feed", ChangeCommand(verb=Verb.START, flow="main-feed")),
        (
            "START main-feed --dry-run because x",
            ChangeCommand(verb=Verb.START, flow="main-feed", dry_run=True, reason="x"),
        ),
        ("status main-feed", read(Verb.STATUS, "main-feed")),
        ("Status `main-feed` —project=hk", read(Verb.STATUS, "main-feed", project="hk")),
        ("list", read(Verb.LIST)),
        ("list --project hk", read(Verb.LIST, project="hk")),
        ("list main feed", read(Verb.LIST, "main feed")),
        ("list “main.feed” &amp; é", read(Verb.LIST, "main.feed & é")),
        ("list `--x` `because`", read(Verb.LIST, "--x because")),
        ("PENDING", read(Verb.PENDING)),
        ("history", read(Verb.HISTORY)),
        ("history main-feed --project hk", read(Verb.HISTORY, "main-feed", project="hk")),
        ("`whoami`", read(Verb.WHOAMI)),
        ("", HelpCommand()),
        (" \u200b\n", HelpCommand()),
        ("help", HelpCommand()),
        ("HELP Stop", HelpCommand(verb=Verb.STOP)),
        ("help start", HelpCommand(verb=Verb.START)),
        ("help help", HelpCommand(verb=Verb.HELP)),
    ],
)
def test_a_command_is_understood(text: str, command: ChangeCommand | ReadCommand | HelpCommand) -> None:
    assert grammar.parse(text) == command


UUID = "ec897482-d24b-4d64-aa39-407980901b2d"
OTHER_UUID = "7d1f0a53-6c1e-4a1c-8f0e-2b9d4c7a3e55"
CONSOLE = "https://console-intl.huaweicloud.com/live/?region=ap-southeast-3"


@pytest.mark.parametrize(
    "typed",
    [
        f"<{CONSOLE}&amp;flow_id={UUID}>",
        f"<{CONSOLE}#/flows/detail?flow_id={UUID}>",
        f"<{CONSOLE}#/flows/detail?flow_id={UUID}|{CONSOLE}#/flows/detail?flow_id={UUID}>",
        f"<{CONSOLE}#/flows/{UUID}/detail?tab=1>",
        f"<{CONSOLE}#/flows/{UUID}?flowId={UUID}|Flow details - main feed>",
        f"<{CONSOLE}#/flows/{UUID}?tab=1>",
        f"<{CONSOLE}#/flows/detail?flow_id={UUID}&amp;back=/flows?page=2>",
        f"`{CONSOLE}#/flows/{UUID}`",
        f"{CONSOLE}&amp;FLOW_ID={UUID}",
        f"<HTTPS://console.example/v1/0123456789abcdef0123456789abcdef/flows/{UUID}>",
        f"<https://console.example/{OTHER_UUID}?flow_id={UUID}>",
        f"“<{CONSOLE}#/flows/{UUID}|{CONSOLE}#/flows/{UUID}>”",
    ],
)
@pytest.mark.parametrize("verb", [Verb.STOP, Verb.STATUS, Verb.HISTORY])
def test_the_address_of_a_page_of_the_console_stands_for_its_flow(verb: Verb, typed: str) -> None:
    expected = stop(UUID) if verb is Verb.STOP else read(verb, UUID)
    assert grammar.parse(f"{verb} {typed}") == expected


@pytest.mark.parametrize(
    "address",
    [
        "https://main-feed",
        "https://console.example/flows/detail?flow_id=",
        "https://console.example/flows/detail?flow_id=a/b",
        f"https://console.example/{UUID}/{OTHER_UUID}",
        f"https://console.example/?flow_id=a&flow_id={UUID}",
        f"https://console.example/?flow_id=a#/detail?flow_id={UUID}",
        "https://console.example/v1/0123456789abcdef0123456789abcdef/flows",
        "https://[console/?flow_id=a",
    ],
)
def test_an_address_that_names_no_flow_or_several_asks_for_nothing(address: str) -> None:
    found = grammar.parse(f"stop {address}")
    assert isinstance(found, UsageError)
    assert found.problem is UsageProblem.BAD_ADDRESS


def test_a_label_that_could_be_a_flow_itself_is_not_passed_over_for_the_address_behind_it() -> None:
    found = grammar.parse(f"stop <{CONSOLE}&amp;flow_id={UUID}|main-feed>")
    assert isinstance(found, UsageError)
    assert found.problem is UsageProblem.BAD_FLOW


@pytest.mark.parametrize(
    "text",
    [
        "STOP main-feed",
        "  sToP \t main-feed ",
        "stop\u00a0main-feed",
        "stop\u2003main-feed\u3000",
        "stop\nmain-feed\r\n",
        "\ufeffstop main\u200b-feed\u200d",
        "\u202astop \u2068main-feed\u2069\u202c",
        "st\u00adop main-feed\x00",
        "`stop` main-feed",
        "stop `main-feed`",
        "stop ```main-feed```",
        'stop "main-feed"',
        "stop 'main-feed'",
        "stop “main-feed”",
        "stop ‘main-feed’",
        "stop „main-feed“",
        "stop «main-feed»",
        "stop « main-feed »",
        "stop «\u00a0main-feed\u202f»",
        "stop »main-feed«",
        "stop ‹main-feed›",
        'stop "`main-feed`"',
        "stop <http://main-feed|main-feed>",
        "stop `<http://main-feed|main-feed>`",
    ],
)
def test_a_flow_is_understood_the_way_people_type_it(text: str) -> None:
    assert grammar.parse(text) == stop("main-feed")


@pytest.mark.parametrize(
    "option", ["--dry-run", "—dry-run", "–dry-run", "‑‑dry‑run", "−−dry-run", "-—Dry-Run", "---DRY-RUN", "-dry-run"]
)
def test_dashes_and_letters_of_an_option_may_vary(option: str) -> None:
    assert grammar.parse(f"stop {option} main-feed") == stop("main-feed", dry_run=True)
    assert grammar.parse(f"stop main-feed {option} because x") == stop("main-feed", dry_run=True, reason="x")


@pytest.mark.parametrize("value", ["=`hk`", "=“hk”", ' "hk"', " ‘hk’", "\u00a0hk"])
def test_the_value_of_an_option_may_be_quoted(value: str) -> None:
    assert grammar.parse(f"stop —PROJECT{value} main-feed") == stop("main-feed", project="hk")


@pytest.mark.parametrize(
    "opening",
    [
        " because ",
        " BECAUSE\n",
        " — because ",
        " —because ",
        "— because ",
        "—because ",
        "–Because ",
        " - because ",
        " -- because ",
        " ‑ because ",
        " --because ",
        " —reason ",
        " –Reason=",
        " --reason= ",
    ],
)
def test_a_reason_may_be_opened_in_many_ways(opening: str) -> None:
    assert grammar.parse(f"stop main-feed{opening}it loops") == stop("main-feed", reason="it loops")


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("  “encoder”  loops ", "“encoder”  loops"),
        ("'quoted' `code`", "'quoted' `code`"),
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("&amp;lt; stays", "&lt; stays"),
        ("we saw --verbose and -x", "we saw --verbose and -x"),
        ("we tried `--dry-run` before", "we tried `--dry-run` before"),
        ("it is so because of rain", "it is so because of rain"),
        ("because", "because"),
        ("– see the log — twice", "– see the log — twice"),
        ("two\nlines\u2028three", "two lines three"),
        ("a\u00a0b\u200b\u202ec\x00\ud800", "a bc"),
        ("see <https://a.b/c>", "see https://a.b/c"),
        ("see <https://a.b/c?d=1&amp;e>", "see https://a.b/c?d=1&e"),
        ("see <http://a.b|a.b>", "see a.b"),
        ("see <https://a.b|https://a.b>", "see https://a.b"),
        ("see <http://a.b:8080/c|a.b:8080/c>", "see a.b:8080/c"),
        ("see <http://X.example|X.example>", "see X.example"),
        ("see <https://a.b/incident|c>", "see c (https://a.b/incident)"),
        ("see <https://a.b|>", "see https://a.b"),
        ("ask <mailto:a@b.c|a@b.c>", "ask a@b.c"),
        ("ask <@U123> in <#C123|ops> &lt;!here&gt;", "ask <@U123> in <#C123|ops> <!here>"),
        ("&lt;https://a.b|c&gt;", "<https://a.b|c>"),
        ("x" * grammar.MAX_REASON, "x" * grammar.MAX_REASON),
    ],
)
def test_a_reason_is_taken_as_it_stands(typed: str, reason: str) -> None:
    assert grammar.parse(f"stop main-feed because {typed}") == stop("main-feed", reason=reason)


# Usage errors


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("stop", wrong(UsageProblem.NO_FLOW)),
        ("stop --dry-run", wrong(UsageProblem.NO_FLOW)),
        ("stop - because x", wrong(UsageProblem.NO_FLOW)),
        ("stop naïve", wrong(UsageProblem.BAD_FLOW, "naïve")),
        ("stop main–feed", wrong(UsageProblem.BAD_FLOW, "main–feed")),
        ("stop main.feed", wrong(UsageProblem.BAD_FLOW, "main.feed")),
        ("stop `main-feed", wrong(UsageProblem.BAD_FLOW, "`main-feed")),
        ("stop ``", wrong(UsageProblem.BAD_FLOW, "``")),
        ("stop -", wrong(UsageProblem.BAD_FLOW, "-")),
        ("stop --", wrong(UsageProblem.BAD_FLOW, "--")),
        ("stop ①", wrong(UsageProblem.BAD_FLOW, "①")),
        ("stop <#C123|main-feed>", wrong(UsageProblem.BAD_FLOW, "<#C123|main-feed>")),
        ("stop <@U123>", wrong(UsageProblem.BAD_FLOW, "<@U123>")),
        ("stop &lt;main-feed&gt;", wrong(UsageProblem.BAD_FLOW, "<main-feed>")),
        ("stop &lt;http://main-feed|main-feed&gt;", wrong(UsageProblem.BAD_FLOW, "<http://main-feed|main-feed>")),
        ("stop <https://main-feed>", wrong(UsageProblem.BAD_ADDRESS, "https://main-feed")),
        ("start", wrong(UsageProblem.NO_FLOW, verb=Verb.START)),
        ("status", wrong(UsageProblem.NO_FLOW, verb=Verb.STATUS)),
        ("status main.feed", wrong(UsageProblem.BAD_FLOW, "main.feed", verb=Verb.STATUS)),
        ("status a-1 b-1", wrong(UsageProblem.SEVERAL_FLOWS, "a-1 b-1", verb=Verb.STATUS)),
        ("status main-feed please", wrong(UsageProblem.STRAY_WORDS, "please", verb=Verb.STATUS)),
        ("status main-feed because x", wrong(UsageProblem.STRAY_WORDS, "because", verb=Verb.STATUS)),
        ("status main-feed --dry-run", wrong(UsageProblem.UNKNOWN_OPTION, "--dry-run", verb=Verb.STATUS)),
        ("list --project h/k", wrong(UsageProblem.BAD_PROJECT, "h/k", verb=Verb.LIST)),
        ("list --project", wrong(UsageProblem.OPTION_WITHOUT_VALUE, "--project", verb=Verb.LIST)),
        ("pending now", wrong(UsageProblem.STRAY_WORDS, "now", verb=Verb.PENDING)),
        ("pending --project hk", wrong(UsageProblem.UNKNOWN_OPTION, "--project", verb=Verb.PENDING)),
        ("history main-feed because x", wrong(UsageProblem.STRAY_WORDS, "because", verb=Verb.HISTORY)),
        ("whoami please", wrong(UsageProblem.STRAY_WORDS, "please", verb=Verb.WHOAMI)),
        (f"stop {'a' * 65}", wrong(UsageProblem.BAD_FLOW, "a" * 65)),
        (f"stop {'é' * 99}", wrong(UsageProblem.BAD_FLOW, "é" * 79 + "…")),
        ("stop a b because x", wrong(UsageProblem.SEVERAL_FLOWS, "a b")),
        ("stop main-feed backup-feed", wrong(UsageProblem.SEVERAL_FLOWS, "main-feed backup-feed")),
        ("stop main-feed `backup`", wrong(UsageProblem.SEVERAL_FLOWS, "main-feed backup")),
        ("stop main-feed it loops", wrong(UsageProblem.STRAY_WORDS, "it loops")),
        ("stop main-feed - it loops", wrong(UsageProblem.STRAY_WORDS, "- it loops")),
        ("stop main-feed --", wrong(UsageProblem.STRAY_WORDS, "--")),
        ("stop main-feed — dry-run", wrong(UsageProblem.STRAY_WORDS, "— dry-run")),
        ("stop main-feed --force", wrong(UsageProblem.UNKNOWN_OPTION, "--force")),
        ("stop main-feed —force because x", wrong(UsageProblem.UNKNOWN_OPTION, "—force")),
        ("stop --dry-ruin=x main-feed", wrong(UsageProblem.UNKNOWN_OPTION, "--dry-ruin=x")),
        ("stop --dry_run main-feed", wrong(UsageProblem.UNKNOWN_OPTION, "--dry_run")),
        ("stop --= main-feed", wrong(UsageProblem.UNKNOWN_OPTION, "--=")),
        ("stop --help", wrong(UsageProblem.UNKNOWN_OPTION, "--help")),
        ("stop main-feed --force --emergency", wrong(UsageProblem.UNKNOWN_OPTION, "--force")),
        ("stop main-feed <http://x|--reason>", wrong(UsageProblem.UNKNOWN_OPTION, "--reason")),
        ("stop main-feed --dry-run –dry-run", wrong(UsageProblem.REPEATED_OPTION, "--dry-run")),
        ("stop main-feed --project hk --project eu", wrong(UsageProblem.REPEATED_OPTION, "--project")),
        ("stop main-feed --project", wrong(UsageProblem.OPTION_WITHOUT_VALUE, "--project")),
        ("stop main-feed --project=", wrong(UsageProblem.OPTION_WITHOUT_VALUE, "--project")),
        ("stop main-feed --project --dry-run", wrong(UsageProblem.OPTION_WITHOUT_VALUE, "--project")),
        ("stop main-feed --project because x", wrong(UsageProblem.OPTION_WITHOUT_VALUE, "--project")),
        ("stop main-feed --project - x", wrong(UsageProblem.OPTION_WITHOUT_VALUE, "--project")),
        ("stop main-feed --dry-run=no", wrong(UsageProblem.OPTION_WITH_VALUE, "--dry-run")),
        ("stop main-feed --project h/k", wrong(UsageProblem.BAD_PROJECT, "h/k")),
        ("stop main-feed because", wrong(UsageProblem.EMPTY_REASON)),
        ("stop main-feed because \u200b ", wrong(UsageProblem.EMPTY_REASON)),
        ("stop main-feed --reason", wrong(UsageProblem.EMPTY_REASON)),
        ("stop main-feed --reason=", wrong(UsageProblem.EMPTY_REASON)),
        (f"stop main-feed because {'x' * 501}", wrong(UsageProblem.REASON_TOO_LONG)),
        ("stop main-feed because x --dry-run", wrong(UsageProblem.OPTION_IN_REASON, "--dry-run")),
        ("stop main-feed because x —Emergency y", wrong(UsageProblem.OPTION_IN_REASON, "--emergency")),
        ("stop main-feed because ‑‑for 30m", wrong(UsageProblem.OPTION_IN_REASON, "--for")),
        ("stop main-feed because x --project=hk", wrong(UsageProblem.OPTION_IN_REASON, "--project")),
        ("stop main-feed because x --reason y", wrong(UsageProblem.OPTION_IN_REASON, "--reason")),
        ("stop main-feed because x --dry\u200b-run", wrong(UsageProblem.OPTION_IN_REASON, "--dry-run")),
        ("help stop main-feed", wrong(UsageProblem.STRAY_WORDS, "main-feed", verb=Verb.HELP)),
        ("help because", wrong(UsageProblem.STRAY_WORDS, "because", verb=Verb.HELP)),
        ("help --dry-run", wrong(UsageProblem.UNKNOWN_OPTION, "--dry-run", verb=Verb.HELP)),
        ("help stpo", wrong(UsageProblem.UNKNOWN_VERB, "stpo")),
        ("help me", wrong(UsageProblem.UNKNOWN_VERB, "me", verb=None)),
        ("--dry-run", wrong(UsageProblem.NO_VERB, verb=None)),
        ("because x", wrong(UsageProblem.NO_VERB, verb=None)),
        ("x" * 8001, wrong(UsageProblem.TOO_LONG, verb=None)),
    ],
)
def test_what_is_not_understood_says_why(text: str, error: UsageError) -> None:
    assert grammar.parse(text) == error


@pytest.mark.parametrize(
    ("typed", "verb"),
    [
        ("stpo", Verb.STOP),
        ("Stopp", Verb.STOP),
        ("STPO", Verb.STOP),
        ("strat", Verb.START),
        ("statsu", Verb.STATUS),
        ("lits", Verb.LIST),
        ("hlep", Verb.HELP),
        ("kill", None),
        ("main-feed", None),
        ("停止", None),
    ],
)
def test_a_mistyped_verb_gets_the_nearest_one(typed: str, verb: Verb | None) -> None:
    assert grammar.parse(f"{typed} main-feed --dry-run") == wrong(UsageProblem.UNKNOWN_VERB, typed, verb=verb)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("stop main-feed --for 30m", "--for"),
        ("stop --for=30m main-feed", "--for"),
        ("--for 30m stop a b c", "--for"),
        ("start main-feed --for 1h --emergency", "--for"),
    ],
)
def test_what_this_version_does_not_have_is_named(text: str, what: str) -> None:
    assert grammar.parse(text) == NotYet(what=what)


def test_flows_with_the_names_of_words_of_the_grammar_can_be_stopped() -> None:
    assert grammar.parse("stop help") == stop("help")
    assert grammar.parse("stop stop because stop") == stop("stop", reason="stop")
    assert grammar.parse("stop reason") == stop("reason")


def test_quotes_make_a_flow_of_what_would_open_a_reason() -> None:
    assert grammar.parse("stop because") == wrong(UsageProblem.NO_FLOW)
    assert grammar.parse("stop `because` because `x`") == stop("because", reason="`x`")
    assert (
        grammar.render(stop("Because", project="because", reason="x")) == "stop `Because` --project `because` because x"
    )


def test_two_dashes_are_an_option_and_only_quotes_make_a_flow_of_them() -> None:
    assert grammar.parse("stop --x") == wrong(UsageProblem.UNKNOWN_OPTION, "--x")
    assert grammar.parse("stop `--x`") == stop("--x")
    assert grammar.parse("stop main-feed `--dry-run`") == wrong(UsageProblem.SEVERAL_FLOWS, "main-feed --dry-run")


def test_one_hyphen_may_begin_an_id_unless_it_spells_an_option() -> None:
    assert grammar.parse("stop -x9") == stop("-x9")
    assert grammar.parse("stop -dry-run") == wrong(UsageProblem.NO_FLOW)
    assert grammar.parse("stop –x9") == wrong(UsageProblem.UNKNOWN_OPTION, "–x9")


# Usage lines and examples of the verbs


def test_every_verb_has_its_entry() -> None:
    assert set(verbs.VERBS) == set(Verb)
    assert all(entry.built and entry.does for entry in verbs.VERBS.values())


def test_the_usage_line_of_stop_names_its_built_options() -> None:
    assert verbs.usage(Verb.STOP) == "/flow stop FLOW [--project NAME] [--dry-run] [--emergency] [because TEXT]"
    assert verbs.usage(Verb.PENDING) == "/flow pending"


def test_usage_and_example_name_the_door() -> None:
    assert verbs.usage(Verb.PENDING, Door.MENTION) == "@flowbot pending"
    assert verbs.example(Verb.STATUS, Door.MENTION) == "@flowbot status main-feed"
    assert verbs.example(Verb.STATUS) == "/flow status main-feed"


def test_every_option_in_a_usage_line_is_one_that_the_verb_takes() -> None:
    for verb, entry in verbs.VERBS.items():
        shown = set(re.findall(r"--[a-z-]+", verbs.usage(verb)))
        assert shown == {*entry.options} - verbs.NOT_BUILT


@pytest.mark.parametrize("verb", Verb)
def test_the_example_of_a_verb_is_a_command_of_that_verb(verb: Verb) -> None:
    parsed = grammar.parse(verbs.VERBS[verb].example)
    assert isinstance(parsed, ChangeCommand | ReadCommand | HelpCommand)
    assert isinstance(parsed, HelpCommand) is (verb is Verb.HELP)
    assert verb in (Verb.HELP, parsed.verb)


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("it loops\nagain", None),
        ("a <b> & c", None),
        (" \u200b ", UsageProblem.EMPTY_REASON),
        ("x" * 501, UsageProblem.REASON_TOO_LONG),
        ("x --dry-run", UsageProblem.OPTION_IN_REASON),
    ],
)
def test_a_reason_that_was_typed_alone_is_judged_like_one_in_a_command(
    reason: str, problem: UsageProblem | None
) -> None:
    assert grammar.judge_reason(reason) == problem


@pytest.mark.parametrize(
    "piece", ["—", "-", " x", "<", "<a:|", "« ", "- ", "—because", "&", "a ", "--x ", "`", "because "]
)
def test_a_long_text_of_marks_asks_for_nothing(piece: str) -> None:
    assert not isinstance(grammar.parse(("stop a " + piece * 8000)[:8000]), ChangeCommand)


# Laws

FLOWS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=64)
REASONS = (
    st.text(
        st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zs", "Zl", "Zp"]) | st.just(" "), min_size=1, max_size=60
    )
    .map(str.strip)
    .filter(lambda reason: grammar.judge_reason(reason) is None)
)
CHANGES = st.builds(
    stop,
    FLOWS,
    verb=st.sampled_from([Verb.STOP, Verb.START]),
    project=st.none() | FLOWS,
    reason=st.none() | REASONS,
    dry_run=st.booleans(),
    emergency=st.booleans(),
)
HELPS = st.builds(HelpCommand, verb=st.none() | st.sampled_from(Verb))
ABOUTS = st.lists(st.text("ab0&<>.é-—_=", min_size=1, max_size=8), min_size=1, max_size=4).map(" ".join)
READS = st.one_of(
    st.builds(read, st.just(Verb.STATUS), FLOWS, project=st.none() | FLOWS),
    st.builds(read, st.just(Verb.HISTORY), st.none() | FLOWS, project=st.none() | FLOWS),
    st.builds(read, st.just(Verb.LIST), st.none() | ABOUTS, project=st.none() | FLOWS),
    st.builds(read, st.sampled_from([Verb.PENDING, Verb.WHOAMI])),
)

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202e\u2066\u2069\u00ad"
SPACES = st.text(" \u00a0\u2003\u202f\u3000\t\n\r\u2028", min_size=1, max_size=3)
DASHES = st.sampled_from(["--", "—", "–", "‑‑", "−−"])
TIGHTLY_QUOTED = st.sampled_from(["`{}`", "“{}”", "‘{}’", '"{}"', "'{}'", "«{}»", "`<http://{0}|{0}>`"])
QUOTED = TIGHTLY_QUOTED | st.sampled_from(["{}", "« {} »", "<http://{0}|{0}>"])
ADDRESSES = st.sampled_from(
    [
        "<https://console.example/live/?region=x#/flows/detail?flow_id={}&amp;tab=1>",
        "<https://console.example/flows/detail?flow_id={0}|https://console.example/flows/detail?flow_id={0}>",
        "https://console.example/flows/detail?FlowId={}",
        "<https://console.example/flows/detail?flow_id={}|Flow details>",
    ]
)
WORDS = "stop Help start status LIST history pending whoami main-feed because --reason —reason= --project"
WORDS_TOO = "--project=hk --dry-run —dry-run"
MARKS = "--emergency --for 30m --force - -- — ` “ ” « » < > | = &amp; &lt; <http://a|b> <@U1> <#C1|x>"
FRAGMENTS = st.sampled_from(
    [*WORDS.split(), *WORDS_TOO.split(), *MARKS.split(), "\u200b", "\u00a0", "\n", "\ud800", "a" * 70, ""]
)
GRAMMATICAL = st.lists(st.tuples(FRAGMENTS, st.sampled_from([" ", "", "  ", "\u2003"])).map("".join), max_size=14).map(
    "".join
)


def mixed_case(word: str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.sampled_from([letter.lower(), letter.upper()]) for letter in word)).map("".join)


@st.composite
def decorated(draw: st.DrawFn, command: ChangeCommand) -> str:
    """Write a command in one of the ways in which people type it."""

    def word(text: str) -> str:
        needs_quotes = text.startswith("-") or text.lower() == "because"
        return draw(TIGHTLY_QUOTED if needs_quotes else QUOTED).format(text)

    flow = draw(ADDRESSES).format(command.flow) if draw(st.booleans()) else word(command.flow)
    parts = [draw(mixed_case(command.verb)), flow]
    options = []
    if command.project is not None:
        glue = draw(SPACES | st.just("="))
        value = word(command.project) if glue != "=" else f"`{command.project}`"
        options.append(draw(DASHES) + draw(mixed_case("project")) + glue + value)
    if command.dry_run:
        options.append(draw(DASHES) + draw(mixed_case("dry-run")))
    if command.emergency:
        options.append(draw(DASHES) + draw(mixed_case("emergency")))
    for option in options:
        parts.insert(draw(st.integers(0, len(parts))), option)
    text = draw(SPACES).join(parts)
    if command.reason is not None:
        opening = [" because ", " — because ", "—because ", " - because ", " --reason ", " –reason="]
        escaped = command.reason.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text += draw(st.sampled_from(opening)) + escaped
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(INVISIBLE)) + text[at:]
    return draw(SPACES | st.just("")) + text + draw(SPACES | st.just(""))


@hypothesis.given(st.text(st.characters(codec=None), max_size=200) | GRAMMATICAL)
def test_law_any_text_is_answered_and_a_change_is_always_whole(text: str) -> None:
    parsed = grammar.parse(text)
    if isinstance(parsed, ChangeCommand):
        assert parsed.verb in (Verb.STOP, Verb.START)
        assert grammar.FLOW.fullmatch(parsed.flow)
        assert parsed.project is None or grammar.FLOW.fullmatch(parsed.project)
        assert parsed.reason is None or grammar.judge_reason(parsed.reason) is None
    if isinstance(parsed, UsageError):
        assert len(parsed.detail) <= grammar.MAX_DETAIL
    if isinstance(parsed, ChangeCommand | HelpCommand):
        assert grammar.parse(grammar.render(parsed)) == parsed
    if isinstance(parsed, ReadCommand) and parsed.verb is not Verb.LIST:
        assert parsed.about is None or grammar.FLOW.fullmatch(parsed.about)
        assert grammar.parse(grammar.render(parsed)) == parsed


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            stop("main-feed", project="hk", dry_run=True, reason="it loops"),
            "stop main-feed --project hk --dry-run because it loops",
        ),
        (stop("main-feed", dry_run=True, emergency=True), "stop main-feed --dry-run --emergency"),
        (stop("-", project="--"), "stop `-` --project `--`"),
        (stop("because", verb=Verb.START), "start `because`"),
        (stop("main-feed", reason="a <b> & c"), "stop main-feed because a &lt;b&gt; &amp; c"),
        (read(Verb.LIST, "a <b> & &lt; --x"), "list a &lt;b&gt; &amp; &amp;lt; `--x`"),
        (read(Verb.PENDING), "pending"),
        (HelpCommand(verb=Verb.STOP), "help stop"),
    ],
)
def test_a_command_is_written_with_quotes_only_where_it_needs_them(
    command: ChangeCommand | ReadCommand | HelpCommand, text: str
) -> None:
    assert grammar.render(command) == text


def test_a_text_may_be_as_long_as_slack_sends_it_and_no_longer() -> None:
    longest = "list ".ljust(grammar.MAX_TEXT, "x")
    assert grammar.parse(longest) == read(Verb.LIST, longest.removeprefix("list "))
    assert grammar.parse(f"{longest}x") == wrong(UsageProblem.TOO_LONG, verb=None)


@pytest.mark.parametrize(("word", "shown"), [("x" * 80, "x" * 80), ("x" * 81, "x" * 79 + "…")])
def test_what_was_typed_is_repeated_whole_where_it_is_short_enough(word: str, shown: str) -> None:
    assert grammar.parse(word) == wrong(UsageProblem.UNKNOWN_VERB, shown, verb=None)


@hypothesis.given(CHANGES | HELPS | READS)
def test_law_a_rendered_command_is_read_as_itself(command: ChangeCommand | ReadCommand | HelpCommand) -> None:
    assert grammar.parse(grammar.render(command)) == command


@hypothesis.given(st.data(), CHANGES)
def test_law_decoration_changes_nothing(data: st.DataObject, command: ChangeCommand) -> None:
    text = data.draw(decorated(command))
    assert grammar.parse(text) == command


@hypothesis.given(st.data(), CHANGES)
def test_law_an_option_that_is_unknown_or_not_built_lets_nothing_happen(
    data: st.DataObject, command: ChangeCommand
) -> None:
    name = data.draw(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,9}", fullmatch=True) | st.sampled_from(["for", "force"]))
    hypothesis.assume(name.lower() not in ("project", "dry-run", "emergency", "reason", "because"))
    before_reason = grammar.render(dataclasses.replace(command, reason=None)).split(" ")
    at = data.draw(st.integers(0, len(before_reason)))
    before_reason.insert(at, data.draw(DASHES) + name)
    reason = "" if command.reason is None else " because x"
    assert isinstance(grammar.parse(" ".join(before_reason) + reason), NotYet | UsageError)


@hypothesis.given(CHANGES, st.sampled_from(Option), DASHES)
def test_law_our_options_in_a_reason_let_nothing_happen(command: ChangeCommand, option: Option, dashes: str) -> None:
    text = f"{grammar.render(dataclasses.replace(command, reason='x'))} {dashes}{option.removeprefix('--')} y"
    assert grammar.parse(text) == wrong(UsageProblem.OPTION_IN_REASON, option, verb=command.verb)
