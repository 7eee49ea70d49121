"""What the doctor says about settings and policy."""

import pytest

from bot.playground import world
from bot.policy.file.problems import SettingsInvalid
from bot.serve.doctor import settings_checks
from bot.serve.doctor.findings import Severity
from tests.serve.doctor.conftest import examined, policy

CASE = """
[[cases]]
user = "U0ALICE"
channel = "C0INCIDENT"
command = "stop main-feed"
expect = "deny"
"""


async def test_settings_in_order_say_how_slack_delivers(built: world.World) -> None:
    assert (await examined(built))["settings"].found.endswith("Slack delivers by HTTP at 127.0.0.1:3000")
    by_socket = await examined(built, SLACK_APP_TOKEN=built.slack.app_token)
    assert by_socket["settings"].found.endswith("Slack delivers by Socket Mode")


async def test_a_rule_that_nobody_can_satisfy_fails(built: world.World) -> None:
    policy(built, "approvals = 1", "approvals = 5")

    found = (await examined(built))["settings"]

    assert (found.status, "approvals" in found.found, found.remedy) == (Severity.FAIL, True, settings_checks.REMEDY)


async def test_a_variable_that_is_misspelled_is_a_warning(built: world.World) -> None:
    found = (await examined(built, FLOWBOT_LOG_LEVLE="info"))["settings"]

    assert (found.status, "did you mean FLOWBOT_LOG_LEVEL?" in found.found) == (Severity.WARN, True)


def test_each_problem_of_settings_that_cannot_be_used_is_a_finding(built: world.World) -> None:
    policy(built, "[people]", f"{CASE}\n[people]")
    with pytest.raises(SettingsInvalid) as invalid:
        built.settings()

    found = settings_checks.invalid(invalid.value)

    assert [each.status for each in found] == [Severity.FAIL] * len(invalid.value.problems)
    assert "flowbot.toml:" in found[0].found
