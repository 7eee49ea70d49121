"""The manifest: both modes, the committed `manifest.yml`, and the limits of Slack's schema."""

import pathlib
from typing import Any, Final

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from bot.cli import exits
from bot.cli import main as command_line
from bot.slack import manifest
from tests import test_manifest_file

ROOT: Final = pathlib.Path(__file__).parents[2]
HTTP: Final = ["https://bot.example.com/slack/events"] * 3


def printed(*arguments: str) -> Any:
    """Return the printed manifest, parsed from YAML."""
    done = CliRunner().invoke(command_line.main, ["manifest", *arguments])
    assert done.exit_code == 0, done.output
    return yaml.safe_load(done.output)


def addresses(found: Any) -> list[str]:
    """Return every URL that Slack would deliver to."""
    settings = found["settings"]
    places = [
        found["features"]["slash_commands"][0].get("url"),
        settings["event_subscriptions"].get("request_url"),
        settings["interactivity"].get("request_url"),
    ]
    return [place for place in places if place is not None]


@pytest.fixture(autouse=True)
def empty(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty directory, without any of our variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("SLACK_APP_TOKEN", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_the_file_is_what_the_command_prints_for_the_placeholder() -> None:
    assert (ROOT / "manifest.yml").read_text(encoding="utf-8") == manifest.text(url=manifest.PLACEHOLDER)


@pytest.mark.parametrize(
    "url", ["https://bot.example.com", "https://bot.example.com/", "https://bot.example.com/slack/events"]
)
def test_with_an_address_slack_delivers_there(url: str) -> None:
    found = printed("--url", url)

    assert addresses(found) == HTTP
    assert found["settings"]["socket_mode_enabled"] is False


def test_with_a_socket_there_is_no_address() -> None:
    found = printed("--socket")

    assert addresses(found) == []
    assert found["settings"]["socket_mode_enabled"] is True
    assert "http" not in str(found)


def test_without_a_word_it_is_for_the_mode_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert addresses(printed())[0].startswith(manifest.PLACEHOLDER)
    pathlib.Path(".env").write_text("SLACK_APP_TOKEN=xapp-1\n")
    assert printed()["settings"]["socket_mode_enabled"] is True
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1")
    assert addresses(printed()) == []
    assert addresses(printed("--url", "https://bot.example.com")) == HTTP


@pytest.mark.parametrize(
    "arguments",
    [
        ("--socket", "--url", "https://bot.example.com"),
        ("--url", "bot.example.com"),
        ("--url", "ftp://bot.example.com"),
        ("--url", "https://"),
        ("--url", "https://bot.example.com/?x"),
        ("--url", ""),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(command_line.main, ["manifest", *arguments]).exit_code == exits.WRONG


@pytest.mark.parametrize("url", [None, "https://bot.example.com"])
def test_the_text_is_the_manifest_in_yaml(url: str | None) -> None:
    assert yaml.safe_load(manifest.text(url=url)) == manifest.of(url=url)


@pytest.mark.parametrize("url", [None, "https://bot.example.com"])
def test_people_can_be_told_in_a_dm_and_need_not_write_there(url: str | None) -> None:
    assert manifest.of(url=url)["features"]["app_home"] == {
        "home_tab_enabled": False,
        "messages_tab_enabled": True,
        "messages_tab_read_only_enabled": True,
    }


@pytest.mark.parametrize("url", [None, "https://bot.example.com"])
def test_both_keep_to_slacks_limits(url: str | None) -> None:
    jsonschema.validate(manifest.of(url=url), test_manifest_file.MANIFEST)


def test_the_doors_differ_in_nothing_else() -> None:
    http, socket = manifest.of(url="https://bot.example.com"), manifest.of(url=None)
    del http["features"]["slash_commands"][0]["url"]
    for name in ("event_subscriptions", "interactivity"):
        del http["settings"][name]["request_url"]
    http["settings"]["socket_mode_enabled"] = True

    assert http == socket
