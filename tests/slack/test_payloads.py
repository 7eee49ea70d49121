"""Slack's payloads as values: shapes, keys, and which ways back are trusted."""

import json
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.deliveries import Actor, Button, Clicked, Modal, Submitted, Typed, Verdict
from bot.commands.verbs import Door
from bot.slack import payloads
from bot.slack.messages import modals

COMMAND: Final[dict[str, Any]] = {
    "command": "/flow",
    "text": "stop main",
    "team_id": "T1",
    "user_id": "U1",
    "channel_id": "C1",
    "trigger_id": "1.2.abc",
}
CLICK: Final[dict[str, Any]] = {
    "type": "block_actions",
    "team": {"id": "T1"},
    "user": {"id": "U1", "team_id": "T7"},
    "container": {"channel_id": "C1", "message_ts": "1.0"},
    "actions": [{"action_id": "approve", "value": "r1"}],
    "trigger_id": "1.2.abc",
}
SLACK: Final = "https://slack.com/api/"
FORM: Final = "application/x-www-form-urlencoded"
TEXTS: Final = st.lists(
    st.sampled_from(["\0", "\ud83d", "\udc00", "\\", "u0000", "\\u0000", "\\ud83d", '"', "{", "n", "\u2028", "😀"])
).map("".join)
"""Texts that have a NUL or half a character, or look as if, or look like JSON."""


def submission(value: object, callback: str = "deny_reason", metadata: str = "r1") -> dict[str, Any]:
    """Return a submitted modal."""
    values = {modals.REASON_BLOCK: {modals.REASON_ACTION: {"type": "plain_text_input", "value": value}}}
    view = {"callback_id": callback, "private_metadata": metadata, "state": {"values": values}}
    return {"type": "view_submission", "team": {"id": "T1"}, "user": {"id": "U1"}, "view": view}


def test_a_command_becomes_a_value() -> None:
    entry, typed = payloads.typed(COMMAND, received_at=5.0)

    assert (entry.actor, entry.arrival) == (Actor(team="T1", user="U1"), Typed(text="stop main", channel="C1"))
    assert entry.arrival == typed


def test_a_command_without_text_is_an_empty_one() -> None:
    _, typed = payloads.typed({**COMMAND, "text": None}, received_at=5.0)

    assert typed == Typed(text="", channel="C1")


def mention(**event: object) -> dict[str, Any]:
    """Return the delivery of a message that begins with the bot's name."""
    usual = {"type": "app_mention", "user": "U1", "text": "<@UBOT> stop main", "ts": "5.000200", "channel": "C1"}
    return {"type": "event_callback", "team_id": "T1", "event": {**usual, "team": "T7", **event}}


def test_a_mention_becomes_a_value() -> None:
    found = payloads.mentioned(mention(), bot_user="UBOT", received_at=9.0)

    assert found is not None
    entry, typed = found
    assert typed == Typed(text="stop main", channel="C1", door=Door.MENTION, ts="5.000200")
    assert (entry.actor, entry.arrival) == (Actor(team="T7", user="U1"), typed)


@pytest.mark.parametrize(
    ("thread", "expected"), [("4.000100", "4.000100"), ("5.000200", None), (None, None), ("", None)]
)
def test_only_a_reply_stands_in_a_thread(thread: object, expected: str | None) -> None:
    found = payloads.mentioned(mention(thread_ts=thread), bot_user="UBOT", received_at=9.0)

    assert found is not None
    assert found[1].thread_ts == expected


@pytest.mark.parametrize(
    ("ts", "received_at", "counts_from"), [("5.000200", 9.0, 5.0002), ("5.0", 4.0, 4.0), ("x", 9.0, 9.0)]
)
def test_a_mention_counts_from_when_it_was_written_and_never_from_the_future(
    ts: str, received_at: float, counts_from: float
) -> None:
    found = payloads.mentioned(mention(ts=ts), bot_user="UBOT", received_at=received_at)

    assert found is not None
    assert found[0].received_at == counts_from


@pytest.mark.parametrize(
    "event",
    [
        {"text": "hey <@UBOT> stop main"},
        {"text": "<@UBOT2> stop main"},
        {"bot_id": "B1"},
        {"bot_profile": {"id": "B1"}},
        {"app_id": "A1"},
        {"subtype": "message_changed"},
        {"subtype": "bot_message"},
        {"user": None},
        {"user": 7},
    ],
)
def test_what_no_person_wrote_to_the_bot_is_no_mention(event: dict[str, object]) -> None:
    assert payloads.mentioned(mention(**event), bot_user="UBOT", received_at=9.0) is None


