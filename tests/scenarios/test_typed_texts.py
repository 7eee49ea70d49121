"""Any text that a person can type, over both doors.

Its card is posted, each button works when Slack sends the card back, and audit, history and `explain` can handle it.
"""

import json
import random
from typing import Final

import pytest

from bot.commands import grammar
from bot.playground import world
from tests.scenarios.conftest import Stage

BITS: Final = (
    *("\\u0000", "\\\\u0000", "\\x00", "\\0", "%00", "&#0;", "\u2400", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028"),
    *('{"a": "\\u0000"}', "[]", '"', "'", "\\", "\\ud800", "\ufffd", "\ufffe", "null", "payload={}", "command=/flow"),
    *("\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad", "é", "e\u0301", "𝔘", "👩‍👩‍👧", "한", "אב", "\U000e0041"),
    *("<!channel>", "<@U0BOB>", "<http://a.example|b>", "&amp;", "&lt;", "&", "*", "_", "~", "`", "```", ">"),
    *("%s", "{0}", "{{x}}", "${HOME}", "'; DROP TABLE requests; --", "$1", ":1", "\t", "  ", "é" * 40, "x" * 60),
)
"""Parts of texts that some layer on the way could misinterpret."""

CHOSEN: Final = ("log says \\u0000", "\0", "x" * 500, "é" * 500, "\\" * 500, "a\0b", '"' * 500, "&" * 500)

BUTTONS: Final = ("deny", "withdraw", "approve")


def texts(number: int) -> list[str]:
    """Return texts, the same in every run."""
    chance = random.Random(number)
    drawn = ["".join(chance.choices(BITS, k=chance.randint(1, 6))) for _ in range(9)]
    return [text[:500] for text in drawn if is_reason(text[:500])]


def is_reason(text: str) -> bool:
    """Tell whether a text is a valid reason, and not for example invisible."""
    return isinstance(grammar.parse(f"stop main-feed because {text}"), grammar.ChangeCommand) and bool(
        text.strip("\0 \t")
    )


async def plays(stage: Stage, flow: str, reason: str, button: str) -> None:
    """Ask for a stop with a reason, and press a button of its card."""
    if stage.slack.people.by_socket:
        reason = reason.replace("\0", "")  # Slack's JSON never contains one: the whole envelope would be malformed
    card = await stage.asks("U0ALICE", f"stop {flow} because {reason}")
    who = "U0ALICE" if button == "withdraw" else "U0DAVE"
    ack = await stage.presses(who, card, button)
    assert (ack.status, ack.problems) == (200, ()), repr(reason)
    await stage.quiet()
    state = stage.select("SELECT state FROM requests ORDER BY created_at DESC, id LIMIT 50")
    wanted = {"deny": "denied", "withdraw": "withdrawn", "approve": "approved"}[button]
    assert (wanted,) in state, repr(reason)
    assert button not in stage.now(card).buttons, repr(reason)


async def takes_all(stage: Stage, reasons: list[str]) -> None:
    """Play all reasons, each on its own flow, and check what is recorded."""
    for number, reason in enumerate(reasons):
        flow = f"typed-{number:04d}"
        stage.live.add_flow(world.PROJECT_ID, flow, f"feed {number} {reason[:60]}")
        await plays(stage, flow, reason, BUTTONS[number % len(BUTTONS)])
        await stage.passes(60)
    await stage.types("U0ALICE", "history")
    await stage.slack.until(lambda _: stage.heard("U0ALICE"))
    assert stage.waiting() == 0
    for (facts,) in stage.select("SELECT facts FROM audit"):
        assert isinstance(json.loads(facts), dict)
    assert not any("Something went wrong" in told for told in stage.heard("U0ALICE"))


@pytest.mark.parametrize("number", [1])
async def test_whatever_was_typed_as_a_reason_its_card_and_buttons_work(stage: Stage, number: int) -> None:
    await takes_all(stage, texts(number))


async def test_reasons_that_were_trouble_once_or_are_as_long_as_can_be(stage: Stage) -> None:
    await takes_all(stage, [reason for reason in CHOSEN if is_reason(reason)])


@pytest.mark.parametrize("reason", [*texts(3)[:6], "log says \\u0000"])
async def test_whatever_was_typed_into_a_modal_is_taken_or_answered(stage: Stage, reason: str) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    view = await stage.opens_for("U0DAVE")

    ack = await stage.slack.people.submit("U0DAVE", view, {"reason": reason.replace("\0", "")})
    await stage.quiet()

    assert (ack.status, ack.problems) == (200, ()), repr(reason)
    assert stage.select("SELECT state FROM requests") == [("denied",)]
