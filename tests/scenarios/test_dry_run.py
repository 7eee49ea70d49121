"""A dry run: the whole gate, no call, marked on every message, and no obstacle to other requests."""

from bot.playground import world
from tests.scenarios.conftest import MAIN, Stage


async def test_a_dry_run_goes_through_the_gate_and_calls_nothing(stage: Stage) -> None:
    ack = await stage.types("U0ALICE", "stop main-feed --dry-run because of the drill")
    await stage.quiet()
    (card,) = stage.cards()

    await stage.presses("U0ALICE", card, "approve")
    await stage.told("U0ALICE", "your own")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "No call was made")
    await stage.presses_late("U0CAROL", card, "approve")
    await stage.quiet()

    assert ack.shown is not None
    assert ack.shown.plain.startswith("Dry run: ")
    assert stage.reads(card).startswith("Dry run: ")
    assert stage.now(card).text.startswith("Dry run: ")
    assert "Dry run done" in stage.reads(card)
    assert len(stage.replies(card)) == 3
    assert all(reply.startswith("Dry run: ") for reply in stage.replies(card))
    assert all(answer.startswith("Dry run: ") for answer in (*stage.heard("U0ALICE"), *stage.heard("U0CAROL")))
    assert stage.live.flows[world.PROJECT_ID, MAIN].status == "ACTIVE"
    assert stage.stops() == 0


async def test_answers_about_a_dry_run_are_marked(stage: Stage) -> None:
    await stage.types("U0ALICE", "stop studio-b --dry-run")
    await stage.types("U0ALICE", "stop nothing-like-it --dry-run")
    await stage.types("U0GUEST", "stop main-feed --dry-run")
    await stage.quiet()

    answers = [*stage.heard("U0ALICE"), *stage.heard("U0GUEST")]
    assert len(answers) == 3
    assert [answer for answer in answers if not answer.startswith("Dry run: ")] == []
    assert stage.cards() == []


async def test_a_dry_run_meets_nobody_and_holds_nothing(stage: Stage) -> None:
    first = await stage.asks("U0ALICE", "stop main-feed --dry-run")
    second = await stage.asks("U0BOB", "stop main-feed --dry-run")
    real = await stage.asks("U0ALICE", "stop main-feed")
    third = await stage.asks("U0BOB", f"stop {MAIN} --dry-run")

    await stage.presses("U0DAVE", third, "approve")
    await stage.thread_says(third, "No call was made")
    await stage.presses("U0DAVE", real, "approve")
    await stage.ticks(lambda: "STANDBY" in stage.replies(real)[-1], most=10)  # the channel's rate limit
    await stage.quiet()

    assert "Dry run" not in stage.reads(real)
    assert "approve" in stage.now(first).buttons
    assert "approve" in stage.now(second).buttons
    assert stage.stops() == 1


async def test_a_denied_dry_run_is_marked_too(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed --dry-run")

    await stage.presses("U0DAVE", card, "deny")
    await stage.settles(card)
    await stage.quiet()

    assert stage.reads(card).startswith("Dry run: ")
    assert all(reply.startswith("Dry run: ") for reply in stage.replies(card))
