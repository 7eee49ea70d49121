"""Modals: opened by a trigger id, stacked, guarded by a hash, submitted and closed by people."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import DividerBlock, PlainTextObject
from slack_sdk.models.views import View as ViewModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.playground.slack import transcript
from bot.playground.slack.errors import NotPossible
from bot.playground.slack.records import View
from bot.playground.slack.server import SlackStandIn
from tests.playground.slack.slack_world import (
    BUTTON,
    CARD,
    REASON,
    Bot,
    TurnedClock,
    running_bot,
    running_slack,
    web_client,
)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def slack(clock: TurnedClock) -> AsyncIterator[SlackStandIn]:
    async with running_slack(clock=clock) as running:
        yield running


@pytest.fixture
async def bot(slack: SlackStandIn) -> AsyncIterator[Bot]:
    async with running_bot(slack) as running:
        yield running


async def trigger(slack: SlackStandIn, bot: Bot) -> str:
    """Return a fresh trigger id of Alice's."""
    await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    return str(bot.heard[-1]["trigger_id"])


async def opened(slack: SlackStandIn, bot: Bot, **more: Any) -> View:
    """Open the reason modal for Alice."""
    await web_client(slack).views_open(trigger_id=await trigger(slack, bot), view={**REASON, **more})
    view = slack.workspace.top_view("U0ALICE")
    assert view
    return view


async def error_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_a_trigger_id_opens_a_view_before_its_person(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot)
    assert (view.user, view.title, [*view.buttons]) == ("U0ALICE", "Why not?", ["words"])
    assert slack.workspace.views("U0BOB") == ()


async def test_the_vendors_view_model_opens_too(slack: SlackStandIn, bot: Bot) -> None:
    model = ViewModel(type="modal", title=PlainTextObject(text="Title"), blocks=[DividerBlock()])
    answer = await web_client(slack).views_open(trigger_id=await trigger(slack, bot), view=model)
    assert answer["view"]["state"] == {"values": {}}


async def test_a_trigger_id_opens_one_view_only(slack: SlackStandIn, bot: Bot) -> None:
    id, client = await trigger(slack, bot), web_client(slack)
    await client.views_open(trigger_id=id, view=REASON)
    assert await error_of(client.views_open(trigger_id=id, view=REASON)) == "exchanged_trigger_id"


async def test_a_trigger_id_lives_three_seconds(slack: SlackStandIn, bot: Bot, clock: TurnedClock) -> None:
    in_time, late = await trigger(slack, bot), await trigger(slack, bot)
    clock.turn(3)
    await web_client(slack).views_open(trigger_id=in_time, view=REASON)
    clock.turn(0.01)
    assert await error_of(web_client(slack).views_open(trigger_id=late, view=REASON)) == "expired_trigger_id"


async def test_an_invented_trigger_id_is_invalid(slack: SlackStandIn) -> None:
    assert await error_of(web_client(slack).views_open(trigger_id="1.2.3", view=REASON)) == "invalid_trigger_id"


async def test_a_wrong_view_is_refused_and_costs_no_trigger(slack: SlackStandIn, bot: Bot) -> None:
    id, client = await trigger(slack, bot), web_client(slack)
    wrong = {**REASON, "title": {"type": "plain_text", "text": "x" * 25}}
    assert await error_of(client.views_open(trigger_id=id, view=wrong)) == "invalid_arguments"
    many = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}] * 90
    assert await error_of(client.views_open(trigger_id=id, view={**REASON, "blocks": many})) == "view_too_large"
    await client.views_open(trigger_id=id, view=REASON)


async def test_three_views_can_be_stacked(slack: SlackStandIn, bot: Bot) -> None:
    client = web_client(slack)
    assert await error_of(client.views_push(trigger_id=await trigger(slack, bot), view=REASON)) == "not_found"
    first = await opened(slack, bot)
    for _ in range(2):
        await client.views_push(trigger_id=await trigger(slack, bot), view=REASON)
    assert await error_of(client.views_push(trigger_id=await trigger(slack, bot), view=REASON)) == "push_limit_reached"
    stack = slack.workspace.views("U0ALICE")
    assert [view.root_id for view in stack] == [first.id] * 3
    assert [view.previous_id for view in stack] == [None, stack[0].id, stack[1].id]


