"""Short-lived permissions that Slack gives the bot with each delivery: trigger ids and response URLs.

A trigger id lives three seconds and opens one view ("Modals"); a response URL lives thirty minutes and accepts five
posts ("Handling user interaction"). Knows no HTTP: the server routes to `ResponseUrls.post`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.playground.slack import blocks as block_kit
from bot.playground.slack.errors import SlackError
from bot.playground.slack.records import Json, PostedMessage
from bot.playground.slack.workspace import Workspace

TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 30 * 60.0
RESPONSE_USES = 5


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A permission to open one view for one person."""

    user: str
    issued: float
    spent: bool = False


class Triggers:
    """All trigger ids ever issued."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._issued: dict[str, Trigger] = {}

    def issue(self, user: str) -> str:
        """Return a new trigger id for a person."""
        id = f"{len(self._issued) + 1}.{int(self._now())}.playground"
        self._issued[id] = Trigger(user=user, issued=self._now())
        return id

    def exchange(self, id: object) -> str:
        """Use a trigger id and return its person; raise SlackError if it is unknown, used or expired."""
        trigger = self._issued.get(str(id))
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.spent:
            raise SlackError("exchanged_trigger_id")
        if self._now() - trigger.issued > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        self._issued[str(id)] = replace(trigger, spent=True)
        return trigger.user


@dataclass(frozen=True, kw_only=True)
class ResponseUrl:
    """A response URL for one person in one channel, with the message that was clicked if there was one."""

    channel: str
    user: str
    original: tuple[str, str] | None
    issued: float
    uses: int = 0


class ResponseUrls:
    """All response URLs ever issued, and what the bot posts to them."""

    def __init__(self, workspace: Workspace, *, base: Callable[[], str]) -> None:
        self._workspace = workspace
        self._base = base
        self._issued: dict[str, ResponseUrl] = {}

    def issue(self, channel: str, user: str, original: PostedMessage | None) -> str:
        """Return a new URL for a delivery."""
        secret = self._workspace.next_id("playground-response-")
        key = (original.channel, original.ts) if original else None
        self._issued[secret] = ResponseUrl(channel=channel, user=user, original=key, issued=self._workspace.now())
        return f"{self._base()}response/{secret}"

    def post(self, secret: str, body: object) -> None:
        """Carry out a post; raise SlackError if the URL is unknown, used up or expired, or the body is invalid."""
        url = self._issued.get(secret)
        if url is None:
            raise SlackError("invalid_url")
        if url.uses >= RESPONSE_USES:
            raise SlackError("used_url")
        if self._workspace.now() - url.issued > RESPONSE_SECONDS:
            raise SlackError("expired_url")
        if not isinstance(body, dict):
            raise SlackError("invalid_payload")
        self._issued[secret] = replace(url, uses=url.uses + 1)
        self._carry_out(url, body)

    def _carry_out(self, url: ResponseUrl, body: Json) -> None:
        original = self._workspace.message(*url.original) if url.original else None
        if _yes(body.get("delete_original")):
            if original is None:
                raise SlackError("no_original")
            self._workspace.remove(original)
            return
        blocks, text = checked_content(body)
        # Undocumented: bots that leave replace_original out of an answer to a click have seen their message replaced
        # (howdyai/botkit#446, getsentry/sentry#73590), so leaving it out is not safe here either.
        if original and _yes(body.get("replace_original", body.get("response_type") is None)):
            self._workspace.edit(original, text=text, blocks=blocks, edited=not blocks)
            return
        show(self._workspace, body, channel=url.channel, user=url.user)


def checked_content(body: Json) -> tuple[list[Json], str]:
    """Return blocks and text of an answer; raise SlackError if Slack would reject them."""
    blocks = body.get("blocks") or []
    if found := block_kit.problems(blocks):
        raise SlackError("invalid_blocks", messages=found)
    text = body.get("text") or ""
    if not isinstance(text, str) or not (text or blocks or body.get("attachments")):
        raise SlackError("no_text")
    return blocks, text


def show(workspace: Workspace, body: Json, *, channel: str, user: str) -> PostedMessage:
    """Show the bot's answer to that person only, or to the channel if it says in_channel."""
    blocks, text = checked_content(body)
    in_channel = body.get("response_type") == "in_channel"
    return workspace.post(
        channel,
        workspace.bot_user_id,
        text,
        blocks=blocks,
        bot_id=workspace.bot_id,
        thread_ts=body.get("thread_ts"),
        only_for=None if in_channel else user,
    )


def _yes(value: object) -> bool:
    return value is True or value == "true"  # Slack's own examples write the string