def test_a_message_has_one_key_as_long_as_its_words_stay_the_same() -> None:
    def key(**event: object) -> str:
        found = payloads.mentioned({**mention(**event), "event_id": str(event)}, bot_user="UBOT", received_at=9.0)
        assert found is not None
        return found[0].key

    assert key() == key(edited={"ts": "6.0"}) == key(text="<@UBOT>  stop main ")
    others = [{"text": "<@UBOT> stop other"}, {"ts": "5.000300"}, {"channel": "C2"}]
    assert len({key(), *(key(**other) for other in others)}) == 4


@pytest.mark.parametrize("carried", ["2 slash list feed", "2 mention list"])
def test_a_button_of_the_list_carries_page_door_and_command(carried: str) -> None:
    action = {"action_id": "list_later", "value": carried}
    container = {"channel_id": "C1", "message_ts": "1.0", "thread_ts": "0.5"}

    found = payloads.turned({**CLICK, "actions": [action], "container": container}, received_at=5.0)

    assert found is not None
    _, typed, page = found
    _, door, text = carried.split(" ", maxsplit=2)
    assert (typed, page) == (Typed(text=text, channel="C1", door=Door(door), thread_ts="0.5"), 2)


@pytest.mark.parametrize("carried", ["", "2", "x slash list", "2 window list", None])
def test_a_button_of_the_list_that_carries_something_else_is_a_value_error(carried: str | None) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several kinds of it
        payloads.turned({**CLICK, "actions": [{"action_id": "list_later", "value": carried}]}, received_at=5.0)


def test_another_button_turns_no_page() -> None:
    assert payloads.turned(CLICK, received_at=5.0) is None


def test_an_event_is_for_whom_it_is_authorized() -> None:
    shared = {
        "team_id": "T9",
        "authorizations": [{"team_id": "T1", "enterprise_id": None}, None, {"enterprise_id": "E1"}],
    }

    assert payloads.teams(shared) == {"T9", "T1", "E1"}
    assert payloads.teams({"team_id": "T9", "authorizations": 7}) == {"T9"}


def test_a_modal_is_for_where_the_app_is_installed_also_where_its_person_is_of_another_organisation() -> None:
    foreign = {
        **submission("x"),
        "team": {"id": "T9", "enterprise_id": "E9"},
        "enterprise": {"id": "E9"},
        "user": {"id": "W9", "team_id": "T9"},
    }
    foreign["view"] |= {"team_id": "T9", "app_installed_team_id": "T1"}

    assert "T1" in payloads.teams(foreign)
    assert payloads.submitted(foreign, received_at=5.0)[0].actor == Actor(team="T9", user="W9")
    for view in (None, 7, {"app_installed_team_id": None}, {"app_installed_team_id": ["T1"]}, {"team_id": "T1"}):
        assert payloads.teams({**foreign, "view": view}) == {"T9", "E9"}


@pytest.mark.parametrize(
    ("user", "grid", "team"),
    [
        ({"team_id": "E1"}, {"team": None, "enterprise": {"id": "E1"}}, "E1"),
        ({"team_id": None}, {"team": None, "enterprise": {"id": "E1"}, "is_enterprise_install": True}, "E1"),
        ({"team_id": "T2"}, {"team": {"id": "T1", "enterprise_id": "E1"}, "enterprise": {"id": "E1"}}, "T2"),
        ({}, {"team": {"id": "T1"}, "enterprise": None}, "T1"),
    ],
)
def test_a_click_in_an_organisation_is_of_a_workspace_or_of_the_organisation(
    user: dict[str, Any], grid: dict[str, Any], team: str
) -> None:
    entry, _ = payloads.clicked({**CLICK, **grid, "user": {"id": "W1", **user}}, received_at=5.0)

    assert entry.actor == Actor(team=team, user="W1")


