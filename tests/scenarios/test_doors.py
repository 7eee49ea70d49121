"""Every door decides alike: the same decisions over Slack, over the host, and across both (promise 11)."""

import asyncio
import dataclasses
from typing import Final

import pytest

from bot.commands.deliveries import Actor, Modal, Submitted, Typed, Verdict
from bot.commands.verbs import Door
from bot.playground import world
from bot.playground.slack.records import PostedMessage
from bot.serve import operations
from bot.slack.plain_text import plain
from tests.scenarios.conftest import MAIN, PATIENCE, OpenStage, Stage
from tests.scenarios.doors import DOORS, AnyDoor, Host, Slack, states, the_request
from tests.scenarios.test_new_policy import rewrites

OPERATORS: Final = """
[operators]
alice = "U0ALICE"
bob   = "U0BOB"
carol = "U0CAROL"
dave  = "U0DAVE"
"""

POLICY: Final = world.POLICY.replace("[[rules]]", f"{OPERATORS}\n[[rules]]", 1)
EMERGENCIES: Final = POLICY.replace(
    'approvers = ["media-leads"]', 'approvers = ["media-leads"]\nemergency = ["media-oncall"]'
)
PROTECTED: Final = f'{POLICY}protected = ["main-*"]\n'
REASONED: Final = f'{POLICY}reason = "required"\n'
FROZEN: Final = f"""{POLICY}
[[rules]]
name   = "nothing during the final"
effect = "deny"
verbs  = ["stop"]
who    = ["*"]
flows  = ["main-*"]
"""
ON_HOST: Final = POLICY.replace('approvers = ["media-leads"]', 'approvers = ["media-leads"]\ndoor = "host"').replace(
    "approvals = 0", 'approvals = 0\ndoor = "host"'
)


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    """Run the bot with operators."""
    return await open_stage(POLICY)


@pytest.fixture(params=DOORS)
def asking(request: pytest.FixtureRequest) -> str:
    """Return the door over which somebody asks."""
    return str(request.param)


@pytest.fixture(params=DOORS)
def deciding(request: pytest.FixtureRequest) -> str:
    """Return the door over which somebody decides."""
    return str(request.param)


def at(door: str, stage: Stage) -> AnyDoor:
    return Host(stage) if door == "host" else Slack(stage)


async def opened(stage: Stage, door: str, user: str = "U0ALICE", text: str = "stop main-feed") -> PostedMessage:
    """Ask for a stop, and return its card."""
    heard = await at(door, stage).asks(user, text)
    assert heard.is_done, heard
    return stage.cards()[-1]


