"""The current policy: it follows its file, but never a wrong one."""

import asyncio
import os
import pathlib
import threading

import pytest
from structlog.testing import capture_logs

from bot.policy.file import loader as policy_file
from bot.settings import loader
from bot.worker.policy_reload import ReloadedPolicy
from tests.fakes import POLICY

ENVIRON = {
    "SLACK_BOT_TOKEN": "a-bot-token",
    "SLACK_SIGNING_SECRET": "a-signing-secret",
    "HUAWEICLOUD_SDK_AK": "AKEXAMPLE",
    "HUAWEICLOUD_SDK_SK": "known-to-nobody",
}
CASE = """
[[cases]]
user = "U0ALICE"
channel = "C0INCIDENT"
command = "stop main-feed"
expect = "allow"
approvals = 1
"""
STRICTER = POLICY.replace("approvals = 1", "approvals = 2")


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a valid policy file."""
    path = tmp_path / "flowbot.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def policy(file: pathlib.Path) -> ReloadedPolicy:
    """Return the policy of the start."""
    return ReloadedPolicy(loader.load(ENVIRON, directory=file.parent))


def look(policy: ReloadedPolicy) -> None:
    """Check the file once."""
    asyncio.run(policy.look())


def strictest(policy: ReloadedPolicy) -> int:
    """Return the largest number of approvals that a rule requires."""
    return max(rule.approvals for rule in policy().rules)


def test_a_changed_file_is_in_force_from_the_next_look(file: pathlib.Path, policy: ReloadedPolicy) -> None:
    file.write_text(STRICTER)
    assert strictest(policy) == 1

    look(policy)

    assert strictest(policy) == 2


def test_a_file_that_was_replaced_by_another_is_read(file: pathlib.Path, policy: ReloadedPolicy) -> None:
    look(policy)
    other = file.with_name("new.toml")
    other.write_text(STRICTER)
    os.replace(other, file)

    look(policy)

    assert strictest(policy) == 2


def test_a_file_that_is_the_same_keeps_the_same_object(file: pathlib.Path, policy: ReloadedPolicy) -> None:
    before = policy()
    look(policy)
    file.touch()
    look(policy)

    assert policy() is before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not toml at all [", "is not TOML"),
        (f"deep = {'[' * 2000}{']' * 2000}", "is nested too deeply"),
        (STRICTER.replace("verbs", "verb"), "flowbot.toml:"),
        (STRICTER.replace("projects.hk", "projects.other"), "restart the bot"),
        (STRICTER.replace("0123456789abcdef" * 2, "f" * 32), "changes the project_id, region or endpoint"),
        (STRICTER.replace("ap-southeast-3", "cn-north-4"), "changes the project_id, region or endpoint"),
        (STRICTER.replace("http://127.0.0.1:9", "http://127.0.0.1:10"), "changes the project_id, region or endpoint"),
        (STRICTER + CASE, "case 1, approvals: expects 1 approval; the decision is yes, with 2 approvals"),
    ],
)
def test_a_wrong_file_keeps_the_old_policy_and_says_so_once(
    file: pathlib.Path, policy: ReloadedPolicy, text: str, says: str
) -> None:
    file.write_text(text)

    with capture_logs() as logged:
        look(policy)
        look(policy)

    assert strictest(policy) == 1
    (line,) = logged
    assert line["log_level"] == "error"
    assert says in str(line["problems"])


def test_a_file_that_is_gone_keeps_the_old_policy_until_it_is_back(file: pathlib.Path, policy: ReloadedPolicy) -> None:
    look(policy)
    file.unlink()
    with capture_logs() as logged:
        look(policy)
        look(policy)
    assert [line["log_level"] for line in logged] == ["error"]
    assert strictest(policy) == 1

    file.write_text(STRICTER)
    look(policy)

    assert strictest(policy) == 2


def test_the_digest_of_another_policy_is_in_the_log(file: pathlib.Path, policy: ReloadedPolicy) -> None:
    file.write_text(STRICTER)
    with capture_logs() as logged:
        look(policy)

    assert [line["digest"] for line in logged] == [policy().digest]


def test_a_long_file_holds_nobody_up(
    file: pathlib.Path, policy: ReloadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_by: list[threading.Thread] = []

    def load(data: bytes, *, name: str) -> policy_file.Loaded:
        read_by.append(threading.current_thread())
        return real(data, name=name)

    real = policy_file.load
    monkeypatch.setattr(policy_file, "load", load)
    file.write_text(STRICTER)

    look(policy)

    assert strictest(policy) == 2
    assert read_by != [threading.current_thread()]