@pytest.mark.parametrize("kind", ["block_actions", "view_submission"])
@pytest.mark.parametrize("user", [None, {}, {"id": None}, {"id": 7}, {"id": ""}, "U1", {"team_id": "T1"}])
def test_what_is_done_in_nobodys_name_is_incomplete(kind: str, user: object) -> None:
    payload = {**CLICK, **submission("x"), "actions": CLICK["actions"], "type": kind}
    payloads.check(payload)

    for bad in ({**payload, "user": user}, {name: value for name, value in payload.items() if name != "user"}):
        with pytest.raises(ValueError, match="incomplete"):
            payloads.check(bad)


def test_a_click_becomes_a_value_with_its_own_team() -> None:
    entry, clicked = payloads.clicked(CLICK, received_at=5.0)

    assert entry.actor == Actor(team="T7", user="U1")
    assert clicked == Clicked(button=Button.APPROVE, request_id="r1", channel="C1", message_ts="1.0")


@pytest.mark.parametrize(
    ("changed", "channel", "ts"),
    [
        ({"container": None, "channel": {"id": "C2"}}, "C2", None),
        ({"container": {"type": "view"}}, "", None),
        ({"container": {}, "channel": None}, "", None),
    ],
)
def test_a_click_may_lack_its_place(changed: dict[str, Any], channel: str, ts: str | None) -> None:
    _, clicked = payloads.clicked({**CLICK, **changed}, received_at=5.0)

    assert (clicked.channel, clicked.message_ts) == (channel, ts)


@pytest.mark.parametrize("ts", [7, [], {}, False])
def test_a_click_on_a_message_without_a_name_is_incomplete(ts: object) -> None:
    with pytest.raises(ValueError, match="incomplete"):
        payloads.check({**CLICK, "container": {"channel_id": "C1", "message_ts": ts}})


def test_a_button_without_a_value_carries_nothing() -> None:
    _, clicked = payloads.clicked({**CLICK, "actions": [{"action_id": "deny", "value": None}]}, received_at=5.0)

    assert clicked.request_id == ""


def test_a_button_that_is_not_ours_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="looking"):
        payloads.clicked({**CLICK, "actions": [{"action_id": "looking"}]}, received_at=5.0)


@pytest.mark.parametrize(
    ("typed", "reason"), [(" it loops \n", "it loops"), ("", None), ("  ", None), (None, None), (7, None)]
)
def test_a_submitted_reason_is_trimmed_and_blank_is_none(typed: object, reason: str | None) -> None:
    _, submitted = payloads.submitted(submission(typed), received_at=5.0)

    assert submitted == Submitted(modal=Modal.DENY_REASON, request_id="r1", reason=reason)


@pytest.mark.parametrize("state", [None, {}, {"values": None}, {"values": {modals.REASON_BLOCK: None}}])
def test_a_view_without_the_input_has_no_reason(state: object) -> None:
    payload = submission("x")
    payload["view"]["state"] = state

    assert payloads.submitted(payload, received_at=5.0)[1].reason is None


@pytest.mark.parametrize(("typed", "name"), [(" premium-1 \n", "premium-1"), ("  ", None), (None, None), (7, None)])
def test_a_submitted_name_stands_beside_the_reason(typed: object, name: str | None) -> None:
    payload = submission("it loops", callback="type_name", metadata="e1")
    payload["view"]["state"]["values"][modals.NAME_BLOCK] = {modals.NAME_ACTION: {"value": typed}}

    _, submitted = payloads.submitted(payload, received_at=5.0)

    assert submitted == Submitted(modal=Modal.TYPE_NAME, request_id="e1", reason="it loops", name=name)


@pytest.mark.parametrize(("block_id", "both"), [(modals.BOTH_MISSING, True), ("b", False), (None, False), (7, False)])
def test_the_place_of_a_button_tells_whether_a_reason_is_missing_besides_the_name(block_id: object, both: bool) -> None:
    assert payloads.asks_reason_too({"actions": [{"action_id": "type_name", "block_id": block_id}]}) is both


