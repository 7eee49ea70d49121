"""The read commands: what they show, to whom, and what they leave unchanged."""

import asyncio
import json
import re

import pytest

from bot.playground import world
from bot.playground.live.errors import invalid
from bot.playground.slack.records import PostedMessage
from tests.scenarios import policies
from tests.scenarios.conftest import INCIDENT, MAIN, PATIENCE, RANDOM, OpenStage, Stage

HOSTILE = (
    "<!channel> <@U0BOB> <!subteam^S0MEDIAGRP> <#C0RANDOM> <http://evil.example|good> `x` *b* & \u202e\u200b\nSTANDBY"
)
READ_DENIED = policies.HEAD + policies.rule(
    "nobody looks at the final", effect="deny", verbs=["read"], who=["*"], excluded=["media-leads"], flows=["main-*"]
)
READ_SHUT = policies.HEAD + policies.rule("nobody looks", effect="deny", verbs=["read"], who=["media-oncall"])


async def reads(stage: Stage, text: str, *, user: str = "U0ALICE", channel: str = INCIDENT) -> PostedMessage:
    """Type a read command once everything done so far is recorded, and return the result."""
    await stage.quiet()
    known = len(stage.heard(user))
    ack = await stage.types(user, text, channel=channel)
    assert ack.ok, ack.status
    assert ack.problems == ()
    assert ack.shown is not None
    assert ack.shown.plain.startswith("Reading ")
    return await answer(stage, known, user=user)


async def answer(stage: Stage, known: int, *, user: str = "U0ALICE") -> PostedMessage:
    """Wait until somebody was sent more than `known` messages, and return the last."""

    def last() -> PostedMessage | None:
        mine = [one for one in stage.slack.workspace.ephemerals(user) if not one.plain.startswith("Reading ")]
        return max(mine, key=lambda one: one.ts) if len(stage.heard(user)) > known and mine else None

    return await stage.slack.until(lambda _: last(), timeout=PATIENCE)


async def stopped(stage: Stage, *, reason: str = "it loops") -> PostedMessage:
    """Let Alice ask for a stop and Dave approve it; return the card."""
    card = await stage.asks("U0ALICE", f"stop main-feed because {reason}")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()
    return card


def link_to(card: PostedMessage) -> str:
    """Return the part of a link that identifies the card."""
    return f"/archives/{card.channel}/p{card.ts.replace('.', '')}"


# Results


async def test_status_shows_state_parts_the_open_request_and_the_last_ones(stage: Stage) -> None:
    await stopped(stage)
    stage.live.set_status(world.PROJECT_ID, MAIN, "ACTIVE")
    card = await stage.asks("U0BOB", "stop main-feed because of the rain")
    await stage.quiet()  # by now the bot has stored where its card is

    shown = await reads(stage, "status main-feed")

    words = shown.plain.replace("*", "")
    assert "`main-feed` (…1b2d) in hk: ACTIVE" in words
    assert MAIN in words
    assert "1 source" in words
    assert "1 output" in words
    open_one, _, last = words.partition("Last requests:")
    assert "Open request:" in open_one
    assert link_to(card) in open_one
    assert "Approvals: 0 of 1" in open_one
    assert "Reason: “of the rain”" in open_one
    assert "STANDBY" in last
    assert "<@U0DAVE>" in last


async def test_status_by_id_and_of_a_flow_that_nobody_asked_about(stage: Stage) -> None:
    shown = await reads(stage, f"status {MAIN}")

    assert "`main-feed`" in shown.plain
    assert "Nobody has asked me to change it yet" in shown.plain


async def test_the_address_of_the_console_is_understood(stage: Stage) -> None:
    address = f"https://console-intl.huaweicloud.com/live/?region=x#/flows/detail?flow_id={MAIN}&amp;tab=1"

    assert "`main-feed`" in (await reads(stage, f"status <{address}>")).plain
    card = await stage.asks("U0ALICE", f"stop <{address}|Flow details> because it loops")
    assert "Stop `main-feed`" in stage.reads(card)


async def test_an_unknown_flow_gets_candidates(stage: Stage) -> None:
    shown = await reads(stage, "status main-fed")

    assert "There is no flow `main-fed` in hk; did you mean" in shown.plain
    assert "opened" not in shown.plain


