"""The Web API through the vendor's client: who may post where, what an edit does, and the answers of reads."""

import email.utils
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import SectionBlock
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.slack.server import SlackStandIn
from tests.playground.slack.slack_world import BUTTON, CARD, START, TurnedClock, running_slack, web_client


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    async with running_slack(clock=TurnedClock()) as running:
        yield running


@pytest.fixture
def client(slack: SlackStandIn) -> AsyncWebClient:
    return web_client(slack)


async def refusal(client: AsyncWebClient, method: str, **args: Any) -> Any:
    """Return the whole answer to a refused call."""
    with pytest.raises(SlackApiError) as caught:
        await client.api_call(method, json=args)
    return caught.value.response.data


async def post(slack: SlackStandIn, **args: Any) -> Any:
    """Post into the incident channel, and return the message."""
    answer = await web_client(slack).chat_postMessage(**{"channel": "C0INCIDENT", "text": "words", **args})
    message = slack.workspace.message(answer["channel"], answer["ts"])
    assert message
    return message


async def test_auth_test_says_who_the_bot_is(client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert (answer["user_id"], answer["team_id"], answer["bot_id"]) == ("U0FLOWBOT", "T0PLAYGROUND", "B0FLOWBOT")
    assert (await client.bots_info(bot=answer["bot_id"]))["bot"]["app_id"] == "A0FLOWBOT"


async def test_api_test_needs_no_token(slack: SlackStandIn) -> None:
    assert (await AsyncWebClient(base_url=slack.api_url).api_test(foo="1"))["args"] == {"foo": "1"}


@pytest.mark.parametrize(("token", "error"), [(None, "not_authed"), ("xoxb-other", "invalid_auth")])
async def test_a_call_needs_the_token_of_the_bot(slack: SlackStandIn, token: str | None, error: str) -> None:
    assert (await refusal(web_client(slack, token=token), "auth.test"))["error"] == error


async def test_an_unknown_method_is_refused(client: AsyncWebClient) -> None:
    assert (await refusal(client, "chat.shout"))["error"] == "unknown_method"


async def test_a_posted_message_stands_in_its_channel(slack: SlackStandIn, client: AsyncWebClient) -> None:
    answer = await client.chat_postMessage(channel="C0INCIDENT", text="words", blocks=CARD)
    [message] = slack.workspace.messages("C0INCIDENT")
    assert (message.ts, message.text, message.user, message.bot_id) == (answer["ts"], "words", "U0FLOWBOT", "B0FLOWBOT")
    assert message.plain == "Stop *main-feed*?\n[Approve]"
    assert message.buttons == {"approve": BUTTON}
    assert len(set(message.block_ids)) == 2


async def test_the_vendors_models_can_be_posted(slack: SlackStandIn, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C0INCIDENT", text="words", blocks=[SectionBlock(text="*block*")])
    assert slack.workspace.messages("C0INCIDENT")[0].plain == "*block*"


async def test_timestamps_only_ever_grow_and_look_like_slacks(slack: SlackStandIn) -> None:
    first, second = await post(slack), await post(slack, channel="C0PRIVATE")
    assert first.ts == f"{int(START)}.000100"
    assert second.ts == f"{int(START)}.000200"


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("C0NOWHERE", "channel_not_found"),
        ("C0SECRET", "channel_not_found"),
        ("C0OPEN", "not_in_channel"),
        ("C0OLD", "is_archived"),
        ("U0GONE", "channel_not_found"),
        ("U0WORKFLOW", "cannot_dm_bot"),
        ("", "invalid_arguments"),
    ],
)
async def test_where_the_bot_cannot_post_it_is_told_why(client: AsyncWebClient, channel: str, error: str) -> None:
    assert (await refusal(client, "chat.postMessage", channel=channel, text="words"))["error"] == error
    assert (await refusal(client, "chat.postEphemeral", channel=channel, text="w", user="U0ALICE"))["ok"] is False


