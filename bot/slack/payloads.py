"""Slack's payloads as values. Pure: dicts in, values of `arrivals` out.

Only ids are trusted and kept; names, links and tokens are not.
"""

import hashlib
import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

from bot.commands import slack_text
from bot.commands.deliveries import Actor, Button, Clicked, Entry, Modal, Submitted, Typed, Verdict
from bot.commands.verbs import Door
from bot.slack.messages import flows, modals

Payload = Mapping[str, Any]

OF_PEOPLE: Final = (None, "thread_broadcast", "file_share")
"""Subtypes of messages written by people; an edit is `message_changed`."""

OF_APPS: Final = ("bot_id", "bot_profile", "app_id")
"""Fields of a message posted by an app, including those posted in a person's name."""

OF_SOMEBODY: Final = ("block_actions", "view_submission")
"""Interactions that act for the person who made them."""

WRITTEN: Final = frozenset({"text", "state", "message", "blocks", "attachments", "files"})
"""Fields with what people wrote, or with a message that holds it; the others are ids and the like."""

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]+")
"""What PostgreSQL or UTF-8 cannot hold: NUL, and halves of characters."""

_SUSPECT: Final = re.compile(rf"{_UNSTORABLE.pattern}|\\u(?:0000|[Dd][89A-Fa-f])")
"""What JSON with something unstorable has in it, and perhaps other JSON as well."""

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def parse(body: bytes, content_type: str) -> dict[str, Any]:
    """Read the body of a delivery, form or JSON. Raises ValueError for what Slack does not send.

    A NUL or half a character is dropped from what people wrote, so that they are answered; in an id it is an error.
    """
    text = body.decode("utf-8")
    if "\0" in text:
        raise ValueError("a NUL character")
    if content_type.split(";")[0].strip().lower() == "application/json":
        return _object(text)
    form = _form(text)
    if set(form) == {"payload"}:
        return _object(form["payload"])
    if "command" not in form:
        raise ValueError("neither a command nor a payload")
    return _fields(form)


def check(payload: Payload) -> None:
    """Raise ValueError where a command or an interaction lacks what the functions below rely on."""
    if "command" in payload:
        wanted: list[object] = [payload.get("user_id"), payload.get("channel_id")]
    elif payload.get("type") == "event_callback":
        wanted = _wanted_of(_inner(payload.get("event")))
    else:
        needed = "user" in payload or payload.get("type") in OF_SOMEBODY
        wanted = [_inner(payload.get("user")).get("id")] if needed else []
    actions = payload.get("actions")
    if payload.get("type") == "block_actions":
        wanted += [isinstance(actions, list) and actions and _inner(actions[0]).get("action_id")]
    if payload.get("type") == "view_submission":
        wanted += [_inner(payload.get("view")).get("callback_id")]
    optional = [payload.get("callback_id"), _inner(payload.get("container")).get("message_ts")]
    texts = [payload.get("text", ""), *(each for each in optional if each is not None)]
    inner = [payload.get(name) or {} for name in ("container", "channel", "team") if "command" not in payload]
    whole = all(isinstance(value, str) and value for value in wanted)
    if (
        not whole
        or not all(isinstance(text, str) for text in texts)
        or not all(isinstance(each, dict) for each in inner)
    ):
        raise ValueError("incomplete")


def _wanted_of(event: Mapping[str, Any]) -> list[object]:
    """Return what an event must name; only of mentions more than their type is read."""
    if event.get("type") != "app_mention":
        return [event.get("type")]
    return [event.get("channel"), event.get("ts"), isinstance(event.get("text"), str) and "its text may be empty"]


