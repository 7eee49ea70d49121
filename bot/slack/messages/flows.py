"""One page of the list of a project's flows, with the buttons for the other pages.

Owns these words and the ids of the buttons. A button carries the page and the command that the list answers.
"""

from typing import Final

from slack_sdk.models import blocks

from bot.commands import grammar
from bot.commands.verbs import Door
from bot.slack.messages.headline import counted
from bot.slack.messages.message import Message, actions, context, message, plain, section
from bot.slack.messages.text import code, escape, quote
from bot.usecases.query_results import Flows, ListedFlow

EARLIER: Final = "list_earlier"
LATER: Final = "list_later"

MOST_VALUE: Final = 2_000
"""Maximum length of a button's value."""

IN_A_BLOCK: Final = 10
MOST_TALLY: Final = 4


def page(value: Flows, *, door: Door) -> Message:
    """Return one page of the list."""
    first = _first(value)
    if not value.rows:
        return message(f"{first}. {_age(value)}", section(first), context(_age(value)))
    rows = [_row(row) for row in value.rows]
    parts = [section(f"*{first}*")]
    parts += [section("\n".join(rows[at : at + IN_A_BLOCK])) for at in range(0, len(rows), IN_A_BLOCK)]
    parts.append(context(_age(value)))
    if buttons := _buttons(value, door):
        parts.append(actions(*buttons))
    return message("\n".join((first, *rows, _age(value))), *parts)


def turned(carried: str) -> tuple[int, Door, str]:
    """Parse a button's value: the page, the door and the command. Raises ValueError for anything else."""
    number, door, text = carried.split(" ", maxsplit=2)
    return int(number), Door(door), text


def _first(value: Flows) -> str:
    looked_for = f" with {quote(value.asked.about, most=60)} in the name or id" if value.asked.about else ""
    many = counted(value.total, "flow")
    where = f"{many[:1].upper()}{many[1:]} in {escape(value.project, most=40)}{looked_for}"
    tally = ", ".join(
        f"{number:,} {escape(status, most=24) or 'unknown'}" for status, number in value.tally[:MOST_TALLY]
    )
    of = f" · page {value.page} of {value.pages}" if value.pages > 1 else ""
    return f"{where}{f': {tally}' if tally else ''}{of}"


def _row(row: ListedFlow) -> str:
    return f"• {code(row.name or row.flow_id, most=64)} · {code(row.flow_id, most=64)} · {escape(row.status, most=24)}"


def _age(value: Flows) -> str:
    seconds = int(value.age)
    return f"Read from the cloud {'just now' if seconds < 2 else f'{seconds} seconds ago'}."


def _buttons(value: Flows, door: Door) -> tuple[blocks.ButtonElement, ...]:
    turns = ((EARLIER, "Earlier", value.page - 1), (LATER, "Later", value.page + 1))
    text = grammar.render(value.asked)
    if len(text) > MOST_VALUE - 20:
        return ()
    return tuple(
        blocks.ButtonElement(text=plain(label), action_id=name, value=f"{number} {door} {text}")
        for name, label, number in turns
        if 1 <= number <= value.pages
    )