async def test_with_the_scope_for_it_the_bot_posts_in_public_channels_that_it_is_not_in() -> None:
    async with running_slack(posts_everywhere=True) as slack:
        assert (await post(slack, channel="C0OPEN")).channel == "C0OPEN"
        assert (await refusal(web_client(slack), "chat.postMessage", channel="C0SECRET", text="w"))["ok"] is False


async def test_a_persons_id_is_a_direct_message(slack: SlackStandIn, client: AsyncWebClient) -> None:
    message = await post(slack, channel="U0ALICE")
    assert message.channel == (await client.conversations_open(users=["U0ALICE"]))["channel"]["id"] == "D0ALICE"
    assert slack.workspace.seen_by("U0ALICE", "D0ALICE") == [message]
    assert slack.workspace.seen_by("U0BOB", "D0ALICE") == []


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({}, "no_text"),
        ({"text": ""}, "no_text"),
        ({"text": "w", "blocks": [{"type": "sektion"}]}, "invalid_blocks"),
        ({"text": "w", "blocks": "no list"}, "invalid_blocks"),
        ({"text": {"a": 1}}, "invalid_arguments"),
        ({"text": "w", "attachments": ["a"]}, "invalid_attachments"),
        ({"text": "w", "attachments": [{}] * 101}, "too_many_attachments"),
        ({"text": "w", "thread_ts": "1.000001"}, "thread_not_found"),
    ],
)
async def test_what_cannot_be_shown_is_refused(client: AsyncWebClient, args: dict[str, Any], error: str) -> None:
    assert (await refusal(client, "chat.postMessage", channel="C0INCIDENT", **args))["error"] == error


async def test_wrong_blocks_are_explained(client: AsyncWebClient) -> None:
    answer = await refusal(client, "chat.postMessage", channel="C0INCIDENT", text="w", blocks=[{"type": "sektion"}])
    assert answer["response_metadata"] == {"messages": ["[ERROR] blocks[0].type 'sektion' is not a known block"]}


async def test_a_long_text_is_cut_when_posted(slack: SlackStandIn) -> None:
    assert len((await post(slack, text="x" * 40_001)).text) == 40_000


async def test_a_reply_stands_in_the_thread_and_a_broadcast_one_in_the_channel_too(slack: SlackStandIn) -> None:
    root = await post(slack)
    reply = await post(slack, thread_ts=root.ts)
    loud = await post(slack, thread_ts=root.ts, reply_broadcast=True)
    assert slack.workspace.thread(root) == [reply, loud]
    assert slack.workspace.messages("C0INCIDENT") == [root, loud]


async def test_a_message_is_found_by_its_button(slack: SlackStandIn, client: AsyncWebClient) -> None:
    root = await post(slack)
    reply = await post(slack, blocks=CARD, thread_ts=root.ts)
    await client.chat_postEphemeral(channel="C0INCIDENT", user="U0ALICE", text="w", blocks=CARD)
    [whisper] = slack.workspace.ephemerals("U0ALICE")
    assert slack.workspace.with_button("C0INCIDENT", "approve") == [reply]
    assert slack.workspace.with_button("C0INCIDENT", "approve", seen_by="U0ALICE") == [reply, whisper]
    assert slack.workspace.with_button("C0INCIDENT", "deny") == []


async def test_nothing_can_be_said_under_an_ephemeral(slack: SlackStandIn, client: AsyncWebClient) -> None:
    whisper = await client.chat_postEphemeral(channel="C0INCIDENT", user="U0ALICE", text="w")
    answer = await refusal(client, "chat.postMessage", channel="C0INCIDENT", text="w", thread_ts=whisper["message_ts"])
    assert answer["error"] == "thread_not_found"


async def test_a_reply_needs_the_root_and_not_another_reply(slack: SlackStandIn, client: AsyncWebClient) -> None:
    reply = await post(slack, thread_ts=(await post(slack)).ts)
    answer = await refusal(client, "chat.postMessage", channel="C0INCIDENT", text="w", thread_ts=reply.ts)
    assert answer["error"] == "cannot_reply_to_message"