@pytest.mark.parametrize(
    ("chosen", "verdict"),
    [
        ({"value": "justified"}, Verdict.JUSTIFIED),
        ({"value": "not_justified", "text": {"type": "plain_text", "text": "x"}}, Verdict.NOT_JUSTIFIED),
        ({"value": "whatever"}, None),
        ({}, None),
        ("justified", None),
        (None, None),
    ],
)
def test_a_review_carries_its_verdict_and_its_comment(chosen: object, verdict: Verdict | None) -> None:
    payload = submission(" it burned ", callback="review")
    field = {modals.VERDICT_ACTION: {"type": "radio_buttons", "selected_option": chosen}}
    payload["view"]["state"]["values"][modals.VERDICT_BLOCK] = field
    _, submitted = payloads.submitted(payload, received_at=1.0)
    assert submitted == Submitted(modal=Modal.REVIEW, request_id="r1", reason="it burned", verdict=verdict)


def test_a_modal_that_is_not_ours_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="other"):
        payloads.submitted(submission("x", callback="other"), received_at=5.0)


def test_the_same_delivery_has_the_same_key_and_another_has_not() -> None:
    key = payloads.key("command", COMMAND)

    assert payloads.key("command", {**COMMAND, "text": "other words"}) == key
    others = [{**COMMAND, "trigger_id": "9.9"}, {**COMMAND, "team_id": "T2"}]
    assert len({key, payloads.key("click", COMMAND), *(payloads.key("command", other) for other in others)}) == 4


def test_a_key_holds_nothing_that_could_be_read_back() -> None:
    assert "abc" not in payloads.key("command", COMMAND)


def test_without_a_trigger_the_whole_payload_is_the_key() -> None:
    bare = {name: value for name, value in COMMAND.items() if name != "trigger_id"}

    assert payloads.key("command", bare) == payloads.key("command", dict(reversed(bare.items())))
    assert payloads.key("command", bare) != payloads.key("command", {**bare, "text": "x"})


@pytest.mark.parametrize(
    ("payload", "team"),
    [
        ({"team_id": "T1", "enterprise_id": "E1"}, "T1"),
        ({"team": {"id": "T1"}}, "T1"),
        ({"team": None, "enterprise_id": "E1"}, "E1"),
        ({"team": None, "enterprise": {"id": "E1", "name": "Grid"}}, "E1"),
        ({"team": {"id": "T1"}, "enterprise": {"id": "E1"}}, "T1"),
        ({"team_id": None, "team": {"id": None}, "enterprise": None, "enterprise_id": "E1"}, "E1"),
        ({}, ""),
    ],
)
def test_the_team_of_an_actor_is_found_in_every_shape(payload: dict[str, Any], team: str) -> None:
    entry, _ = payloads.typed({"user_id": "U1", "channel_id": "C1", **payload}, received_at=5.0)

    assert entry.actor.team == team


@pytest.mark.parametrize(
    ("url", "api", "trusted"),
    [
        ("https://hooks.slack.com/commands/1", SLACK, True),
        ("https://acme.slack.com/x", SLACK, True),
        ("http://hooks.slack.com/commands/1", SLACK, False),
        ("https://hooks.slack.com.evil.example/1", SLACK, False),
        ("https://evilslack.com/1", SLACK, False),
        ("https://hooks.slack.com@evil.example/1", SLACK, False),
        ("https://evil.example/#.slack.com", SLACK, False),
        ("http://127.0.0.1:9/1", SLACK, False),
        ("http://169.254.169.254/latest", SLACK, False),
        ("file:///etc/passwd", SLACK, False),
        ("", SLACK, False),
        (None, SLACK, False),
        (["https://hooks.slack.com/1"], SLACK, False),
        ("http://127.0.0.1:7/response/1", "http://127.0.0.1:8/api/", True),
        ("https://hooks.slack.com/1", "http://127.0.0.1:8/api/", False),
        ("http://localhost:7/1", "http://127.0.0.1:8/api/", False),
        ("http://[::1/1", SLACK, False),
        ("http://[::1]:7/1", "http://[::1]:8/api/", True),
    ],
)
def test_only_slacks_own_way_back_is_trusted(url: object, api: str, trusted: bool) -> None:
    found = payloads.response_url({"response_url": url}, api_url=api)

    assert found == (url if trusted else None)


@pytest.mark.parametrize("text", ["stop \0main", "stop \ud800main", "stop main\udc00"])
def test_what_no_database_can_hold_is_dropped_from_what_somebody_typed_and_the_rest_is_let_in(text: str) -> None:
    fields = {**COMMAND, "text": text}
    in_json = json.dumps({"payload": fields}).encode()

    by_http = payloads.parse(urlencode(fields, errors="surrogatepass").encode(), FORM)
    by_socket = payloads.parse(in_json, "application/json")["payload"]

    assert by_http == by_socket == {**fields, "text": "stop main"}