async def test_an_update_is_guarded_by_the_hash(slack: SlackStandIn, bot: Bot) -> None:
    client, view = web_client(slack), await opened(slack, bot)
    new = {**REASON, "title": {"type": "plain_text", "text": "Ready"}}
    await client.views_update(view_id=view.id, hash=view.hash, view=new)
    assert await error_of(client.views_update(view_id=view.id, hash=view.hash, view=new)) == "hash_conflict"
    top = slack.workspace.top_view("U0ALICE")
    assert top
    assert (top.id, top.title) == (view.id, "Ready")
    assert await error_of(client.views_update(view_id="V0", view=new)) == "not_found"
    nameless = client.api_call("views.update", json={"view": new})
    assert await error_of(nameless) == "invalid_arguments"


async def test_an_external_id_names_one_open_view(slack: SlackStandIn, bot: Bot) -> None:
    client, named = web_client(slack), {**REASON, "external_id": "mine"}
    await client.views_open(trigger_id=await trigger(slack, bot), view=named)
    assert (
        await error_of(client.views_push(trigger_id=await trigger(slack, bot), view=named)) == "duplicate_external_id"
    )
    await client.views_update(external_id="mine", view=REASON)


async def test_a_submission_carries_what_was_typed_and_closes_the_view(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot, private_metadata="r1")
    ack = await slack.people.submit("U0ALICE", view, {"reason": "still needed"})
    assert (ack.status, ack.problems, slack.workspace.top_view("U0ALICE")) == (200, (), None)
    heard = bot.heard[-1]
    assert heard["type"] == "view_submission"
    assert heard["view"]["callback_id"] == "deny_reason"
    assert heard["view"]["private_metadata"] == "r1"
    values = heard["view"]["state"]["values"]
    assert values == {"reason": {"words": {"type": "plain_text_input", "value": "still needed"}}}
    assert "channel" not in heard


async def test_the_modal_of_a_stranger_names_our_team_as_where_the_app_is_installed_and_nowhere_else(
    slack: SlackStandIn, bot: Bot
) -> None:
    slack.workspace.change_person("U0STRANGE", enterprise_id="E0OTHER")
    await web_client(slack).chat_postMessage(channel="C0SHARED", text="card", blocks=CARD)
    [message] = slack.workspace.messages("C0SHARED")
    await slack.people.click("U0STRANGE", message, "approve")
    clicked = bot.heard[-1]
    more = {"type": "actions", "block_id": "more", "elements": [{**BUTTON, "action_id": "more"}]}
    view = {**REASON, "notify_on_close": True, "blocks": [*REASON["blocks"], more]}
    await web_client(slack).views_open(trigger_id=clicked["trigger_id"], view=view)
    top = slack.workspace.top_view("U0STRANGE")
    assert top
    await slack.people.click("U0STRANGE", top, "more")
    await slack.people.submit("U0STRANGE", top, {"reason": "why not"})
    await web_client(slack).views_open(trigger_id=bot.heard[-1]["trigger_id"], view={**view, "clear_on_close": True})
    again = slack.workspace.top_view("U0STRANGE")
    assert again
    await slack.people.close("U0STRANGE", again)

    assert clicked["team"]["id"] == "T0PLAYGROUND"
    assert [heard["type"] for heard in bot.heard[1:]] == ["block_actions", "view_submission", "view_closed"]
    for heard in bot.heard[1:]:
        assert (heard["team"]["id"], heard["team"]["enterprise_id"], heard["enterprise"]["id"]) == (
            "T0OTHER",
            "E0OTHER",
            "E0OTHER",
        )
        assert (heard["user"]["team_id"], heard["view"]["team_id"]) == ("T0OTHER", "T0OTHER")
        assert heard["view"]["app_installed_team_id"] == "T0PLAYGROUND"


async def test_the_modal_of_an_app_of_a_whole_organisation_says_so(clock: TurnedClock) -> None:
    async with (
        running_slack(clock=clock, enterprise_id="E0GRID", org_install=True) as slack,
        running_bot(slack) as bot,
    ):
        await slack.people.submit("U0ALICE", await opened(slack, bot), {"reason": "no"})

    heard = bot.heard[-1]
    assert (heard["team"], heard["enterprise"]["id"]) == (None, "E0GRID")
    assert (heard["view"]["team_id"], heard["view"]["app_installed_team_id"]) == ("T0PLAYGROUND", "E0GRID")


