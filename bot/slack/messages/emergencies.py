"""Texts about emergencies used in several messages: mark, button labels, whose approval is skipped, review status.

Owns these words. Must not know where they are used: card, reply, answer or row.
"""

from typing import Final, assert_never

from bot.commands.deliveries import Button, Verdict
from bot.commands.verbs import Verb
from bot.lifecycle import records
from bot.lifecycle.records import Emergency, Request, Review
from bot.slack.messages.text import acting, date, listed, quiet

MARK: Final = "EMERGENCY: "

MOST_NAMED: Final = 6

APART: Final = "three seconds"


def mark(*, dry_run: bool, emergency: bool) -> str:
    """Return the prefix of every message about a dry run or an emergency."""
    return f"{'Dry run: ' if dry_run else ''}{MARK if emergency else ''}"


def label(button: Button, verb: Verb) -> str:
    """Return the label of one of the two buttons."""
    first = f"Emergency {verb.capitalize()}"
    return first if button is Button.EMERGENCY_FIRST else f"Confirm {first}"


def passed_over(emergency: Emergency, *, workspace_url: str) -> str:
    """Return whose approval is skipped, as half a sentence that pings nobody."""
    if not emergency.passed_over:
        return "no approval is skipped, because the rule needs none"
    return f"it skips the approval of {_named(emergency.passed_over, workspace_url, last='and')}"


def against(emergency: Emergency, *, workspace_url: str) -> str:
    """Return who may deny and review it; it pings nobody."""
    asked = emergency.passed_over or emergency.members if emergency.judges is None else emergency.judges
    return _named(asked, workspace_url)


def has_judges(emergency: Emergency) -> bool:
    """Tell whether anybody other than those who pressed may deny and review it."""
    return emergency.judges is None or bool(emergency.judges)


def members(emergency: Emergency, *, workspace_url: str) -> str:
    """Return who may use it; it pings nobody."""
    return _named(emergency.members, workspace_url)


def concerned(request: Request) -> tuple[str, ...]:
    """Return the ids to be notified, without those who asked or pressed."""
    pressed = (request.requester, *(vote.actor for vote in request.votes))
    took_part = {ident for actor in pressed for ident in (actor.user, actor.id)}
    return tuple(one for one in request.terms.mentions if one not in took_part)


def verdict(value: Verdict) -> str:
    """Return a verdict in words."""
    match value:
        case Verdict.JUSTIFIED:
            return "justified"
        case Verdict.NOT_JUSTIFIED:
            return "not justified"
        case _:
            assert_never(value)


def review(request: Request, *, workspace_url: str) -> str | None:
    """Return the review status in one sentence; None if there is no review."""
    emergency = request.emergency
    if emergency is None:
        return None
    if emergency.review is not None:
        return f"Review: {_reviewed(emergency.review)}"
    if not records.is_review_open(request):
        return None
    who = against(emergency, workspace_url=workspace_url)
    return f"Review: open; {who} may close it{'' if has_judges(emergency) else ' under the current rules'}"


def _reviewed(value: Review) -> str:
    return f"{verdict(value.verdict)}, says {acting(value.actor)} · {date(value.at)}"


def _named(entries: tuple[str, ...], workspace_url: str, *, last: str = "or") -> str:
    shown = tuple(quiet(entry, workspace_url=workspace_url) for entry in entries)
    return listed(shown, most=MOST_NAMED, last=last) or "nobody"