@pytest.mark.parametrize("bad", ["\0", "\ud800", "\ud83d\ude00\0"])
def test_what_no_database_can_hold_is_dropped_from_a_message_a_view_and_an_event(bad: str) -> None:
    button = {**CLICK["actions"][0], "text": {"type": "plain_text", "text": f"Approve{bad}"}}
    sent = [
        {**CLICK, "actions": [button], "message": {"text": bad, "blocks": [{"alt_text": bad, bad: bad}]}},
        {**submission(f"loud{bad}noise"), "state": {"values": {}}},
        {"event": {"text": f"<@U1> stop{bad}", "blocks": [{"url": bad}], "files": [{"title": bad}]}},
    ]
    for payload in sent:
        parsed = payloads.parse(json.dumps(payload).encode(), "application/json")

        assert storable(texts_in(parsed))
        assert payloads.parse(urlencode({"payload": json.dumps(payload)}).encode(), FORM) == parsed


@pytest.mark.parametrize("text", ["log says \\u0000", "\\\\u0000", "\\x00 \\0 %00 &#0;", "\u2400", '{"a": "\\u0000"}'])
def test_what_only_looks_like_a_nul_is_let_in(text: str) -> None:
    payload = {"type": "block_actions", "message": {"text": text, text: [text]}}

    assert payloads.parse(json.dumps(payload).encode(), "application/json") == payload
    assert payloads.parse(urlencode({"payload": json.dumps(payload)}).encode(), FORM) == payload


@given(value=st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_what_no_database_can_hold_is_found_where_it_is_and_nowhere_else(value: object) -> None:
    payload = {"inside": whole(value)}

    def parsed() -> bool:
        try:
            return payloads.parse(json.dumps(payload).encode(), "application/json") == payload
        except ValueError:
            return False

    assert parsed() is storable(texts_in(payload))


@given(value=st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_a_message_that_is_sent_back_is_always_let_in_without_what_no_database_can_hold(value: object) -> None:
    payload = {"message": whole(value)}

    parsed = payloads.parse(json.dumps(payload).encode(), "application/json")

    assert storable(texts_in(parsed))
    assert parsed == payload or not storable(texts_in(payload))


def whole(value: object) -> object:
    """Return the value as JSON carries it, which puts two fitting halves of a character together."""
    return json.loads(json.dumps(value))


def storable(text: str) -> bool:
    """Tell whether every database can hold a text."""
    return not any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text)


def texts_in(value: object) -> str:
    """Return all texts within a value, one behind the other."""
    if isinstance(value, dict):
        return "".join(f"{name}{texts_in(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(map(texts_in, value))
    return str(value)


@pytest.mark.parametrize("bad", ["\0", "\ud800"])
@pytest.mark.parametrize("field", ["user_id", "channel_id", "team_id", "command", "trigger_id", "response_url"])
def test_an_id_with_what_no_database_can_hold_is_not_let_in(field: str, bad: str) -> None:
    fields = {**COMMAND, field: f"{COMMAND.get(field, 'x')}{bad}"}

    with pytest.raises(ValueError, match="NUL"):
        payloads.parse(urlencode(fields, errors="surrogatepass").encode(), FORM)
    with pytest.raises(ValueError, match="NUL"):
        payloads.parse(json.dumps({"payload": fields}).encode(), "application/json")


@pytest.mark.parametrize("place", ["value", "action_id"])
def test_a_button_with_what_no_database_can_hold_is_not_let_in(place: str) -> None:
    payload = {**CLICK, "actions": [{**CLICK["actions"][0], place: "r1\0"}]}

    with pytest.raises(ValueError, match="NUL"):
        payloads.parse(json.dumps(payload).encode(), "application/json")


def test_a_form_with_bad_bytes_in_a_field_keeps_the_rest() -> None:
    parsed = payloads.parse(b"command=/flow&text=%ff", "application/x-www-form-urlencoded")

    assert parsed == {"command": "/flow", "text": "�"}


def test_a_bare_nul_is_not_let_in() -> None:
    with pytest.raises(ValueError, match="NUL"):
        payloads.parse(b"command=/flow&text=\0", "application/x-www-form-urlencoded")
