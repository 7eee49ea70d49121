"""Credentials replaced while the bot runs: what is noticed, what is refused, and which files are read."""

import pathlib
import sys
from collections.abc import Iterator, Mapping

import pytest
from structlog.testing import capture_logs

from bot.cloud import client, credentials
from bot.cloud.credentials import CredentialSource, fixed
from bot.commands.verbs import Verb
from bot.lifecycle import call_outcome
from bot.playground.live import server as live_server
from bot.settings import loader
from bot.settings.credentials import AccessKey, Credentials, IamUser

from .conftest import FLOW_ID, NOON, PROJECT_ID, Rig

POLICY = f"""\
[projects.hk]
project_id = "{PROJECT_ID}"
region = "ap-southeast-3"
channels = ["C0INCIDENT"]

[projects.sg]
project_id = "{"f" * 32}"
region = "ap-southeast-3"
channels = ["C0OTHER"]
"""
SLACK = {"SLACK_BOT_TOKEN": "xoxb-the-bot", "SLACK_SIGNING_SECRET": "the-signing"}
AK, SK, TOKEN = "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"
USER = {"HUAWEICLOUD_IAM_USER": "bot", "HUAWEICLOUD_IAM_PASSWORD": "pass word", "HUAWEICLOUD_IAM_DOMAIN": "account"}


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "flowbot.toml").write_text(POLICY)
    (tmp_path / "secrets").mkdir()
    return tmp_path


def source(directory: pathlib.Path, **environ: str) -> CredentialSource:
    given = {**SLACK, "SECRETS_DIR": "secrets", **environ}
    return CredentialSource(loader.load(given, directory=directory))


def replace(file: pathlib.Path, text: str) -> None:
    """Replace a file by another in one step."""
    beside = file.with_name(f"{file.name}.new")
    beside.write_text(text)
    beside.rename(file)