async def test_an_empty_object_closes_the_view_as_an_empty_answer_does(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot)

    async def nothing(request: Request, heard: dict[str, Any]) -> Response:
        return JSONResponse({})

    bot.answer = nothing
    ack = await slack.people.submit("U0ALICE", view, {"reason": "still needed"})
    assert (ack.body, ack.problems, slack.workspace.top_view("U0ALICE")) == ("{}", (), None)


async def test_errors_keep_the_view_open_under_their_inputs(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot)
    bot.answers(response_action="errors", errors={"reason": "Say a little more."})
    ack = await slack.people.submit("U0ALICE", view, {"reason": "no"})
    top = slack.workspace.top_view("U0ALICE")
    assert top
    assert (top.errors, ack.problems) == ({"reason": "Say a little more."}, ())
    assert "Say a little more." in transcript.of(slack.workspace)
    bot.answers(response_action="errors", errors={"other": "Words."})
    assert (await slack.people.submit("U0ALICE", view, {"reason": "no"})).problems


async def test_a_submission_can_be_answered_with_another_view(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot)
    new = {**REASON, "title": {"type": "plain_text", "text": "Sure?"}}
    bot.answers(response_action="push", view=new)
    await slack.people.submit("U0ALICE", view, {"reason": "no"})
    assert [one.title for one in slack.workspace.views("U0ALICE")] == ["Why not?", "Sure?"]
    bot.answers(response_action="update", view={**new, "title": {"type": "plain_text", "text": "Done"}})
    await slack.people.submit("U0ALICE", slack.workspace.views("U0ALICE")[-1], {"reason": "no"})
    assert [one.title for one in slack.workspace.views("U0ALICE")] == ["Why not?", "Done"]
    bot.answers(response_action="clear")
    await slack.people.submit("U0ALICE", slack.workspace.views("U0ALICE")[-1], {"reason": "no"})
    assert slack.workspace.views("U0ALICE") == ()


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "explode"},
        {"response_action": None},
        {"text": "no action"},
        {"response_action": "update", "view": {"type": "modal"}},
        {"response_action": "errors", "errors": {}},
    ],
)
async def test_an_answer_that_slack_does_not_take_leaves_the_view(slack: SlackStandIn, bot: Bot, answer: Any) -> None:
    view = await opened(slack, bot)
    bot.answers(**answer)
    ack = await slack.people.submit("U0ALICE", view, {"reason": "no"})
    assert ack.problems
    assert slack.workspace.top_view("U0ALICE")


async def test_an_answer_cannot_push_a_fourth_view(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot)
    bot.answers(response_action="push", view=REASON)
    for _ in range(2):
        await slack.people.submit("U0ALICE", slack.workspace.views("U0ALICE")[-1], {"reason": "no"})
    ack = await slack.people.submit("U0ALICE", slack.workspace.views("U0ALICE")[-1], {"reason": "no"})
    assert (ack.problems, slack.workspace.views("U0ALICE")[0].id) == (("push_limit_reached",), view.id)


async def test_what_is_optional_may_stay_empty(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot, blocks=[{**REASON["blocks"][0], "optional": True}, *CARD])
    await slack.people.submit("U0ALICE", view)
    values = bot.heard[-1]["view"]["state"]["values"]
    assert values == {"reason": {"words": {"type": "plain_text_input", "value": None}}}


async def test_what_has_no_submit_button_cannot_be_submitted(slack: SlackStandIn, bot: Bot) -> None:
    client, id = web_client(slack), await trigger(slack, bot)
    await client.views_open(trigger_id=id, view={"type": "modal", "title": REASON["title"], "blocks": CARD})
    with pytest.raises(NotPossible, match="cannot be submitted"):
        await slack.people.submit("U0ALICE", slack.workspace.views("U0ALICE")[0])


async def test_a_failed_submission_leaves_the_view(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot)
    bot.answers(status=500)
    ack = await slack.people.submit("U0ALICE", view, {"reason": "no"})
    assert ack.problems == ("We had some trouble connecting. Try again?",)
    assert slack.workspace.top_view("U0ALICE") == view


async def test_the_client_minds_what_was_filled_in(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot)
    for values in ({}, {"reason": ""}, {"reason": "x" * 21}, {"unknown": "x"}):
        with pytest.raises(NotPossible):
            await slack.people.submit("U0ALICE", view, values)
    with pytest.raises(NotPossible, match="looks at"):
        await slack.people.submit("U0BOB", view, {"reason": "x"})


