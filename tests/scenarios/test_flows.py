"""Which flow is meant, and its state when somebody asks."""

from bot.playground import world
from bot.playground.live.errors import failing
from tests.scenarios import policies
from tests.scenarios.conftest import MAIN, OpenStage, Stage


async def _only_told(stage: Stage, text: str, *, channel: str = "C0INCIDENT") -> str:
    """Let Alice type something that opens no request; return the one answer."""
    before = len(stage.heard("U0ALICE"))
    ack = await stage.types("U0ALICE", text, channel=channel)
    assert ack.ok
    await stage.quiet()
    assert stage.cards() == []
    assert stage.stops() == 0
    (answer,) = stage.heard("U0ALICE")[before:]
    return answer


async def test_an_unknown_flow_gets_candidates(stage: Stage) -> None:
    answer = await _only_told(stage, "stop main-fed")

    assert "There is no flow `main-fed` in hk" in answer
    assert "did you mean" in answer
    assert "`main-feed`" in answer
    assert MAIN in answer
    assert "studio-b" not in answer


async def test_a_name_that_nothing_looks_like_gets_no_candidates(stage: Stage) -> None:
    answer = await _only_told(stage, "stop zzzzzz")

    assert "There is no flow `zzzzzz` in hk" in answer
    assert "did you mean" not in answer


async def test_a_name_in_other_letters_is_a_candidate_and_not_a_match(stage: Stage) -> None:
    answer = await _only_told(stage, "stop Main-Feed")

    assert "did you mean" in answer
    assert "`main-feed`" in answer


async def test_a_flow_is_found_by_its_id_and_by_its_exact_name(stage: Stage) -> None:
    by_id = await stage.asks("U0ALICE", f"stop {MAIN}")
    by_name = await stage.asks("U0ALICE", "STOP `backup-feed`")

    assert "Stop `main-feed` (…1b2d) in hk: ACTIVE, 1 output" in stage.reads(by_id)
    assert "Stop `backup-feed` (…3e55) in hk: ACTIVE, 1 output" in stage.reads(by_name)
    assert MAIN in by_id.plain


async def test_an_id_that_is_another_flows_name_opens_nothing(stage: Stage) -> None:
    stage.live.add_flow(world.PROJECT_ID, "0000aaaa", MAIN)

    answer = await _only_told(stage, f"stop {MAIN}")

    assert "fits several flows" in answer
    assert "0000aaaa" in answer
    assert "`main-feed`" in answer


async def test_a_name_that_two_flows_have_opens_nothing(stage: Stage) -> None:
    stage.live.add_flow(world.PROJECT_ID, "0000aaaa", "main-feed")

    answer = await _only_told(stage, "stop main-feed")

    assert "fits several flows" in answer
    assert "0000aaaa" in answer
    assert MAIN in answer


async def test_what_is_standby_already_opens_nothing(stage: Stage) -> None:
    answer = await _only_told(stage, "stop studio-b")

    assert "`studio-b`" in answer
    assert "is already STANDBY" in answer


async def test_a_state_that_cannot_be_read_opens_nothing(stage: Stage) -> None:
    stage.reads_fail(failing(500, "live"))

    answer = await _only_told(stage, "stop main-feed")

    assert "could not be read" in answer
    assert "LIVE.100011005" in answer
    assert "Internal server error." in answer


async def test_a_cloud_that_is_away_opens_nothing(stage: Stage) -> None:
    await stage.live.down()

    answer = await _only_told(stage, "stop main-feed")

    assert "could not be read" in answer
    await stage.live.up()
    await stage.asks("U0ALICE", "stop main-feed")


async def test_several_projects_need_to_be_told_apart_outside_their_channels(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.TWO_PROJECTS)
    workspace = stage.slack.workspace
    workspace.add_channel("C0SG", "sg", members=["U0ALICE", "U0DAVE"])
    stage.live.add_flow(policies.OTHER_PROJECT_ID, "5555bbbb", "sg-feed")

    missing = await _only_told(stage, "stop main-feed", channel="C0RANDOM")
    assert "`--project sg`" in missing
    assert "`--project hk`" in missing
    marked = await _only_told(stage, "stop main-feed --dry-run", channel="C0RANDOM")
    assert marked == f"Dry run: {missing}"
    unknown = await _only_told(stage, "stop main-feed --project moon")
    assert "There is no project `moon`" in unknown

    here = await stage.asks("U0ALICE", "stop sg-feed", channel="C0SG", seen_in="C0SG")
    assert "in sg: ACTIVE" in stage.reads(here)
    elsewhere = await stage.asks("U0ALICE", "stop main-feed --project hk", channel="C0RANDOM")
    assert "in hk: ACTIVE" in stage.reads(elsewhere)

    await stage.presses("U0DAVE", here, "approve")
    await stage.thread_says(here, "STANDBY")
    assert stage.live.flows[policies.OTHER_PROJECT_ID, "5555bbbb"].status == "STANDBY"
    assert stage.live.flows[world.PROJECT_ID, MAIN].status == "ACTIVE"
    assert stage.stops() == 1


async def test_a_flow_that_was_renamed_is_decided_under_its_new_name(open_stage: OpenStage) -> None:
    deny = '\n[[rules]]\nname = "hands off"\neffect = "deny"\nverbs = ["stop"]\nwho = ["*"]\nflows = ["prod-*"]\n'
    stage = await open_stage(world.POLICY + deny)
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.live.add_flow(world.PROJECT_ID, MAIN, "prod-main")
    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()

    assert stage.stops() == 0
    assert "Denied by policy, under rule “hands off”" in stage.reads(card)
    assert "Stop of prod-main" in stage.reads(card).replace("`", "")