async def test_an_edit_replaces_blocks_and_keeps_the_old_version_known(slack: SlackStandIn) -> None:
    message = await post(slack, blocks=CARD)
    done = [{"type": "section", "text": {"type": "mrkdwn", "text": "Done."}}]
    await web_client(slack).chat_update(channel="C0INCIDENT", ts=message.ts, text="done", blocks=done)
    [edited] = slack.workspace.messages("C0INCIDENT")
    assert (edited.text, edited.plain, edited.buttons) == ("done", "Done.", {})
    assert slack.workspace.versions(edited) == [message, edited]


async def test_an_edit_with_text_alone_takes_the_blocks_away(slack: SlackStandIn, client: AsyncWebClient) -> None:
    message = await post(slack, blocks=CARD)
    await client.chat_update(channel="C0INCIDENT", ts=message.ts, text="bare")
    [edited] = slack.workspace.messages("C0INCIDENT")
    assert (edited.blocks, edited.plain, edited.edited) == ((), "bare", True)


async def test_an_edit_keeps_the_thread(slack: SlackStandIn, client: AsyncWebClient) -> None:
    root = await post(slack)
    reply = await post(slack, thread_ts=root.ts)
    await client.chat_update(channel="C0INCIDENT", ts=reply.ts, text="edited")
    assert [one.text for one in slack.workspace.thread(root)] == ["edited"]


async def test_edits_that_slack_refuses(slack: SlackStandIn, client: AsyncWebClient) -> None:
    own = await post(slack)
    whisper = await client.chat_postEphemeral(channel="C0INCIDENT", user="U0ALICE", text="w")
    foreign = slack.workspace.post("C0INCIDENT", "U0ALICE", "mine")
    direct = await post(slack, channel="U0ALICE")
    for channel, ts, text, error in [
        ("C0INCIDENT", own.ts, "x" * 4_001, "msg_too_long"),
        ("C0INCIDENT", own.ts, "", "no_text"),
        ("C0INCIDENT", "1.000001", "w", "message_not_found"),
        ("C0INCIDENT", whisper["message_ts"], "w", "message_not_found"),
        ("C0INCIDENT", foreign.ts, "w", "cant_update_message"),
        ("C0NOWHERE", own.ts, "w", "channel_not_found"),
        ("U0ALICE", direct.ts, "w", "channel_not_found"),
        ("C0INCIDENT", "", "w", "invalid_arguments"),
    ]:
        assert (await refusal(client, "chat.update", channel=channel, ts=ts, text=text))["error"] == error
    await client.chat_update(channel="C0INCIDENT", ts=own.ts, text="x" * 4_000)
    slack.workspace.change_channel("C0INCIDENT", is_archived=True)
    answer = await refusal(client, "chat.update", channel="C0INCIDENT", ts=own.ts, text="w")
    assert answer["error"] == "is_archived"


async def test_the_bot_removes_its_own_messages_alone(slack: SlackStandIn, client: AsyncWebClient) -> None:
    own, foreign = await post(slack), slack.workspace.post("C0INCIDENT", "U0ALICE", "mine")
    await client.chat_delete(channel="C0INCIDENT", ts=own.ts)
    assert slack.workspace.messages("C0INCIDENT") == [foreign]
    assert (await refusal(client, "chat.delete", channel="C0INCIDENT", ts=own.ts))["error"] == "message_not_found"
    assert (await refusal(client, "chat.delete", channel="C0INCIDENT", ts=foreign.ts))["error"] == "cant_delete_message"


async def test_an_ephemeral_is_seen_by_its_person_alone(slack: SlackStandIn, client: AsyncWebClient) -> None:
    await client.chat_postEphemeral(channel="C0INCIDENT", user="U0ALICE", text="only you")
    [whisper] = slack.workspace.ephemerals("U0ALICE")
    assert slack.workspace.ephemerals("U0BOB") == []
    assert slack.workspace.messages("C0INCIDENT") == []
    assert slack.workspace.seen_by("U0ALICE", "C0INCIDENT") == [whisper]
    assert slack.workspace.seen_by("U0BOB", "C0INCIDENT") == []