@pytest.mark.parametrize(
    ("element", "value", "entry"),
    [
        ({"type": "users_select"}, "U0BOB", {"selected_user": "U0BOB"}),
        ({"type": "datepicker"}, "2026-11-24", {"selected_date": "2026-11-24"}),
        ({"type": "plain_text_input", "initial_value": "start"}, None, {"value": "start"}),
        (
            {"type": "external_select"},
            "f1",
            {"selected_option": {"text": {"type": "plain_text", "text": "f1"}, "value": "f1"}},
        ),
    ],
)
async def test_every_input_has_its_shape_in_the_state(
    slack: SlackStandIn, bot: Bot, element: Any, value: Any, entry: Any
) -> None:
    block = {**REASON["blocks"][0], "element": {"action_id": "words", **element}}
    view = await opened(slack, bot, blocks=[block])
    await slack.people.submit("U0ALICE", view, {} if value is None else {"words": value})
    state = bot.heard[-1]["view"]["state"]["values"]["reason"]["words"]
    assert state == {"type": element["type"], **entry}


async def test_choices_must_be_among_the_options(slack: SlackStandIn, bot: Bot) -> None:
    option = {"text": {"type": "plain_text", "text": "One"}, "value": "1"}
    menus = [
        {"type": "static_select", "action_id": "one", "options": [option]},
        {"type": "checkboxes", "action_id": "many", "options": [option]},
    ]
    blocks = [{**REASON["blocks"][0], "block_id": menu["action_id"], "element": menu} for menu in menus]
    view = await opened(slack, bot, blocks=blocks)
    with pytest.raises(NotPossible, match="no option"):
        await slack.people.submit("U0ALICE", view, {"one": "2", "many": ["1"]})
    await slack.people.submit("U0ALICE", view, {"one": "1", "many": ["1"]})
    values = bot.heard[-1]["view"]["state"]["values"]
    assert values["one"]["one"]["selected_option"] == option
    assert values["many"]["many"]["selected_options"] == [option]


async def test_closing_is_told_only_where_asked_for(slack: SlackStandIn, bot: Bot) -> None:
    ack = await slack.people.close("U0ALICE", await opened(slack, bot))
    assert (ack.sent, slack.workspace.views("U0ALICE"), bot.heard[-1]["command"]) == (None, (), "/flow")
    await slack.people.close("U0ALICE", await opened(slack, bot, notify_on_close=True))
    assert (bot.heard[-1]["type"], bot.heard[-1]["is_cleared"]) == ("view_closed", False)
    await slack.people.close("U0ALICE", await opened(slack, bot, notify_on_close=True), cleared=True)
    assert bot.heard[-1]["is_cleared"] is True


async def test_a_button_in_a_view_can_be_pressed_by_whom_it_stands_before(slack: SlackStandIn, bot: Bot) -> None:
    view = await opened(slack, bot, blocks=CARD)
    await slack.people.click("U0ALICE", view, "approve")
    heard = bot.heard[-1]
    assert heard["container"] == {"type": "view", "view_id": view.id}
    assert heard["actions"][0]["value"] == BUTTON["value"]
    assert "response_url" not in heard
    with pytest.raises(NotPossible, match="open for U0ALICE"):
        await slack.people.click("U0BOB", view, "approve")


async def test_options_are_asked_for_as_a_person_types(slack: SlackStandIn, bot: Bot) -> None:
    menu = {"type": "external_select", "action_id": "flow", "min_query_length": 1}
    view = await opened(slack, bot, blocks=[{**REASON["blocks"][0], "element": menu}])
    option = {"text": {"type": "plain_text", "text": "main-feed"}, "value": "f1"}
    bot.answers(options=[option])
    ack = await slack.people.suggest("U0ALICE", view, "flow", "main")
    assert (ack.json["options"], ack.problems) == ([option], ())
    heard = bot.heard[-1]
    assert (heard["type"], heard["action_id"], heard["block_id"], heard["value"]) == (
        *("block_suggestion", "flow", "reason", "main"),
    )
    bot.answers(options=[option] * 101)
    assert (await slack.people.suggest("U0ALICE", view, "flow", "main")).problems
    bot.answers()
    assert (await slack.people.suggest("U0ALICE", view, "flow", "main")).problems
    for action_id, query in (("flow", ""), ("words", "main")):
        with pytest.raises(NotPossible):
            await slack.people.suggest("U0ALICE", view, action_id, query)
