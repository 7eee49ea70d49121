"""Results of the read commands: one flow, the open requests, the history.

Owns these words, and the reasons why there is no result. Only the reader sees them, so Slack's notation for people
pings nobody here. The list of flows is in `flows`, rights are in `rights`.
"""

from collections.abc import Iterable
from typing import Final, assert_never

from slack_sdk.models import blocks

from bot.commands.verbs import Door
from bot.lifecycle.records import Request
from bot.slack.messages import answers as answer_messages
from bot.slack.messages import emergencies, flows, refusals, rights, state
from bot.slack.messages.card import about
from bot.slack.messages.headline import headline
from bot.slack.messages.message import Message, context, message, section, tell
from bot.slack.messages.text import code, day, escape, fit, link, listed, quote, short_id, user
from bot.usecases import answers, query_results
from bot.usecases.answers import CardLink

MOST_TEXT: Final = 3_800
"""Maximum length of `text`, which consists of whole lines."""

HIDDEN: Final = "reason and link are not shown here, because its card is in a private channel"


def show(value: query_results.Shown | query_results.NotShown, *, door: Door, workspace_url: str) -> Message:
    """Return the result, or why there is none. `workspace_url` is Slack's own; `door` is where it was asked for."""
    match value:
        case query_results.Status():
            return _status(value, workspace_url)
        case query_results.Flows():
            return flows.page(value, door=door)
        case query_results.FlowsUnread():
            return tell(*answer_messages.unreadable("The list of flows", value.project, value.failure, so=""))
        case query_results.Pending():
            return _pending(value, workspace_url)
        case query_results.History():
            return _history(value, workspace_url)
        case query_results.Whoami():
            return rights.whoami(value)
        case answers.Refused() | answers.NoSuchFlow() | answers.Unreadable() | answers.WhichProject():
            return tell(*_not_shown(value))
        case _:
            assert_never(value)


def _not_shown(value: query_results.NotShown) -> tuple[str, ...]:
    match value:
        case answers.Refused():
            people = value.people
            return (refusals.refusal(value.decision, action=value.action, flow=value.flow, people=people),)
        case answers.NoSuchFlow():
            return answer_messages.no_such_flow(value, so="")
        case answers.Unreadable():
            return answer_messages.unreadable(code(value.typed), value.project, value.failure, so="")
        case answers.WhichProject():
            return (answer_messages.which_project(value, so=""),)
        case _:
            assert_never(value)


def _status(value: query_results.Status, workspace_url: str) -> Message:
    flow, where = value.flow, escape(value.project, most=40)
    name = f"{code(flow.name or flow.flow_id)} (…{short_id(flow.flow_id)}) in {where}"
    first = f"{name}: {escape(flow.status, most=40) or 'state unknown'}"
    details = "\n".join(about(flow))
    parts = [section(f"*{first}*"), context(details)]
    lines = [first, details]
    if value.holder is not None:
        _add(parts, lines, "Open request", (value.holder,), workspace_url)
    if value.last:
        _add(parts, lines, "Last requests", value.last, workspace_url)
    elif value.holder is None:
        lines.append("Nobody has asked me to change it yet.")
        parts.append(context(lines[-1]))
    return message(fit(lines, most=MOST_TEXT), *parts)


def _pending(value: query_results.Pending, workspace_url: str) -> Message:
    if not value.deciding and not value.others:
        return tell("No request is open.")
    parts: list[blocks.Block] = []
    lines: list[str] = []
    if value.deciding:
        _add(parts, lines, "You may decide", value.deciding, workspace_url)
    if value.others:
        _add(
            parts,
            lines,
            "Others decide" if value.deciding else "Open, for others to decide",
            value.others,
            workspace_url,
        )
    if value.more:
        lines.append(f"And {value.more} more.")
        parts.append(context(lines[-1]))
    return message(fit(lines, most=MOST_TEXT), *parts)


def _history(value: query_results.History, workspace_url: str) -> Message:
    where = listed(tuple(escape(name, most=40) for name in value.projects), most=5)
    what = f"for {code(value.about)} in {where}" if value.about is not None else f"in {where}"
    if not value.rows:
        return tell(f"Nobody has asked me for anything {what} yet.")
    parts: list[blocks.Block] = []
    lines: list[str] = []
    _add(parts, lines, f"Last requests {what}, newest first", value.rows, workspace_url)
    return message(fit(lines, most=MOST_TEXT), *parts)


def _add(
    parts: list[blocks.Block], lines: list[str], heading: str, rows: Iterable[query_results.Row], workspace_url: str
) -> None:
    """Add rows under a heading, to the blocks and to the lines of the text."""
    parts.append(section(f"*{heading}:*"))
    lines.append(f"{heading}:")
    for row in rows:
        first, small, reason = _row(row, workspace_url)
        parts += [section(first), context(small, *((reason,) if reason else ()))]
        lines.append(f"{first}. {small}")


def _row(row: query_results.Row, workspace_url: str) -> tuple[str, str, str]:
    """Return the request with its state, who asked and where, and separately the reason, which a person wrote."""
    seen = row.request
    now = state.line(seen, workspace_url=workspace_url)
    name = f"{code(seen.flow.called)} (…{short_id(seen.flow.flow_id)})"
    mark = emergencies.mark(dry_run=seen.dry_run, emergency=seen.emergency is not None)
    review = emergencies.review(seen, workspace_url=workspace_url)
    asked = f"{mark}{seen.verb.capitalize()} {name} in {escape(seen.project, most=40)}"
    first = f"• {headline(seen) if now.settled else asked} · {now.spoken}"
    first = f"{first}. {review}" if review else first
    place = HIDDEN if row.hidden else link(_card(seen), workspace_url=workspace_url)
    small = f"Asked by {user(seen.requester.user)} {day(seen.asked_at)}; {place}"
    return first, small, f"Reason: {quote(seen.reason)}" if seen.reason else ""


def _card(seen: Request) -> CardLink:
    where = seen.card
    return CardLink(
        request_id=seen.id,
        verb=seen.verb,
        flow=seen.flow.name,
        channel=where.channel,
        ts=where.ts,
        thread=where.thread,
    )