async def test_an_ephemeral_needs_its_person_in_the_channel(client: AsyncWebClient) -> None:
    answer = await refusal(client, "chat.postEphemeral", channel="C0INCIDENT", user="U0CAROL", text="w")
    assert answer["error"] == "user_not_in_channel"
    answer = await refusal(client, "chat.postEphemeral", channel="U0ALICE", user="U0ALICE", text="w")
    assert answer["error"] == "channel_not_found"


async def test_permalinks_name_channel_message_and_thread(slack: SlackStandIn, client: AsyncWebClient) -> None:
    root = await post(slack)
    reply = await post(slack, thread_ts=root.ts)
    link = (await client.chat_getPermalink(channel="C0INCIDENT", message_ts=root.ts))["permalink"]
    assert link == "https://playground.slack.com/archives/C0INCIDENT/p1700000000000100"
    link = (await client.chat_getPermalink(channel="C0INCIDENT", message_ts=reply.ts))["permalink"]
    assert link.endswith(f"?thread_ts={root.ts}&cid=C0INCIDENT")
    answer = await refusal(client, "chat.getPermalink", channel="C0INCIDENT", message_ts="1.1")
    assert answer["error"] == "message_not_found"


async def test_channels_tell_what_they_are(client: AsyncWebClient) -> None:
    shared = (await client.conversations_info(channel="C0SHARED", include_num_members=True))["channel"]
    assert (shared["is_ext_shared"], shared["is_private"], shared["num_members"]) == (True, False, 3)
    assert (await client.conversations_info(channel="C0PRIVATE"))["channel"]["is_private"] is True
    assert (await client.conversations_info(channel="C0OPEN"))["channel"]["is_member"] is False
    direct = (await client.conversations_open(users="U0ALICE"))["channel"]["id"]
    about = (await client.conversations_info(channel=direct))["channel"]
    assert (about["is_im"], about["user"]) == (True, "U0ALICE")
    assert (await refusal(client, "conversations.info", channel="C0SECRET"))["error"] == "channel_not_found"


@pytest.mark.parametrize(
    ("users", "error"),
    [
        ("", "users_list_not_supplied"),
        ("U0NOBODY", "user_not_found"),
        ("U0GONE", "user_disabled"),
        ("U0WORKFLOW", "cannot_dm_bot"),
        ("U0ALICE,U0BOB", "too_many_users"),
    ],
)
async def test_direct_messages_that_cannot_be_opened(client: AsyncWebClient, users: str, error: str) -> None:
    assert (await refusal(client, "conversations.open", users=users))["error"] == error


async def test_members_come_in_pages(client: AsyncWebClient) -> None:
    first = await client.conversations_members(channel="C0INCIDENT", limit=4)
    rest = await client.conversations_members(channel="C0INCIDENT", cursor=first["response_metadata"]["next_cursor"])
    assert len(first["members"]) == 4
    assert {*first["members"], *rest["members"]} >= {"U0ALICE", "U0FLOWBOT"}
    assert rest["response_metadata"]["next_cursor"] == ""
    answer = await refusal(client, "conversations.members", channel="C0INCIDENT", cursor="x")
    assert answer["error"] == "invalid_cursor"


async def test_replies_are_the_root_and_its_thread(slack: SlackStandIn, client: AsyncWebClient) -> None:
    root = await post(slack)
    reply = await post(slack, thread_ts=root.ts)
    answer = await client.conversations_replies(channel="C0INCIDENT", ts=root.ts)
    assert [one["ts"] for one in answer["messages"]] == [root.ts, reply.ts]
    assert [one["thread_ts"] for one in answer["messages"]] == [root.ts, root.ts]
    assert (await refusal(client, "conversations.replies", channel="C0INCIDENT", ts="1.1"))[
        "error"
    ] == "thread_not_found"
    assert (await refusal(client, "conversations.replies", channel="C0OPEN", ts="1.1"))["error"] == "not_in_channel"