async def test_a_name_and_an_id_that_fit_different_flows_are_both_shown(stage: Stage) -> None:
    stage.live.add_flow(world.PROJECT_ID, "twin", "first")
    stage.live.add_flow(world.PROJECT_ID, "other", "twin")

    shown = await reads(stage, "status twin")

    assert "fits several flows" in shown.plain
    assert "`other`" in shown.plain


async def test_list_shows_names_ids_states_and_its_age(stage: Stage) -> None:
    first = await reads(stage, "list")
    await stage.passes(20)
    again = await reads(stage, "list FEED", user="U0BOB")

    assert "3 flows in hk: 2 ACTIVE, 1 STANDBY" in first.plain.replace("*", "")
    assert f"`main-feed` · `{MAIN}` · ACTIVE" in first.plain
    assert "Read from the cloud just now" in first.plain
    assert "2 flows in hk with “FEED” in the name or id" in again.plain.replace("*", "")
    assert "studio-b" not in again.plain
    assert "Read from the cloud 20 seconds ago" in again.plain
    assert len(stage.live.calls_of("GET", "/flows")) == 1


async def test_a_list_older_than_a_minute_is_read_anew(stage: Stage) -> None:
    await reads(stage, "list")
    await stage.passes(61)

    shown = await reads(stage, "list")

    assert "Read from the cloud just now" in shown.plain
    assert len(stage.live.calls_of("GET", "/flows")) == 2


async def test_a_list_without_a_match_says_so(stage: Stage) -> None:
    assert "No flows in hk with “zzz”" in (await reads(stage, "list zzz")).plain.replace("*", "")


async def test_a_thousand_flows_are_listed_in_pages_and_found_by_name(stage: Stage) -> None:
    for number in range(1_000):
        stage.live.add_flow(world.PROJECT_ID, f"id-{number:04}", f"flow-{number:04}")

    shown = await reads(stage, "list flow-")
    assert "1000 flows" in shown.plain
    assert "page 1 of 50" in shown.plain
    assert set(shown.buttons) == {"list_later"}
    assert "`flow-0019`" in shown.plain

    await stage.presses("U0ALICE", shown, "list_later")
    second = await stage.slack.until(
        lambda _: stage.now(shown) if "page 2 of 50" in stage.now(shown).plain else None, timeout=PATIENCE
    )
    assert set(second.buttons) == {"list_earlier", "list_later"}
    assert "`flow-0020`" in second.plain
    assert "`flow-0019`" not in second.plain
    assert len(stage.live.calls_of("GET", "/flows")) == 11

    assert "`flow-0999`" in (await reads(stage, "status flow-0999")).plain
    assert len(stage.live.calls_of("GET", "/flows")) == 11


async def test_pending_shows_first_what_the_reader_may_decide(stage: Stage) -> None:
    stage.live.add_flow(world.PROJECT_ID, "f-3", "third-feed")
    mine = await stage.asks("U0ALICE", "stop main-feed")
    theirs = await stage.asks("U0DAVE", "stop backup-feed")
    await stage.asks("U0BOB", "stop third-feed --dry-run")
    await stage.quiet()  # by now the bot has stored where the cards are

    dave = (await reads(stage, "pending", user="U0DAVE")).plain.replace("*", "")
    alice = (await reads(stage, "pending")).plain.replace("*", "")

    assert dave.startswith("You may decide:")
    assert "Others decide:" not in dave
    assert link_to(mine) in dave
    assert link_to(theirs) in dave
    assert "Dry run: Stop `third-feed`" in dave
    assert alice.startswith("Open, for others to decide:")
    assert "`backup-feed`" in alice


async def test_pending_without_any_request_says_so(stage: Stage) -> None:
    await stopped(stage)

    assert (await reads(stage, "pending")).plain == "No request is open."