def _inner(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def teams(payload: Payload) -> frozenset[str]:
    """Return the ids of the workspace and the organisation that the delivery says it is for."""
    within = [payload[key] for key in ("team", "enterprise") if isinstance(payload.get(key), dict)]
    ids = [payload.get("team_id"), payload.get("enterprise_id"), *(each.get("id") for each in within)]
    # Where organisations share a channel, the team of a modal or an event may be the other one; these tell ours.
    ids.append(_inner(payload.get("view")).get("app_installed_team_id"))
    authorizations = payload.get("authorizations")
    for each in map(_inner, authorizations if isinstance(authorizations, list) else ()):
        ids += [each.get("team_id"), each.get("enterprise_id")]
    return frozenset(id for id in ids if isinstance(id, str) and id)


def is_foreign(payload: Payload, *, ours: frozenset[str]) -> bool:
    """Tell whether a delivery is for another workspace for sure; while `ours` is empty, nobody knows which ours is."""
    named = teams(payload)
    return not named or (bool(ours) and named.isdisjoint(ours))


def authorized_bot(payload: Payload) -> str | None:
    """Return the id of our bot user as an event itself says it; None where it does not.

    An event's `authorizations` name an installation that it is for, with the user whom that installation is of.
    """
    authorizations = payload.get("authorizations")
    for each in map(_inner, authorizations if isinstance(authorizations, list) else ()):
        if each.get("is_bot") is True and isinstance(each.get("user_id"), str):
            return str(each["user_id"])
    return None


def typed(payload: Payload, *, received_at: float) -> tuple[Entry, Typed]:
    """Read a slash command."""
    actor = Actor(team=_team(payload), user=payload["user_id"])
    arrival = Typed(text=payload.get("text") or "", channel=payload["channel_id"])
    return Entry(key=key("command", payload), actor=actor, arrival=arrival, received_at=received_at), arrival


def mentioned(payload: Payload, *, bot_user: str, received_at: float) -> tuple[Entry, Typed] | None:
    """Read a message that begins with the bot's name; None for any other, and for what no person wrote just so.

    A message acts once, however often it is delivered or edited, as long as its words stay the same. It counts from the
    time when it was written: Slack delivers events late, and again.
    """
    event = payload["event"]
    user = event.get("user")
    text = slack_text.after_mention(event["text"], bot_user)
    automatic = any(event.get(sign) for sign in OF_APPS)
    if text is None or not isinstance(user, str) or automatic or event.get("subtype") not in OF_PEOPLE:
        return None
    channel, ts, thread = event["channel"], event["ts"], _thread(event)
    team = event.get("user_team") or event.get("team") or _team(payload)
    arrival = Typed(text=text, channel=channel, door=Door.MENTION, ts=ts, thread_ts=thread if thread != ts else None)
    entry = Entry(
        key=_hash("mention", _team(payload), channel, ts, text),
        actor=Actor(team=str(team), user=user),
        arrival=arrival,
        received_at=min(received_at, _seconds(ts) or received_at),
    )
    return entry, arrival


def turned(payload: Payload, *, received_at: float) -> tuple[Entry, Typed, int] | None:
    """Read a button that turns a page of the list: who asks for which page of what. None for any other button."""
    action = payload["actions"][0]
    if action["action_id"] not in (flows.EARLIER, flows.LATER):
        return None
    page, door, text = flows.turned(str(action.get("value") or ""))
    container = payload.get("container") or {}
    typed = Typed(text=text, channel=str(container.get("channel_id") or ""), door=door, thread_ts=_thread(container))
    return Entry(key=key("turn", payload), actor=_clicker(payload), arrival=typed, received_at=received_at), typed, page


def clicked(payload: Payload, *, received_at: float) -> tuple[Entry, Clicked]:
    """Read a pressed button. Raises ValueError for a button that is not ours."""
    action, container = payload["actions"][0], payload.get("container") or {}
    arrival = Clicked(
        button=Button(action["action_id"]),
        request_id=str(action.get("value") or ""),
        channel=str(container.get("channel_id") or (payload.get("channel") or {}).get("id") or ""),
        message_ts=container.get("message_ts"),
        thread_ts=_thread(container),
    )
    return Entry(key=key("click", payload), actor=_clicker(payload), arrival=arrival, received_at=received_at), arrival


def asks_reason_too(payload: Payload) -> bool:
    """Tell whether the button that opens the modal for a name stands where a reason is missing as well."""
    return bool(payload["actions"][0].get("block_id") == modals.BOTH_MISSING)


def submitted(payload: Payload, *, received_at: float) -> tuple[Entry, Submitted]:
    """Read a submitted modal. Raises ValueError for a modal that is not ours."""
    view = payload["view"]
    arrival = Submitted(
        modal=Modal(view["callback_id"]),
        request_id=str(view.get("private_metadata") or ""),
        reason=_typed_in(view, modals.REASON_BLOCK, modals.REASON_ACTION),
        name=_typed_in(view, modals.NAME_BLOCK, modals.NAME_ACTION),
        verdict=_verdict(view),
    )
    return Entry(
        key=key("submission", payload), actor=_clicker(payload), arrival=arrival, received_at=received_at
    ), arrival


def key(kind: str, payload: Payload) -> str:
    """Return the key under which a delivery acts once, whichever door it comes through."""
    sign = payload.get("trigger_id") or json.dumps(payload, sort_keys=True, default=str)
    return _hash(kind, _team(payload), str(sign))


def response_url(payload: Payload, *, api_url: str) -> str | None:
    """Return the delivery's `response_url` if it is Slack's own, or of the same loopback host as a stand-in's API."""
    url = payload.get("response_url")
    if not isinstance(url, str):
        return None
    try:
        target, api = urllib.parse.urlsplit(url), urllib.parse.urlsplit(api_url)
    except ValueError:
        return None
    if api.hostname in LOOPBACK:
        return url if target.hostname == api.hostname else None
    slack_own = target.hostname is not None and target.hostname.endswith(".slack.com")
    return url if slack_own and target.scheme == "https" else None


def _thread(place: Payload) -> str | None:
    thread = place.get("thread_ts")
    return thread if isinstance(thread, str) and thread else None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _seconds(ts: str) -> float | None:
    return float(ts) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", ts) else None


def _form(text: str) -> dict[str, str]:
    def read(errors: str) -> dict[str, str]:
        return dict(
            urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=100, errors=errors)
        )

    try:
        return read("surrogatepass")
    except UnicodeDecodeError:
        return read("replace")


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return _fields(value) if _SUSPECT.search(text) else value