@pytest.mark.parametrize(
    ("user", "flags"),
    [
        ("U0ALICE", {"is_restricted": False, "is_ultra_restricted": False, "deleted": False, "is_bot": False}),
        ("U0GUEST", {"is_restricted": True, "is_ultra_restricted": False}),
        ("U0SINGLE", {"is_restricted": True, "is_ultra_restricted": True}),
        ("U0STRANGE", {"is_stranger": True, "team_id": "T0OTHER"}),
        ("U0GONE", {"deleted": True}),
        ("U0WORKFLOW", {"is_bot": True, "is_workflow_bot": True}),
        ("U0FLOWBOT", {"is_bot": True}),
    ],
)
async def test_every_kind_of_person_shows_in_users_info(client: AsyncWebClient, user: str, flags: Any) -> None:
    about = (await client.users_info(user=user))["user"]
    assert {name: about[name] for name in flags} == flags


async def test_on_a_grid_people_belong_to_the_organisation() -> None:
    async with running_slack(enterprise_id="E0GRID") as slack:
        slack.workspace.add_person("W0GRID", "grid", team_id="E0GRID")
        about = (await web_client(slack).users_info(user="W0GRID"))["user"]
        assert about["team_id"] == "E0GRID"
        assert about["enterprise_user"]["enterprise_id"] == "E0GRID"
        assert (await web_client(slack).auth_test())["enterprise_id"] == "E0GRID"


async def test_on_a_grid_one_person_may_have_two_ids() -> None:
    async with running_slack(enterprise_id="E0GRID") as slack:
        slack.workspace.add_person("U0TWICE", "twice", enterprise_user_id="W0TWICE")
        slack.workspace.add_person("W0TWICE", "twice", team_id="E0GRID")
        slack.workspace.add_group("S0GRID", "grid", ["W0TWICE"])
        client = web_client(slack)
        asked = [(await client.users_info(user=user))["user"] for user in ("U0TWICE", "W0TWICE")]
        listed = [one for one in (await client.users_list())["members"] if one["name"] == "twice"]
        assert [one["id"] for one in listed] == ["U0TWICE", "W0TWICE"]
        assert {one["enterprise_user"]["id"] for one in (*asked, *listed)} == {"W0TWICE"}
        assert (await client.usergroups_users_list(usergroup="S0GRID"))["users"] == ["W0TWICE"]


async def test_an_unknown_person_is_not_found(client: AsyncWebClient) -> None:
    assert (await refusal(client, "users.info", user="U0NOBODY"))["error"] == "user_not_found"
    assert (await refusal(client, "users.info"))["error"] == "invalid_arguments"


async def test_group_members_are_listed_unless_the_group_is_off(slack: SlackStandIn, client: AsyncWebClient) -> None:
    assert (await client.usergroups_users_list(usergroup="S0LEADS"))["users"] == ["U0BOB", "U0CAROL"]
    assert (await refusal(client, "usergroups.users.list", usergroup="S0NONE"))["error"] == "no_such_subteam"
    assert (await refusal(client, "usergroups.users.list", usergroup="S0FORMER"))["error"] == "no_such_subteam"
    former = await client.usergroups_users_list(usergroup="S0FORMER", include_disabled=True)
    assert former["users"] == ["U0BOB"]
    slack.workspace.change_group("S0LEADS", members=("U0CAROL",))
    assert (await client.usergroups_users_list(usergroup="S0LEADS"))["users"] == ["U0CAROL"]


async def test_groups_are_listed_with_what_was_asked_for(client: AsyncWebClient) -> None:
    assert [one["id"] for one in (await client.usergroups_list())["usergroups"]] == ["S0LEADS"]
    full = await client.usergroups_list(include_disabled=True, include_users=True, include_count=True)
    assert [(one["users"], one["user_count"]) for one in full["usergroups"]] == [
        (["U0BOB", "U0CAROL"], 2),
        (["U0BOB"], 1),
    ]