class TestPromise11:
    """Every door decides alike."""

    async def test_promise_11_an_approval_stops_the_flow_and_says_by_which_door(
        self, stage: Stage, asking: str, deciding: str
    ) -> None:
        card = await opened(stage, asking)
        assert (await at(deciding, stage).presses("U0CAROL", card, "approve")).is_done
        assert stage.stops() == 1
        assert "Stopped main-feed" in stage.reads(card).replace("`", "")
        assert ("on the host" in " ".join(stage.replies(card))) == (deciding == "host")
        assert ("U0ALICE>, on the host" in stage.reads(card) or "@alice, on the host" in stage.reads(card)) == (
            asking == "host"
        )

    async def test_promise_11_nobody_approves_their_own_request(self, stage: Stage, asking: str, deciding: str) -> None:
        card = await opened(stage, asking)
        heard = await at(deciding, stage).presses("U0ALICE", card, "approve")
        assert not heard.is_done
        assert "is your own" in heard.sentence
        assert (stage.stops(), states(stage)) == (0, ["pending"])

    async def test_promise_11_nobody_votes_twice(self, open_stage: OpenStage, asking: str, deciding: str) -> None:
        stage = await open_stage(POLICY.replace("approvals = 1", "approvals = 2"))
        card = await opened(stage, "slack")
        assert (await at(asking, stage).presses("U0CAROL", card, "approve")).is_done
        heard = await at(deciding, stage).presses("U0CAROL", card, "approve")
        assert "already counts" in heard.sentence
        assert (stage.stops(), states(stage)) == (0, ["pending"])

    async def test_promise_11_who_may_not_is_refused_in_the_same_words(self, stage: Stage, asking: str) -> None:
        card = await opened(stage, asking)
        slack, host = [await at(door, stage).presses("U0BOB", card, "approve") for door in DOORS]
        assert not slack.is_done
        assert plain(slack.sentence) == host.sentence
        assert stage.stops() == 0

    async def test_promise_11_a_denial_ends_it_with_its_reason(self, stage: Stage, asking: str) -> None:
        await opened(stage, asking)
        denial = operations.denial(the_request(stage), "the final is on")
        assert (await Host(stage).submits("U0DAVE", denial)).is_done
        assert states(stage) == ["denied"]
        assert any("the final is on" in reply for reply in stage.replies(stage.cards()[-1]))

    async def test_promise_11_a_withdrawal_is_the_requesters(self, stage: Stage, asking: str, deciding: str) -> None:
        card = await opened(stage, asking)
        assert not (await at(deciding, stage).presses("U0BOB", card, "withdraw")).is_done
        assert (await at(deciding, stage).presses("U0ALICE", card, "withdraw")).is_done
        assert states(stage) == ["withdrawn"]

    async def test_promise_11_a_lead_confirms_alone(self, stage: Stage, asking: str, deciding: str) -> None:
        card = await opened(stage, asking, "U0CAROL")
        assert (await at(deciding, stage).presses("U0CAROL", card, "confirm")).is_done
        assert stage.stops() == 1

    async def test_promise_11_a_pause_holds_at_every_door(self, stage: Stage, asking: str, deciding: str) -> None:
        card = await opened(stage, asking)
        await asyncio.to_thread(operations_pause, stage)
        heard = await at(deciding, stage).presses("U0CAROL", card, "approve")
        assert "flowbot is paused" in heard.sentence
        assert "flowbot is paused" in (await at(asking, stage).asks("U0BOB", "stop backup-feed")).sentence
        assert stage.stops() == 0

    async def test_promise_11_a_deny_rule_holds_at_every_door(self, open_stage: OpenStage, asking: str) -> None:
        stage = await open_stage(FROZEN)
        heard = await at(asking, stage).asks("U0ALICE", "stop main-feed")
        assert "nothing during the final" in heard.sentence
        assert states(stage) == []

    async def test_promise_11_rights_that_are_gone_do_not_count_at_the_click(
        self, stage: Stage, asking: str, deciding: str
    ) -> None:
        card = await opened(stage, asking)
        stage.slack.workspace.persons["U0CAROL"] = dataclasses.replace(
            stage.slack.workspace.persons["U0CAROL"], deleted=True
        )
        await stage.passes(60)
        heard = await at(deciding, stage).presses("U0CAROL", card, "approve")
        assert not heard.is_done
        assert stage.stops() == 0

    async def test_promise_11_whoever_asks_for_the_same_is_led_to_the_request(
        self, stage: Stage, asking: str, deciding: str
    ) -> None:
        await opened(stage, asking)
        heard = await at(deciding, stage).asks("U0BOB", "stop main-feed")
        assert "is already open" in heard.sentence
        assert states(stage) == ["pending"]

    async def test_promise_11_late_and_repeated_decisions_change_nothing(
        self, stage: Stage, asking: str, deciding: str
    ) -> None:
        card = await opened(stage, asking)
        assert (await at(asking, stage).presses("U0CAROL", card, "approve")).is_done
        heard = await at(deciding, stage).presses("U0DAVE", card, "approve")
        assert "changed nothing" in heard.sentence
        assert stage.stops() == 1

    async def test_promise_11_an_emergency_has_two_presses_and_a_review(
        self, open_stage: OpenStage, asking: str, deciding: str
    ) -> None:
        stage = await open_stage(EMERGENCIES)
        assert (await at(asking, stage).asks("U0ALICE", "stop main-feed --emergency", reason="it burns")).is_done
        card = stage.cards()[-1]
        assert (await at(asking, stage).presses("U0ALICE", card, "emergency_first")).is_done
        soon = await at(deciding, stage).presses("U0ALICE", card, "emergency_confirm")
        assert (soon.is_done, stage.stops()) == (False, 0)
        await stage.passes(3)
        assert (await at(deciding, stage).presses("U0ALICE", card, "emergency_confirm")).is_done
        await stage.passes(15)
        assert stage.stops() == 1
        verdict = Submitted(modal=Modal.REVIEW, request_id=the_request(stage), reason="ok", verdict=Verdict.JUSTIFIED)
        assert not (await Host(stage).submits("U0ALICE", verdict)).is_done
        assert (await Host(stage).submits("U0DAVE", verdict)).is_done

    @pytest.mark.parametrize("order", [("slack", "host"), ("host", "slack"), ("host", "host")])
    async def test_promise_11_one_person_with_two_ids_is_one_person_at_every_door(
        self, open_stage: OpenStage, order: tuple[str, str]
    ) -> None:
        policy = POLICY.replace('approvers = ["media-leads"]', 'approvers = ["media-leads", "U1ALICE"]')
        stage = await open_stage(policy.replace("[operators]", '[operators]\nalice2 = "U1ALICE"'))
        workspace = stage.slack.workspace
        workspace.enterprise_id = "E0GRID"
        workspace.add_person("U1ALICE", "alice-elsewhere")
        workspace.join("C0INCIDENT", "U1ALICE")
        for user in ("U0ALICE", "U1ALICE"):
            workspace.change_person(user, enterprise_id="E0GRID", enterprise_user_id="W0ALICE")
        card = await opened(stage, order[0])
        heard = await at(order[1], stage).presses("U1ALICE", card, "approve")
        assert "is your own" in heard.sentence
        assert stage.stops() == 0

    async def test_promise_11_a_protected_flow_is_named_once_more(self, open_stage: OpenStage) -> None:
        stage = await open_stage(PROTECTED)
        missing = await Host(stage).asks("U0CAROL", f"stop {MAIN}")
        assert "Please add --name NAME" in missing.sentence
        assert "is not main-feed" in (await Host(stage).asks("U0CAROL", f"stop {MAIN}", name="main")).sentence
        assert (await Host(stage).asks("U0CAROL", f"stop {MAIN}", name="main-feed")).is_done
        assert states(stage) == ["pending"]

    async def test_promise_11_a_reason_that_a_rule_wants_is_asked_for(self, open_stage: OpenStage) -> None:
        stage = await open_stage(REASONED)
        assert "Please add --reason TEXT" in (await Host(stage).asks("U0CAROL", "stop main-feed")).sentence
        assert (await Host(stage).asks("U0CAROL", "stop main-feed", reason="it loops")).is_done

    async def test_promise_11_the_limit_of_a_minute_counts_a_person_at_both_doors(self, stage: Stage) -> None:
        for _ in range(60):
            await stage.types("U0ALICE", "stop no-such-feed")
        await stage.quiet()
        heard = await Host(stage).asks("U0ALICE", "stop main-feed")
        assert "60" in heard.sentence
        assert not heard.is_done


