"""A new policy takes effect while the bot runs: for new requests and for open ones."""

import re

from .conftest import INCIDENT, Stage, takes_two


def rewrites(stage: Stage, *change: tuple[str, str]) -> None:
    """Change the policy file."""
    file = stage.world.directory / "flowbot.toml"
    text = file.read_text()
    for old, new in change:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


async def test_a_stricter_rule_raises_what_an_open_request_needs(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    rewrites(stage, ("approvals = 1", "approvals = 2"))
    await stage.quiet()

    await takes_two(stage, card)


async def test_each_request_keeps_the_hash_of_the_policy_under_which_it_was_made(stage: Stage) -> None:
    await stage.asks("U0ALICE", "stop main-feed")
    rewrites(stage, ("[[rules]]", "# another thought\n[[rules]]"))
    await stage.quiet()
    await stage.asks("U0ALICE", "stop backup-feed")
    await stage.quiet()

    hashes = [
        re.findall(r'"policy_hash":"([0-9a-f]{64})"', terms)[0]
        for (terms,) in stage.select("SELECT terms FROM requests")
    ]
    assert len(set(hashes)) == 2


async def test_a_wrong_file_changes_nothing(stage: Stage) -> None:
    rewrites(stage, ("[[rules]]", "[[ruls]]"))
    await stage.quiet()

    card = await stage.asks("U0ALICE", "stop main-feed")

    assert card.channel == INCIDENT
