"""What people do in their Slack client, delivered by signed HTTP or over a socket, and what they see of the answer.

Raises NotPossible for what no client allows, so that a test cannot press a button that does not exist; `forged=True`
sends it anyway, as an attacker or a stale client might.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from bot.playground.slack import blocks as block_kit
from bot.playground.slack import grants, payloads
from bot.playground.slack.acks import FORM, Ack, Sent, Wire, signature
from bot.playground.slack.errors import NotPossible, SlackError
from bot.playground.slack.grants import ResponseUrls, Triggers
from bot.playground.slack.records import Channel, Json, PostedMessage, SlackUser, View
from bot.playground.slack.sockets import AppConnections
from bot.playground.slack.web_api.views import checked_content
from bot.playground.slack.workspace import MOST_VIEWS, SLACKBOT, Workspace
from bot.usecases import ports

# "Events API", section on retries: immediately, after a minute, after five.
RETRY_WAITS = (0.0, 60.0, 300.0)
USUAL_MIN_QUERY = 3


class People:
    """Everybody who uses the workspace."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: ports.Clock,
        signing_secret: str,
        triggers: Triggers,
        response_urls: ResponseUrls,
        sockets: AppConnections,
    ) -> None:
        self.request_url = ""
        self.by_socket = False
        self._workspace = workspace
        self._clock = clock
        self._secret = signing_secret
        self._triggers = triggers
        self._response_urls = response_urls
        self._wire = Wire(clock=clock)
        self._sockets = sockets

    async def aclose(self) -> None:
        """Close the connections to the bot."""
        await self._wire.close()

    # The raw wire, for tests of the guard

    def sign(self, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        """Return the headers that sign a body, at the clock's time unless given."""
        return signature(self._secret, body, int(self._clock.now()) if timestamp is None else timestamp)

    async def raw(self, body: bytes, headers: Mapping[str, str]) -> Ack:
        """Send exactly these bytes and headers."""
        if not self.request_url:
            raise NotPossible("no bot is connected: call connect(request_url) first")
        return await self._wire.send(self.request_url, Sent(body=body, headers=dict(headers)))

    async def replay(self, ack: Ack, *, retry: int = 0) -> Ack:
        """Send an earlier delivery again with the same bytes and signature; `retry` marks it as an event's retry."""
        if self.by_socket:
            return await self._sockets.deliver_again(ack)
        if ack.sent is None:
            raise NotPossible("there is no delivery to send again")
        extra = {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": "http_timeout"} if retry else {}
        return await self.raw(ack.sent.body, {**ack.sent.headers, **extra})

    # Slash commands

    async def command(
        self, user: str, channel: str, text: str = "", *, command: str = "/flow", forged: bool = False
    ) -> Ack:
        """Type a slash command; `text` is sent as is, so escape it as the client would."""
        person, place = self._person(user), self._channel(channel)
        if not forged:
            self._may_use(person)
            self._is_there(person, place)
            if person.is_stranger:
                raise NotPossible(f"{user} is of another organisation, where {command} is not known")
        fields = payloads.command(
            self._workspace, person, place, name=command, text=text, grants=self._grants(person, channel, None)
        )
        ack = await self._slash(fields)
        if not ack.ok:
            reason = "operation_timeout" if ack.timed_out else "dispatch_failed"
            return self._complain(ack, person, channel, f'{command} failed with the error "{reason}"')
        return self._show_answer(ack, person, channel, typed=f"{command} {text}".strip())

    def _show_answer(self, ack: Ack, person: SlackUser, channel: str, *, typed: str) -> Ack:
        """Show the body of a command's acknowledgement, to the person or to all."""
        is_json = "json" in ack.content_type
        answer = ack.json if is_json and ack.body else {"text": ack.body}
        if not isinstance(answer, dict):
            return self._complain(ack, person, channel, f"{typed}: invalid_command_response", "not a JSON object")
        if answer.get("response_type") == "in_channel":
            self._workspace.post(channel, person.id, typed)
        if not any(answer.get(name) for name in ("text", "blocks", "attachments")):
            return ack
        try:
            shown = grants.show(self._workspace, answer, channel=channel, user=person.id)
        except SlackError as error:
            problems = error.messages or (error.code,)
            return self._complain(ack, person, channel, f"{typed}: invalid_command_response", *problems)
        return replace(ack, shown=shown)

    # Buttons and menus

    async def click(
        self,
        user: str,
        target: PostedMessage | View,
        action_id: str,
        *,
        value: Any = None,
        confirm: bool = True,
        stale: Sequence[Json] | None = None,
        forged: bool = False,
    ) -> Ack:
        """Press a button or choose from a menu, as currently shown or, with `stale`, as shown in older blocks.

        `value` is the choice in a menu; for a button it forges another value. `confirm=False` cancels the dialog, so
        that nothing is delivered.
        """
        person, current = self._person(user), self._current(target)
        if not forged:
            self._may_use(person)
            self._can_see(person, current)
        found = block_kit.find(current.blocks if stale is None else stale, action_id)
        if found is None or (stale is None and self._is_gone(current)):
            raise NotPossible(f"no {action_id!r} to press, only {sorted(current.buttons)}, in:\n{self._words(current)}")
        block, element = found
        if "confirm" in element and not confirm:
            return Ack(attempts=0)
        done = payloads.action(block, element, value=value, at=f"{self._clock.now():.6f}")
        payload = payloads.block_actions(
            self._workspace, person, current, action=done, grants=self._interaction_grants(person, current)
        )
        ack = await self._interaction(payload)
        if not ack.ok and isinstance(current, PostedMessage):
            return self._complain(ack, person, current.channel, "This app did not respond to what you pressed.")
        return ack

    async def suggest(self, user: str, target: PostedMessage | View, action_id: str, query: str = "") -> Ack:
        """Type into a menu whose options come from the bot; the acknowledgement's JSON contains them."""
        person, current = self._person(user), self._current(target)
        self._can_see(person, current)
        found = block_kit.find(current.blocks, action_id)
        if found is None or "external_select" not in found[1]["type"]:
            raise NotPossible(f"no external menu {action_id!r} in:\n{self._words(current)}")
        block, element = found
        if len(query) < element.get("min_query_length", USUAL_MIN_QUERY):
            raise NotPossible(f"the client asks for options from {USUAL_MIN_QUERY} characters on, or min_query_length")
        payload = payloads.block_suggestion(
            self._workspace, person, current, block_id=block["block_id"], action_id=action_id, query=query
        )
        ack = await self._interaction(payload)
        answer = ack.json if isinstance(ack.json, dict) else {}
        groups = answer.get("option_groups") or [{"options": answer.get("options")}]
        problems = [words for group in groups for words in block_kit.option_problems(group.get("options"))]
        return replace(ack, problems=tuple(problems))

    # Modals

    async def submit(self, user: str, view: View, values: Mapping[str, Any] | None = None) -> Ack:
        """Fill in and submit the topmost modal; `values` are keyed by block_id or action_id."""
        person, current = self._person(user), self._topmost(user, view)
        if not current.content.get("submit"):
            raise NotPossible(f"the view {current.title!r} cannot be submitted")
        state = payloads.state(current.blocks, values or {})
        payload = payloads.view_submission(
            self._workspace, person, current, state=state, trigger_id=self._triggers.issue(user)
        )
        ack = await self._interaction(payload)
        if not ack.ok:
            return replace(ack, problems=("We had some trouble connecting. Try again?",))
        problems = self._react(current, ack)
        return replace(ack, problems=problems)

    async def close(self, user: str, view: View, *, cleared: bool = False) -> Ack:
        """Close the topmost modal, or all of them with `cleared`; the bot is notified if it asked for that."""
        person, current = self._person(user), self._topmost(user, view)
        if cleared:
            self._workspace.clear_views(user)
        else:
            self._workspace.close_view(current)
        if not current.content.get("notify_on_close"):
            return Ack(attempts=0)
        return await self._interaction(payloads.view_closed(self._workspace, person, current, cleared=cleared))

    def _react(self, view: View, ack: Ack) -> tuple[str, ...]:
        """Apply the answer to a submission to its modal; return what is wrong with that answer."""
        if not ack.body or ack.json == {}:
            self._workspace.close_view(view)
            return ()
        answer = ack.json if isinstance(ack.json, dict) else {}
        action = answer.get("response_action")
        if action == "clear":
            self._workspace.clear_views(view.user)
            return ()
        if action == "errors":
            return self._show_errors(view, answer.get("errors"))
        if action not in ("update", "push"):
            return (f"response_action {action!r} is not known",)
        try:
            content = checked_content(answer.get("view"))
        except SlackError as error:
            return error.messages or (error.code,)
        if action == "update":
            self._workspace.change_view(view, content=content, errors={})
        elif len(self._workspace.views(view.user)) >= MOST_VIEWS:
            return ("push_limit_reached",)
        else:
            self._workspace.push_view(view.user, content)
        return ()

    def _show_errors(self, view: View, errors: object) -> tuple[str, ...]:
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors:
            return ("errors must be an object with a message for each block_id",)
        if unknown := sorted(errors.keys() - inputs):
            return (f"errors for {unknown}, which are not input blocks of this view",)
        self._workspace.change_view(view, errors=errors)
        return ()

    # Messages and events

    async def mention(self, user: str, channel: str, text: str, *, thread: PostedMessage | None = None) -> Ack:
        """Write a message that begins with a mention of the bot, in a channel or a thread."""
        person, place = self._person(user), self._channel(channel)
        self._is_there(person, place)
        words = f"<@{self._workspace.bot_user_id}> {text}"
        bot: Json = {"bot_id": f"B{user[1:]}"} if person.is_bot or person.is_workflow_bot else {}
        message = self._workspace.post(channel, user, words, thread_ts=thread.ts if thread else None, **bot)
        # "app_mention": only from conversations that the bot is in, not from direct messages.
        if not self._workspace.is_in(self._workspace.bot_user_id, channel) or place.dm_with:
            return Ack(attempts=0)
        return await self.event(payloads.app_mention(self._workspace, message))

    async def event(self, event: Json, *, retries: int = 1) -> Ack:
        """Deliver an event, and again after each failure up to `retries` times (Slack: 3); return the last answer."""
        channel = self._workspace.channels.get(str(event.get("channel")))
        envelope = payloads.event_callback(
            self._workspace,
            event,
            event_id=self._workspace.next_id("Ev"),
            shared=bool(channel and channel.is_ext_shared),
        )
        ack = await self._event(envelope)
        for number in range(1, retries + 1):
            if ack.ok or ack.no_retry:
                break
            await self._clock.sleep(RETRY_WAITS[number - 1])
            reason = "http_timeout" if ack.timed_out else "http_error" if ack.status else "connection_failed"
            ack = replace(await self._event(envelope, number, reason), attempts=number + 1)
        return ack

    # What a client allows

    def _person(self, user: str) -> SlackUser:
        if user not in self._workspace.persons:
            raise NotPossible(f"there is no person {user}")
        return self._workspace.persons[user]

    def _channel(self, channel: str) -> Channel:
        if channel not in self._workspace.channels:
            raise NotPossible(f"there is no channel {channel}")
        return self._workspace.channels[channel]

    def _may_use(self, person: SlackUser) -> None:
        if person.deleted:
            raise NotPossible(f"{person.id} is deactivated and cannot use Slack")
        if person.is_bot or person.is_workflow_bot:
            raise NotPossible(f"{person.id} is a bot and cannot press buttons")

    def _is_there(self, person: SlackUser, channel: Channel) -> None:
        if person.id not in channel.members:
            raise NotPossible(f"{person.id} is not in {channel.id}")
        if channel.is_archived:
            raise NotPossible(f"{channel.id} is archived")

    def _can_see(self, person: SlackUser, target: PostedMessage | View) -> None:
        if isinstance(target, View):
            if target.user != person.id:
                raise NotPossible(f"the view is open for {target.user}, not {person.id}")
            return
        self._is_there(person, self._channel(target.channel))
        if target.only_for not in (None, person.id):
            raise NotPossible(f"only {target.only_for} can see that message, not {person.id}")

    def _current(self, target: PostedMessage | View) -> PostedMessage | View:
        if isinstance(target, View):
            return self._workspace.view(target.id) or target
        return self._workspace.message(target.channel, target.ts) or target

    def _is_gone(self, target: PostedMessage | View) -> bool:
        if isinstance(target, View):
            return self._workspace.view(target.id) is None
        return self._workspace.message(target.channel, target.ts) is None

    def _topmost(self, user: str, view: View) -> View:
        top = self._workspace.top_view(user)
        if top is None or top.id != view.id:
            raise NotPossible(f"{user} looks at {top.title if top else 'no view'!r}, not at {view.title!r}")
        return top

    def _words(self, target: PostedMessage | View) -> str:
        return target.title if isinstance(target, View) else target.plain

    # Sending

    def _grants(self, person: SlackUser, channel: str, original: PostedMessage | None) -> dict[str, str]:
        return {
            "response_url": self._response_urls.issue(channel, person.id, original),
            "trigger_id": self._triggers.issue(person.id),
        }

    def _interaction_grants(self, person: SlackUser, target: PostedMessage | View) -> dict[str, str]:
        if isinstance(target, View):
            return {"trigger_id": self._triggers.issue(person.id)}
        return self._grants(person, target.channel, target)

    async def _event(self, event: Json, number: int = 0, reason: str = "") -> Ack:
        if self.by_socket:
            return await self._sockets.deliver("events_api", event, retry=number, reason=reason.removeprefix("http_"))
        extra = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason} if number else {}
        return await self._signed(json.dumps(event).encode(), "application/json", extra)

    async def _slash(self, fields: Mapping[str, str]) -> Ack:
        if self.by_socket:
            return await self._sockets.deliver("slash_commands", dict(fields), accepts=True)
        return await self._form(fields)

    async def _interaction(self, payload: Json) -> Ack:
        if self.by_socket:
            answered = payload["type"] in ("view_submission", "block_suggestion")
            return await self._sockets.deliver("interactive", payload, accepts=answered)
        return await self._form({"payload": json.dumps(payload)})

    async def _form(self, fields: Mapping[str, str]) -> Ack:
        return await self._signed(urlencode(fields, errors="surrogatepass").encode(), FORM)

    async def _signed(self, body: bytes, content_type: str, extra: Mapping[str, str] | None = None) -> Ack:
        about = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}
        return await self.raw(body, {**about, **self.sign(body), **(extra or {})})

    def _complain(self, ack: Ack, person: SlackUser, channel: str, words: str, *problems: str) -> Ack:
        """Show Slack's own error to the person."""
        shown = self._workspace.post(channel, SLACKBOT, words, only_for=person.id)
        return replace(ack, shown=shown, problems=problems)