async def test_history_tells_who_asked_who_decided_and_what_came_of_it(stage: Stage) -> None:
    await stopped(stage)
    await stage.passes(5)
    card = await stage.asks("U0BOB", "stop backup-feed")
    await stage.presses("U0CAROL", card, "deny")
    await stage.quiet()

    everything = (await reads(stage, "history")).plain.replace("*", "")
    one = (await reads(stage, "history main-feed")).plain.replace("*", "")

    newest, oldest = everything.index("backup-feed"), everything.index("main-feed")
    assert newest < oldest
    assert "denied by <@U0CAROL>" in everything
    assert "Asked by <@U0BOB>" in everything
    assert "Stopped `main-feed` (…1b2d) in hk: STANDBY · Approved by <@U0DAVE>" in one
    assert "Reason: “it loops”" in one
    assert "backup-feed" not in one


async def test_history_of_a_flow_that_the_cloud_does_not_have_any_more_is_found_by_its_id(stage: Stage) -> None:
    await stopped(stage)
    stage.reads_fail(invalid("flow does not exist"))

    assert "Last requests" in (await reads(stage, f"history {MAIN}")).plain


async def test_history_without_any_request_says_so(stage: Stage) -> None:
    assert "Nobody has asked me for anything in hk yet" in (await reads(stage, "history")).plain
    assert "Nobody has asked me for anything for `main-feed`" in (await reads(stage, "history main-feed")).plain


async def test_whoami_tells_kind_sets_groups_and_rights(stage: Stage) -> None:
    alice = (await reads(stage, "whoami")).plain
    erin = (await reads(stage, "whoami", user="U0ERIN")).plain
    carol = (await reads(stage, "whoami", user="U0CAROL")).plain

    assert "a full member: <@U0ALICE>" in alice
    assert "You are in `media-oncall`." in alice
    assert "stop: every flow, with 1 approval from `media-leads`, by rule “on-call stops, a lead approves”" in alice
    assert "start: no rule lets you" in alice
    assert "read: every flow" in alice
    assert "`media-oncall` and <!subteam^S0MEDIAGRP>" in erin
    assert "stop: every flow, alone, by rule “leads confirm alone”" in carol
    assert "on-call" not in carol.replace("media-oncall", "")


async def test_several_projects_are_told_apart(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.TWO_PROJECTS)
    stage.live.add_flow(policies.OTHER_PROJECT_ID, "f-sg", "sg-feed")
    await stopped(stage)

    assert "belongs to no project. Please add" in (await reads(stage, "list", channel=RANDOM)).plain
    assert "no project `us`. Please use" in (await reads(stage, "list --project us")).plain
    assert "sg-feed" in (await reads(stage, "list --project sg")).plain
    assert "in sg and hk" in (await reads(stage, "history", channel=RANDOM)).plain
    assert "In hk:" in (await reads(stage, "whoami")).plain
    assert "In sg:" not in (await reads(stage, "whoami")).plain
    assert "In sg:" in (await reads(stage, "whoami", channel=RANDOM)).plain


# Help


async def test_help_shows_the_verbs_that_the_asker_may_use(stage: Stage) -> None:
    alice = (await stage.types("U0ALICE", "help")).shown
    guest = (await stage.types("U0GUEST", "help")).shown

    assert alice is not None
    assert guest is not None
    assert "`/flow stop FLOW" in alice.plain
    assert "`/flow start FLOW" not in alice.plain
    assert "No rule lets you use `start` here" in alice.plain
    assert "`/flow whoami`" in guest.plain
    assert "`/flow stop FLOW" not in guest.plain


async def test_help_waits_a_second_for_slack_and_then_shows_everything(stage: Stage) -> None:
    gate = asyncio.Event()
    stage.slack.faults.hold("users.info", gate)

    shown = (await stage.types("U0ALICE", "help start")).shown
    gate.set()

    assert shown is not None
    assert "`/flow start FLOW" in shown.plain
    assert "did not tell me in time who you are" in shown.plain


# Who may read


@pytest.mark.parametrize("text", ["status main-feed", "list", "pending", "history"])
@pytest.mark.parametrize("user", ["U0GUEST", "U0SOLO"])
async def test_promise_6_guests_get_a_bare_refusal(stage: Stage, text: str, user: str) -> None:
    shown = await reads(stage, text, user=user)

    assert shown.plain == "You may not do this here. Nothing was done."
    assert stage.live.calls == ()


