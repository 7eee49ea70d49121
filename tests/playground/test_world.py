"""The sample world: its people, and that the real bot finds everything in it."""

import pathlib

from bot.playground import world
from bot.store import migrate
from tests.fakes import FakeClock, database_in


async def test_the_settings_of_a_world_are_in_order(tmp_path: pathlib.Path) -> None:
    async with world.build(tmp_path, clock=FakeClock(), FLOWBOT_LOG_LEVEL="error") as built:
        settings = built.settings()

        assert (settings.defects, settings.warnings, settings.log_level) == ((), (), "error")
        assert settings.policy.projects["hk"].endpoint == built.live.endpoint
        assert migrate.migrate(settings.database_url)


async def test_the_people_of_the_policy_are_in_the_workspace(tmp_path: pathlib.Path) -> None:
    async with world.build(tmp_path, clock=FakeClock()) as built:
        named = {name for names in built.settings().policy.people.values() for name in names}

        assert named <= {*built.slack.workspace.persons, *built.slack.workspace.groups}


async def test_a_world_runs_the_real_bot_until_the_context_ends(tmp_path: pathlib.Path) -> None:
    database_in(tmp_path)
    async with world.build(tmp_path, clock=FakeClock()) as built:
        async with built.bot():
            assert "Reading" in (await built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")).body
            await built.slack.until(lambda found: found.messages("C0INCIDENT"), timeout=60)

        assert (await built.slack.people.command("U0ALICE", "C0INCIDENT", "help")).error