def operations_pause(stage: Stage) -> None:
    """Pause, as `flowbot pause` does."""
    from bot.serve import pause

    pause.pause(stage.world.settings().database_url, reason="work on it", by="root", clock=stage.world.clock)


class TestDoorOfARule:
    """`door = "host"`: confirmations and approvals under a rule count from the host only."""

    async def test_the_card_has_no_button_for_it_and_says_so(self, open_stage: OpenStage) -> None:
        stage = await open_stage(ON_HOST)
        card = await opened(stage, "slack")
        assert set(card.buttons) == {"deny", "withdraw"}
        assert f"flowbot operations approve {the_request(stage)}" in stage.reads(card)

    async def test_an_approval_from_slack_does_not_count(self, open_stage: OpenStage) -> None:
        stage = await open_stage(ON_HOST)
        card = await opened(stage, "slack")
        heard = await Slack(stage).presses("U0CAROL", card, "approve")
        assert "on the host only" in heard.sentence
        assert (stage.stops(), states(stage)) == (0, ["pending"])
        assert (await Host(stage).presses("U0CAROL", card, "approve")).is_done
        assert stage.stops() == 1

    async def test_a_confirmation_from_slack_does_not_count(self, open_stage: OpenStage) -> None:
        stage = await open_stage(ON_HOST)
        card = await opened(stage, "slack", "U0CAROL")
        assert "on the host only" in (await Slack(stage).presses("U0CAROL", card, "confirm")).sentence
        assert (await Host(stage).presses("U0CAROL", card, "confirm")).is_done
        assert stage.stops() == 1

    async def test_a_denial_counts_from_everywhere(self, open_stage: OpenStage) -> None:
        stage = await open_stage(ON_HOST)
        card = await opened(stage, "slack")
        assert (await Slack(stage).presses("U0CAROL", card, "deny")).is_done
        assert states(stage) == ["denied"]

    async def test_a_vote_from_slack_falls_off_when_the_rule_wants_the_host_by_then(
        self, open_stage: OpenStage
    ) -> None:
        stage = await open_stage(POLICY.replace("approvals = 1", "approvals = 2"))
        card = await opened(stage, "slack")
        await Slack(stage).presses("U0CAROL", card, "approve")
        rewrites(stage, ("approvals = 2", 'approvals = 2\ndoor = "host"'))
        await stage.passes(5)
        await Host(stage).presses("U0DAVE", card, "approve")
        assert (stage.stops(), states(stage)) == (0, ["pending"])