async def test_whoami_tells_a_guest_nothing_of_the_rules(stage: Stage) -> None:
    shown = (await reads(stage, "whoami", user="U0GUEST")).plain

    assert "a guest" in shown
    assert "You may not do anything here" in shown
    assert "rule" not in shown


async def test_when_slack_cannot_say_who_asks_the_answer_is_no(stage: Stage) -> None:
    stage.slack.faults.error("users.info", "fatal_error", times=None)

    assert "so the answer is no" in (await reads(stage, "list")).plain


async def test_what_a_rule_closes_is_neither_shown_nor_named(open_stage: OpenStage) -> None:
    stage = await open_stage(READ_DENIED + policies.rule("all", who=["*"], approvals=0))
    await stage.asks("U0CAROL", "stop main-feed")
    await stage.asks("U0CAROL", "stop backup-feed")

    refused = (await reads(stage, "status main-feed")).plain
    assert "Rule “nobody looks at the final” forbids you to read `main-feed`" in refused
    assert "`media-leads` could do it instead: <@U0CAROL> or <@U0DAVE>" in refused
    assert "main-feed" not in (await reads(stage, "list")).plain
    assert "main-feed" not in (await reads(stage, "status main-fed")).plain.replace("`main-fed`", "")
    assert "main-feed" not in (await reads(stage, "pending")).plain
    assert "main-feed" not in (await reads(stage, "history")).plain
    assert "forbids you to read" in (await reads(stage, f"history {MAIN}")).plain
    assert "forbids you to read" in (await reads(stage, "history main-feed")).plain
    assert "`main-feed`" in (await reads(stage, "list", user="U0DAVE")).plain


@pytest.mark.parametrize("verb", ["stop", "start", "status", "history"])
async def test_a_name_that_fits_none_offers_no_flow_that_a_rule_closes(open_stage: OpenStage, verb: str) -> None:
    anybody = policies.rule("all", who=["*"], verbs=["stop", "start"], approvals=0)
    stage = await open_stage(READ_DENIED + anybody)

    offered = (await reads(stage, f"{verb} fee")).plain
    assert "`backup-feed`" in offered
    assert "main-feed" not in offered
    assert MAIN not in offered
    assert "`main-feed`" in (await reads(stage, f"{verb} fee", user="U0DAVE")).plain


async def test_a_rule_that_closes_everything_keeps_the_cloud_from_being_asked(open_stage: OpenStage) -> None:
    stage = await open_stage(READ_SHUT)

    for text in ("list", "status main-feed", "history", "history main-feed"):
        refused = (await reads(stage, text)).plain
        assert "“nobody looks” forbids you to read `hk`" in refused
        assert "Any full member could do it instead" in refused
    assert stage.live.calls == ()
    assert "`main-feed`" in (await reads(stage, "list", user="U0DAVE")).plain


# Who sees reasons


async def _secret(stage: Stage) -> PostedMessage:
    stage.slack.workspace.change_channel(INCIDENT, is_private=True)
    card = await stage.asks("U0ALICE", "stop main-feed because of the buyer")
    await stage.presses("U0CAROL", card, "deny")
    await stage.slack.people.submit("U0CAROL", await stage.opens_for("U0CAROL"), {"reason": "the buyer knows"})
    await stage.quiet()
    return card


@pytest.mark.parametrize("text", ["history", "history main-feed", "status main-feed"])
async def test_reasons_and_links_of_a_private_channel_stay_there(stage: Stage, text: str) -> None:
    card = await _secret(stage)

    bob = (await reads(stage, text, user="U0BOB", channel=RANDOM)).plain
    assert "main-feed" in bob
    assert "buyer" not in bob
    assert link_to(card) not in bob
    assert "its card is in a private channel" in bob
    for user, channel in (("U0ALICE", RANDOM), ("U0DAVE", RANDOM), ("U0BOB", INCIDENT)):
        shown = (await reads(stage, text, user=user, channel=channel)).plain
        assert "“of the buyer”" in shown
        assert "the buyer knows" in shown
        assert link_to(card) in shown


