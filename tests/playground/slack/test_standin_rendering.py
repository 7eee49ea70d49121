"""Messages as the plain text in transcripts and tests."""

from typing import Any

import pytest

from bot.playground.slack import rendering

WORDS = {"type": "mrkdwn", "text": "*words*"}
BUTTON = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
IMAGE = {"type": "image", "image_url": "https://x", "alt_text": "a chart"}
INPUT = {"type": "plain_text_input", "action_id": "words"}


@pytest.mark.parametrize(
    ("block", "read"),
    [
        ({"type": "section", "text": WORDS}, "*words*"),
        ({"type": "section", "fields": [WORDS, WORDS], "accessory": BUTTON}, "*words* · *words* · [Go]"),
        ({"type": "header", "text": WORDS}, "# *words*"),
        ({"type": "context", "elements": [WORDS, IMAGE]}, "*words* (image: a chart)"),
        (
            {"type": "actions", "elements": [BUTTON, {"type": "static_select", "action_id": "m"}]},
            "[Go] [static_select m]",
        ),
        ({"type": "input", "label": WORDS, "element": INPUT}, "*words*: [plain_text_input words]"),
        ({"type": "divider"}, "----"),
        ({"type": "markdown", "text": "**bold**"}, "**bold**"),
        (IMAGE, "(image: a chart)"),
        (
            {"type": "rich_text", "elements": [{"elements": [{"text": "to "}, {"user_id": "U0ALICE"}]}]},
            "to U0ALICE",
        ),
        ({"type": "video"}, "(video)"),
    ],
)
def test_every_block_has_its_line(block: dict[str, Any], read: str) -> None:
    assert rendering.message("fallback", [block]) == read


def test_without_blocks_the_text_is_what_is_read() -> None:
    assert rendering.message("fallback", []) == "fallback"