class TestOperators:
    async def test_a_login_that_the_policy_in_force_does_not_know_is_refused(self, stage: Stage) -> None:
        typed = Typed(text="stop main-feed", channel="", door=Door.HOST)
        url, clock = stage.world.settings().database_url, stage.world.clock
        for user, login in (("U0CAROL", "mallory"), ("U0CAROL", "alice")):
            heard = await Host(stage).hands_over(
                user, lambda actor: operations.ask(url, typed, actor=actor, wait=PATIENCE, clock=clock), login=login
            )
            assert "not in [operators]" in heard.sentence
        assert states(stage) == []

    async def test_the_audit_names_door_and_login(self, stage: Stage) -> None:
        await opened(stage, "host")
        ((facts,),) = stage.select("SELECT facts FROM audit WHERE what = 'asked'")
        assert '"door":"host"' in facts
        assert '"login":"alice"' in facts


class TestNobodyTakesItUp:
    async def test_without_a_bot_it_is_withdrawn_and_nothing_fires_later(
        self, built: world.World, clock: object
    ) -> None:
        url = built.settings().database_url
        typed = Typed(text="stop main-feed", channel="", door=Door.HOST)
        actor = Actor(team="", user="U0CAROL", login="carol")
        told = await asyncio.to_thread(operations.ask, url, typed, actor=actor, wait=0.3, clock=built.clock)
        assert (told.is_done, told.text) == (False, operations.NOBODY)

    async def test_an_entry_whose_command_was_killed_is_not_taken_up_after_its_time(self, stage: Stage) -> None:
        from bot.commands.deliveries import Entry
        from bot.store import opening

        now = stage.world.clock.now()
        entry = Entry(
            key="k" * 64,
            actor=Actor(team="", user="U0CAROL", login="carol"),
            arrival=Typed(text="stop main-feed", channel="", door=Door.HOST),
            received_at=now - 40,
            take_up_by=now - 10,
        )
        other = await opening.open_store(
            stage.world.settings().database_url, clock=stage.world.clock, replica="cli", exclusive=False
        )
        await other.submit(entry)
        await stage.quiet()
        result = await other.result(entry.key)
        await other.close()
        assert result.answer is not None
        assert result.answer.kind == "too_late"
        assert states(stage) == []


class TestSlackAway:
    async def test_a_stop_with_approval_completes_and_is_told_once_slack_is_back(self, stage: Stage) -> None:
        await stage.passes(120)
        stage.slack.faults.down()
        assert (await Host(stage).asks("U0ALICE", "stop main-feed", reason="it burns")).is_done
        assert (await Host(stage).presses("U0CAROL", None, "approve")).is_done
        assert stage.stops() == 1
        await stage.passes(200)
        assert stage.cards() == []

        stage.slack.faults.up()
        await stage.ticks(lambda: stage.cards() and len(stage.replies(stage.cards()[0])) >= 3, most=10.0)
        (card,) = stage.cards()
        assert "Stopped main-feed" in stage.reads(card).replace("`", "")
        asked, approved, outcome = (reply.replace("`", "") for reply in stage.replies(card)[:3])
        assert "asked to stop main-feed" in asked
        assert "on the host, approved" in approved
        assert "STANDBY" in outcome

    async def test_whoever_is_known_by_a_group_alone_is_not_known(self, stage: Stage) -> None:
        await stage.passes(120)
        stage.slack.faults.down()
        assert (await Host(stage).asks("U0BOB", "stop main-feed")).is_done
        assert not (await Host(stage).presses("U0BOB", None, "approve")).is_done
        assert stage.stops() == 0

    async def test_a_card_is_not_posted_where_others_see_it(self, stage: Stage) -> None:
        await stage.passes(120)
        stage.slack.faults.down()
        assert (await Host(stage).asks("U0ALICE", "stop main-feed")).is_done
        channel = stage.slack.workspace.channels["C0INCIDENT"]
        stage.slack.workspace.channels["C0INCIDENT"] = dataclasses.replace(channel, is_ext_shared=True)
        stage.slack.faults.up()
        await stage.ticks(lambda: states(stage) == ["withdrawn"], most=10.0)
        assert stage.cards() == []