def _fields(found: Payload) -> dict[str, Any]:
    return {_storable(name): _storable(value, written=name in WRITTEN) for name, value in found.items()}


def _storable(value: Any, *, written: bool = False) -> Any:
    """Return the value without what no database can hold. Raises ValueError where that is in no text of a person's."""
    match value:
        case str():
            if not written and _UNSTORABLE.search(value):
                raise ValueError("a NUL or half a character")
            return _UNSTORABLE.sub("", value)
        case list():
            return [_storable(each, written=written) for each in value]
        case dict() if written:
            return {_storable(name, written=True): _storable(inner, written=True) for name, inner in value.items()}
        case dict():
            return _fields(value)
        case _:
            return value


def _team(payload: Payload) -> str:
    """Return the workspace that a delivery is for, or the organisation where the app is installed in that."""
    within = (_inner(payload.get(key)).get("id") for key in ("team", "enterprise"))
    ids = (payload.get("team_id"), *within, payload.get("enterprise_id"))
    return str(next((id for id in ids if id), ""))


def _clicker(payload: Payload) -> Actor:
    user = payload["user"]
    return Actor(team=str(user.get("team_id") or _team(payload)), user=user["id"])


def _typed_in(view: Payload, block: str, action: str) -> str | None:
    value = _field(view, block, action).get("value")
    return slack_text.reason(value) or None if isinstance(value, str) else None


def _verdict(view: Payload) -> Verdict | None:
    chosen = _field(view, modals.VERDICT_BLOCK, modals.VERDICT_ACTION).get("selected_option")
    try:
        return Verdict(str(_inner(chosen).get("value")))
    except ValueError:
        return None


def _field(view: Payload, block: str, action: str) -> Payload:
    """Return what stands in one field of a modal."""
    values = _inner(_inner(view.get("state")).get("values"))
    return _inner(_inner(values.get(block)).get(action))