def put(directory: pathlib.Path, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        replace(directory / name, value)


def clear(held: Credentials) -> tuple[str, ...]:
    return held.secrets()


def test_keys_users_and_keys_of_single_projects_go_by_the_name_of_the_project(directory: pathlib.Path) -> None:
    own = {"FLOWBOT_PROJECTS__SG__AK": "sg-ak", "FLOWBOT_PROJECTS__SG__SK": "sg-sk"}
    found = source(directory, **USER, **own, HUAWEICLOUD_IAM_ENDPOINT="http://127.0.0.1:9/")()
    hk, sg = found["hk"], found["sg"]
    assert isinstance(hk, IamUser)
    assert (hk.name, hk.secrets(), hk.domain, hk.endpoint) == (
        "bot",
        ("pass word",),
        "account",
        "http://127.0.0.1:9",
    )
    assert clear(sg) == ("sg-ak", "sg-sk")


def test_a_file_of_the_secrets_directory_that_is_replaced_is_picked_up(directory: pathlib.Path) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    look = source(directory)
    assert clear(look()["hk"]) == ("ak-1", "sk-1")
    put(directory / "secrets", {AK: "ak-2", SK: "sk-2", TOKEN.lower(): "token-2"})
    assert clear(look()["hk"]) == ("ak-2", "sk-2", "token-2")
    (directory / "secrets" / TOKEN.lower()).unlink()
    assert clear(look()["hk"]) == ("ak-2", "sk-2")


def test_a_file_that_is_written_over_is_picked_up_too(directory: pathlib.Path) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    look = source(directory)
    look()
    (directory / "secrets" / SK).write_text("a longer key\n".replace(" ", "-"))
    assert clear(look()["hk"]) == ("ak-1", "a-longer-key")


def test_a_dotenv_that_is_replaced_is_picked_up_or_put_there_later(directory: pathlib.Path) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    look = source(directory)
    look()
    replace(directory / ".env", f"{AK}=ak-2\n{SK}=sk-2\n")
    assert clear(look()["hk"]) == ("ak-2", "sk-2")
    replace(directory / ".env", f"{AK}=ak-3\n{SK}=sk-3\n")
    assert clear(look()["hk"]) == ("ak-3", "sk-3")


def test_switching_a_link_replaces_all_files_at_once_as_kubernetes_does(directory: pathlib.Path) -> None:
    secrets = directory / "secrets"
    for number in (1, 2):
        (secrets / f"..{number}").mkdir()
        put(secrets / f"..{number}", {AK: f"ak-{number}", SK: f"sk-{number}"})
    (secrets / "..data").symlink_to("..1")
    for name in (AK, SK):
        (secrets / name).symlink_to(f"..data/{name}")
    look = source(directory)
    assert clear(look()["hk"]) == ("ak-1", "sk-1")
    (secrets / "..data_tmp").symlink_to("..2")
    (secrets / "..data_tmp").rename(secrets / "..data")
    assert clear(look()["hk"]) == ("ak-2", "sk-2")


def test_what_changed_between_the_start_and_the_first_call_is_picked_up(directory: pathlib.Path) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    loaded = loader.load({**SLACK, "SECRETS_DIR": "secrets"}, directory=directory)
    put(directory / "secrets", {AK: "ak-2", SK: "sk-2"})
    assert clear(CredentialSource(loaded)()["hk"]) == ("ak-2", "sk-2")


def test_a_variable_of_the_process_wins_over_files_and_stays_as_it_was(
    directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SLACK, AK: "ak-1", SK: "sk-1", "SECRETS_DIR": "secrets"}.items():
        monkeypatch.setenv(name, value)
    look = CredentialSource(loader.load(directory=directory))
    monkeypatch.setenv(SK, "sk-2")
    put(directory / "secrets", {SK: "sk-3"})
    assert clear(look()["hk"]) == ("ak-1", "sk-1")


OPENED: list[str] | None = None
"""Files opened since a test began to watch; an audit hook of the interpreter cannot be removed."""


def watch(event: str, args: tuple[object, ...]) -> None:
    if OPENED is not None and event == "open":
        OPENED.append(str(args[0]))


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Return the list of files opened from now on."""
    global OPENED  # noqa: PLW0603 -- the hook outlives the test
    sys.addaudithook(watch)
    OPENED = []
    yield OPENED
    OPENED = None


def test_nothing_is_read_while_nothing_has_changed(directory: pathlib.Path, opened: list[str]) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    look = source(directory)
    first = look()
    opened.clear()
    assert [look() for _ in range(3)] == [first] * 3
    assert opened == []
    replace(directory / "secrets" / SK, "sk-2")
    opened.clear()
    look()
    assert str(directory / "secrets" / SK) in opened


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ({SK: ""}, SK),
        ({AK: "two words"}, AK),
        ({AK: "", SK: ""}, f"{AK}, {SK}"),
        ({"FLOWBOT_PROJECTS__SG__AK": "sg-ak"}, "FLOWBOT_PROJECTS__SG__SK"),
        ({"HUAWEICLOUD_IAM_USER": "bot", AK: "", SK: ""}, "HUAWEICLOUD_IAM_PASSWORD"),
    ],
)
def test_a_replacement_that_cannot_be_used_is_logged_once_and_the_old_stays(
    directory: pathlib.Path, broken: Mapping[str, str], where: str
) -> None:
    put(directory / "secrets", {AK: "s3cr3t-ak-1", SK: "s3cr3t-sk-1"})
    look = source(directory)
    first = look()
    put(directory / "secrets", broken)
    with capture_logs() as logged:
        assert [look() for _ in range(3)] == [first] * 3
    (record,) = logged
    assert (record["log_level"], record["problems"][0].split(": ")[0]) == ("error", where)
    assert "s3cr3t" not in repr(logged)
    put(directory / "secrets", {AK: "s3cr3t-ak-2", SK: "s3cr3t-sk-2", "HUAWEICLOUD_IAM_USER": ""})
    (directory / "secrets" / "FLOWBOT_PROJECTS__SG__AK").unlink(missing_ok=True)
    with capture_logs() as logged:
        assert clear(look()["hk"]) == ("s3cr3t-ak-2", "s3cr3t-sk-2")
    assert [(record["event"], record["projects"]) for record in logged] == [("credentials were replaced", ["hk", "sg"])]
    assert "s3cr3t" not in repr(logged)


def test_files_that_are_gone_leave_the_old_credentials(directory: pathlib.Path) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    look = source(directory)
    look()
    (directory / "secrets").rename(directory / "elsewhere")
    with capture_logs() as logged:
        assert clear(look()["hk"]) == ("ak-1", "sk-1")
        assert clear(look()["hk"]) == ("ak-1", "sk-1")
    assert [record["log_level"] for record in logged] == ["error"]


def test_a_user_takes_the_place_of_a_key_and_a_key_that_of_a_user(directory: pathlib.Path) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    look = source(directory)
    assert isinstance(look()["hk"], AccessKey)
    put(directory / "secrets", {AK: "", SK: "", **USER})
    assert isinstance(look()["hk"], IamUser)
    put(directory / "secrets", {AK: "ak-2", SK: "sk-2"})
    assert clear(look()["hk"]) == ("ak-2", "sk-2")


def test_settings_without_an_origin_never_change(directory: pathlib.Path) -> None:
    loaded = loader.load({**SLACK, AK: "ak-1", SK: "sk-1"}, directory=directory)
    by_hand = loader.Settings(
        slack_bot_token=loaded.slack_bot_token,
        slack_signing_secret=loaded.slack_signing_secret,
        policy=loaded.policy,
        credentials=loaded.credentials,
    )
    look = CredentialSource(by_hand)
    replace(directory / ".env", f"{AK}=ak-2\n{SK}=sk-2\n")
    assert clear(look()["hk"]) == ("ak-1", "sk-1")
    assert loader.renewed(by_hand) is by_hand


def test_a_fixed_source_gives_what_it_was_given() -> None:
    assert fixed({})() == {}


async def test_a_client_signs_its_next_try_with_the_key_that_was_put_there(rig: Rig, directory: pathlib.Path) -> None:
    put(directory / "secrets", {AK: live_server.AK, SK: "SKEXAMPLEOLD", TOKEN: "TOKENOLD"})
    cloud = client.LiveClient(rig.http, credentials=source(directory), now=rig.clock.now)
    rig.live.add_key(ak=live_server.AK, sk="SKEXAMPLEOLD", security_token="TOKENOLD")
    await cloud.flow(rig.project, FLOW_ID)
    rig.live.add_key(ak="AKEXAMPLENEW", sk="SKEXAMPLENEW", security_token="TOKENNEW")
    put(directory / "secrets", {AK: "AKEXAMPLENEW", SK: "SKEXAMPLENEW", TOKEN: "TOKENNEW"})
    assert isinstance(await cloud.change(rig.project, FLOW_ID, Verb.STOP), call_outcome.Accepted)
    assert [call.identity.ak for call in rig.live.calls if call.identity] == [live_server.AK, "AKEXAMPLENEW"]


async def test_a_replaced_key_starts_no_new_minute_of_reading(rig: Rig, directory: pathlib.Path) -> None:
    assert rig.clock.now() == NOON
    put(directory / "secrets", {AK: live_server.AK, SK: live_server.SK})
    rig.live.add_key(ak=live_server.AK, sk=live_server.SK)
    cloud = client.LiveClient(rig.http, credentials=source(directory), now=rig.clock.now)
    for _ in range(40):
        await cloud.flow(rig.project, FLOW_ID, purpose="read")
    rig.live.add_key(ak="AKEXAMPLENEW", sk="SKEXAMPLENEW")
    put(directory / "secrets", {AK: "AKEXAMPLENEW", SK: "SKEXAMPLENEW"})
    await cloud.flow(rig.project, FLOW_ID, purpose="read")
    assert len(rig.live.calls) == 40


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the secrets that the log was told to hide."""
    told: set[str] = set()
    monkeypatch.setattr(credentials, "hide_secrets", told.update)
    return told


def test_renewed_credentials_are_cut_out_of_the_log(directory: pathlib.Path, hidden: set[str]) -> None:
    put(directory / "secrets", {AK: "ak-1", SK: "sk-1"})
    look = source(directory)
    put(directory / "secrets", {AK: "ak-2", SK: "sk-renewed", TOKEN: "token-renewed"})
    look()

    assert {"ak-2", "sk-renewed", "token-renewed"} <= hidden
