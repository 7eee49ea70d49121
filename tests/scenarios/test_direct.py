"""What is answered immediately and not recorded: help, usage, and what this version does not have."""

import pytest

from tests.scenarios.conftest import Stage

ANSWERS = {
    "": "These are my commands",
    "help": "These are my commands",
    "help stop": "asks to stop a live flow",
    "HELP Stop": "asks to stop a live flow",
    "help nonsense": "I do not know the verb `nonsense`",
    "stop": "Please say which flow",
    "stpo main-feed": "I do not know the verb `stpo`",
    "kill main-feed": "I do not know the verb `kill`",
    "stop main-feed the encoder loops": "I do not know what to do with",
    "stop main-feed backup-feed": "one flow at a time",
    "stop main.feed": "cannot be a flow",
    "stop main-feed --force": "I do not know the option `--force`",
    "stop main-feed --dry-run --dry-run": "more than once",
    "stop main-feed --dry-run=yes": "takes no value",
    "stop main-feed --project": "needs a value",
    "stop main-feed because": "The reason is empty",
    "stop main-feed because --dry-run": "inside the reason",
    f"stop main-feed because {'x' * 501}": "longer than 500 characters",
    f"stop {'x' * 8001}": "longer than 8,000 characters",
    "stop main-feed --for 30m": "does not have `--for` yet",
    "start": "Please say which flow",
    "status": "Please say which flow",
    "status main-feed please": "I do not know what to do with",
    "list --dry-run": "I do not know the option `--dry-run` here",
    "pending now": "I do not know what to do with `now`",
    "history main-feed because it burns": "I do not know what to do with `because`",
    "whoami please": "I do not know what to do with `please`",
    "stop <https://console.example/flows>": "does not name exactly one flow",
    "help status": "shows one flow",
}


async def test_promise_3_what_asks_for_nothing_is_answered_and_recorded_nowhere(stage: Stage) -> None:
    for text, words in ANSWERS.items():
        ack = await stage.types("U0ALICE", text)
        assert ack.ok, text
        assert ack.problems == (), text
        assert ack.shown is not None, text
        assert ack.shown.only_for == "U0ALICE", text
        assert words in ack.shown.plain, text

    assert stage.recorded() == 0
    assert stage.cards() == []
    assert stage.live.calls == ()
    assert len(stage.heard("U0ALICE")) == len(ANSWERS)


@pytest.mark.parametrize(
    "text",
    [
        "STOP main-feed",
        "  stop   main-feed  ",
        "stop `main-feed`",
        "stop “main-feed”",
        "stop main-feed —dry-run",
        "stop main-feed – because of R&amp;D",
        "stop\u200b main-feed\u200b",
        "stop main-feed because see <http://example.com|example.com>",
    ],
)
async def test_what_people_type_in_slack_is_understood(stage: Stage, text: str) -> None:
    card = await stage.asks("U0ALICE", text)

    assert "Stop `main-feed`" in stage.reads(card)
    assert ("Dry run" in stage.reads(card)) == ("dry-run" in text)