async def test_pending_keeps_the_reasons_of_a_private_channel_too(stage: Stage) -> None:
    stage.slack.workspace.change_channel(INCIDENT, is_private=True)
    await stage.asks("U0ALICE", "stop main-feed because of the buyer")

    assert "buyer" not in (await reads(stage, "pending", user="U0BOB", channel=RANDOM)).plain
    assert "buyer" in (await reads(stage, "pending", user="U0DAVE", channel=RANDOM)).plain


@pytest.mark.parametrize("text", ["stop main-feed", f"stop {MAIN}", "stop main-feed because it loops"])
async def test_who_asks_for_the_same_as_a_private_card_gets_no_link_to_it(stage: Stage, text: str) -> None:
    stage.slack.workspace.change_channel(INCIDENT, is_private=True)
    card = await stage.asks("U0ALICE", "stop main-feed because of the buyer")

    await stage.types("U0BOB", text, channel=RANDOM)
    await stage.types("U0DAVE", text, channel=RANDOM)
    await stage.quiet()

    (bob,), (dave,) = stage.heard("U0BOB"), stage.heard("U0DAVE")
    assert "is already open" in bob
    assert "please ask <@U0ALICE>" in bob
    assert link_to(card) not in bob
    assert INCIDENT not in bob
    assert "buyer" not in bob
    assert link_to(card) in dave


async def test_a_channel_that_slack_tells_nothing_of_is_private(stage: Stage) -> None:
    await stopped(stage, reason="of the buyer")
    await stage.passes(61)  # what Slack said when the card was posted is too old by now
    stage.slack.faults.error("conversations.info", "fatal_error", times=None)

    assert "buyer" not in (await reads(stage, "history", user="U0BOB", channel=RANDOM)).plain


# Reading changes nothing


async def test_reading_is_recorded_nowhere_and_answered_for_the_asker_alone(stage: Stage) -> None:
    for text in ("status main-feed", "list", "pending", "history", "whoami"):
        await reads(stage, text)

    assert stage.recorded() == 0
    assert stage.select("SELECT count(*) FROM audit") == [(0,)]
    assert stage.slack.workspace.messages(INCIDENT) == []
    assert stage.stops() == 0


async def test_a_cloud_that_fails_is_told_with_its_error(stage: Stage) -> None:
    stage.live.deny("live:ott:listFlow")
    stage.live.deny("live:ott:getFlowDetail")

    for text in ("list", "status main-feed"):
        shown = (await reads(stage, text)).plain
        assert "LIVE.100011003" in shown
        assert "opened" not in shown


async def test_without_a_way_back_the_answer_is_whispered(stage: Stage) -> None:
    stage.slack.faults.server_error("response_url", times=None)

    shown = await reads(stage, "list")

    assert "3 flows in hk" in shown.plain
    assert len(stage.slack.workspace.called("chat.postEphemeral")) == 1


async def test_a_database_that_is_away_is_told(stage: Stage) -> None:
    assert stage.bot is not None
    await stage.bot.store.close()

    await stage.types("U0ALICE", "pending")

    assert "I could not read my database" in (await answer(stage, 0)).plain


# Text from people and the cloud


@pytest.mark.parametrize("text", ["list", "list {hostile}", "status cafe0001", "status {hostile}", "history cafe0001"])
async def test_hostile_texts_ping_nobody_in_what_is_read(stage: Stage, text: str) -> None:
    stage.live.add_flow(world.PROJECT_ID, "cafe0001", HOSTILE, region=HOSTILE)
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    card = await stage.asks("U0ALICE", f"stop cafe0001 because {escaped}")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()
    before = len(stage.slack.workspace.calls)
    known = len(stage.heard("U0BOB"))

    await stage.types("U0BOB", text.format(hostile=escaped))
    await answer(stage, known, user="U0BOB")

    said = "\n".join(json.dumps(call.args, ensure_ascii=False) for call in stage.slack.workspace.calls[before:])
    notations = {each for each in re.findall(r"<[!@#][^>]*>", said) if not each.startswith("<!date")}
    assert notations <= {"<@U0ALICE>", "<@U0DAVE>", f"<#{INCIDENT}>"}
    assert "<http://evil" not in said
    assert "\u202e" not in said
    assert "\u200b" not in said