async def test_the_journal_keeps_every_call_without_its_token(slack: SlackStandIn, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C0INCIDENT", text="words", unfurl_links=False)
    await refusal(client, "users.info", user="U0NOBODY")
    [posted] = slack.workspace.called("chat.postMessage")
    assert (posted.ok, posted.status, posted.at, posted.args["unfurl_links"]) == (True, 200, START, False)
    assert [call.ok for call in slack.workspace.calls] == [True, False]
    assert slack.bot_token not in repr(slack.workspace.calls)


async def raw(slack: SlackStandIn, method: str, **request: Any) -> Any:
    """Call without the vendor's client."""
    headers = {"Authorization": f"Bearer {slack.bot_token}"} | request.pop("headers", {})
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{slack.api_url}{method}", headers=headers, **request)
        return await answer.json()


async def test_a_form_carries_blocks_as_json_and_text_as_it_is(slack: SlackStandIn) -> None:
    form = {"channel": "C0INCIDENT", "text": '{"not": "json"}', "blocks": json.dumps(CARD)}
    assert (await raw(slack, "chat.postMessage", data=form))["ok"]
    [message] = slack.workspace.messages("C0INCIDENT")
    assert (message.text, [*message.buttons]) == ('{"not": "json"}', ["approve"])


async def test_a_form_may_carry_the_token_and_json_may_not(slack: SlackStandIn) -> None:
    given = {"channel": "C0INCIDENT", "text": "w", "token": slack.bot_token}
    nothing = {"Authorization": ""}
    assert (await raw(slack, "chat.postMessage", data=given, headers=nothing))["ok"]
    assert (await raw(slack, "chat.postMessage", json=given, headers=nothing))["error"] == "not_authed"


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("application/json", b"{", "invalid_json"),
        ("application/json", b"[]", "json_not_object"),
        ("text/csv", b"a,b", "invalid_post_type"),
        ("application/x-www-form-urlencoded", b"channel=C0INCIDENT&text=w&blocks=[", "invalid_blocks"),
    ],
)
async def test_unreadable_bodies_are_refused(slack: SlackStandIn, content_type: str, body: bytes, error: str) -> None:
    answer = await raw(slack, "chat.postMessage", data=body, headers={"Content-Type": content_type})
    assert answer["error"] == error


async def test_an_empty_body_has_no_arguments_whatever_it_says_it_is(slack: SlackStandIn) -> None:
    for kind in ("application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"):
        answer = await raw(slack, "auth.test", data=b"", headers={"Content-Type": kind})
        assert answer["ok"], kind


async def test_metadata_stays_unless_replaced(slack: SlackStandIn, client: AsyncWebClient) -> None:
    about = {"event_type": "card", "event_payload": {"request": "r1"}}
    message = await post(slack, metadata=about)
    await client.chat_update(channel="C0INCIDENT", ts=message.ts, text="edited")
    assert slack.workspace.messages("C0INCIDENT")[0].metadata == about


SCOPED = {
    "chat.postMessage": ({"channel": "C0INCIDENT", "text": "w"}, "chat:write"),
    "conversations.info": ({"channel": "C0INCIDENT"}, "channels:read"),
    "conversations.members": ({"channel": "C0PRIVATE"}, "groups:read"),
    "users.info": ({"user": "U0ALICE"}, "users:read"),
    "usergroups.list": ({}, "usergroups:read"),
}


@pytest.mark.parametrize("method", SCOPED)
async def test_a_call_without_its_scope_is_refused_and_told_which(slack: SlackStandIn, method: str) -> None:
    args, scope = SCOPED[method]
    slack.scopes -= {scope}

    answer = await raw(slack, method, data=args)

    assert (answer["error"], answer["needed"]) == ("missing_scope", scope)
    assert answer["provided"] == ",".join(sorted(slack.scopes))


async def test_an_answer_names_the_scopes_of_the_token_and_the_time(
    slack: SlackStandIn, client: AsyncWebClient
) -> None:
    slack.ahead = 60.0
    headers = (await client.auth_test()).headers

    assert set(headers["X-OAuth-Scopes"].split(",")) == slack.scopes
    assert email.utils.parsedate_to_datetime(headers["Date"]).timestamp() == int(slack.clock.now() + 60)


async def test_another_token_has_no_scopes(slack: SlackStandIn) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{slack.api_url}auth.test", headers={"Authorization": "Bearer xoxb-other"})
    assert "x-oauth-scopes" not in answer.headers
