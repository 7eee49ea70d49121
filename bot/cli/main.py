"""The `flowbot` command. Heavy modules are imported by the commands that use them."""

import pathlib
import re
import sys
import time
from typing import Literal

import click

from bot.cli import audit, doctor, exits, login, operations
from bot.policy.file.problems import SettingsInvalid


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flowbot", prog_name="flowbot")
def main() -> None:
    """Stop live media flows from Slack, with approvals."""


main.add_command(audit.audit)
main.add_command(doctor.doctor)
main.add_command(operations.operations)


@main.command()
def serve() -> None:
    """Run the bot; SIGTERM drains it and exits 0."""
    settings = exits.settings()
    from bot.settings import log
    from bot.store.engines import database_url

    hidden = (*settings.secrets(), *database_url.passwords(settings.database_url))
    log.configure(fmt=settings.log_format or _log_format(), level=settings.log_level, secrets=hidden)
    if settings.database_url.startswith("sqlite:"):
        _migrate(settings.database_url)
    from bot.serve import run

    exits.or_wrong(lambda: run.run(settings))


@main.command()
def check() -> None:
    """Check settings and policy offline. Exit 2 and list every problem with its place."""
    from bot.settings import loader

    try:
        outcome = loader.load(directory=pathlib.Path.cwd())
    except SettingsInvalid as invalid:
        exits.wrong(loader.check_report(invalid))
    if outcome.defects:
        exits.wrong(loader.check_report(outcome))
    click.echo("\n".join(loader.check_report(outcome)))


@main.command(context_settings={"allow_interspersed_args": False})
@click.option("--user", required=True, metavar="U…", help="The Slack user id of the full member who asks.")
@click.option("--channel", metavar="C…", help="The channel where they ask; required for Slack.")
@click.option("--member-of", multiple=True, metavar="S…", help="A user group that they are in. Repeatable.")
@click.option(
    "--door",
    type=click.Choice(["slack", "host"]),
    default="slack",
    show_default=True,
    help="Where they ask: in Slack, or on the host as one of [operators].",
)
@click.argument("command", nargs=-1, required=True)
def explain(user: str, channel: str | None, member_of: tuple[str, ...], door: str, command: tuple[str, ...]) -> None:
    """Explain which rule decides a command, offline.

    COMMAND is as typed in Slack, such as "stop main-feed". The flow counts both as an id and as a name. Slack is not
    asked who is in a user group; use --member-of. Exit 1 if the answer is no.
    """
    if (channel is None) != (door == "host"):
        slack_only = "--channel is for Slack: what is asked on the host has its card in the project's first channel."
        raise click.UsageError("Missing option '--channel'." if channel is None else slack_only)
    settings = exits.settings()
    from bot.policy import explain as explainer
    from bot.policy import freezing, model
    from bot.policy.file import keys as file_keys

    _ids("--user", file_keys.USER, "a user (U… or W…)", user)
    _ids("--channel", file_keys.CHANNEL, "a channel (C… or G…)", *([] if channel is None else [channel]))
    _ids("--member-of", file_keys.GROUP, "a user group (S…)", *member_of)
    policy, typed = freezing.at(settings.policy, time.time()), " ".join(command)
    explanation = explainer.of_command(policy, typed, user=user, channel=channel, member_of=member_of)
    if isinstance(explanation, explainer.Unclear):
        raise click.UsageError(explanation.why)
    click.echo("\n".join(explainer.report(explanation)))
    sys.exit(exits.NO if isinstance(explanation.decision, model.Refuse) else 0)


@main.command()
@click.option("--reason", required=True, help="Shown to everyone whose command is refused.")
def pause(reason: str) -> None:
    """Deny every stop and start until `flowbot resume`. Works while the bot runs."""
    settings = exits.settings()
    from bot.commands import slack_text
    from bot.serve import pause as pauses
    from bot.serve.clock import SystemClock

    readable = slack_text.reason(reason)
    if not readable:
        raise click.BadParameter("is empty", param_hint="--reason")
    by = login.of_user()
    click.echo(exits.or_wrong(lambda: pauses.pause(settings.database_url, reason=readable, by=by, clock=SystemClock())))


@main.command()
def resume() -> None:
    """End the pause."""
    settings = exits.settings()
    from bot.serve import pause as pauses
    from bot.serve.clock import SystemClock

    by = login.of_user()
    click.echo(exits.or_wrong(lambda: pauses.resume(settings.database_url, by=by, clock=SystemClock())))


@main.command()
def migrate() -> None:
    """Bring the database to the revision of this code."""
    click.echo(f"the database is at revision {_migrate(exits.settings().database_url)}")


@main.command()
@click.option("--socket", is_flag=True, help="For Socket Mode, which needs no public URL.")
@click.option("--url", metavar="URL", help="For HTTP: the public URL of flowbot, such as https://bot.example.com.")
def manifest(socket: bool, url: str | None) -> None:
    """Print the Slack app manifest. By default, it is for the mode that the environment selects."""
    if socket and url is not None:
        raise click.UsageError("--socket and --url cannot be used together.")
    if url is not None and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise click.BadParameter("must be a URL such as https://bot.example.com", param_hint="--url")
    from bot.settings import loader
    from bot.slack import manifest as manifests

    socket = socket or (url is None and loader.chooses_socket_mode(directory=pathlib.Path.cwd()))
    click.echo(manifests.text(url=None if socket else url or manifests.PLACEHOLDER), nl=False)


@main.command()
@click.option("--script", is_flag=True, help="Play a conversation once, print it, and exit.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the page; 0 for any free port.")
@click.option(
    "--config", type=click.Path(path_type=pathlib.Path), help="Try this policy, with sample people made for it."
)
@click.option("--keep", type=click.Path(path_type=pathlib.Path), help="Keep the bot's files in this new directory.")
@click.option("--socket", is_flag=True, help="Use Socket Mode.")
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def playground(
    script: bool, port: int | None, config: pathlib.Path | None, keep: pathlib.Path | None, socket: bool, no_open: bool
) -> None:
    """Try the bot in a page that looks like Slack. It is the real bot, with local stand-ins for Slack and Live."""
    if script:
        from bot.playground import script as scripted

        sys.exit(scripted.run())
    from bot.playground.page import launch

    exits.or_wrong(lambda: launch.run(port=port, config=config, keep=keep, by_socket=socket, opens=not no_open))


def _ids(option: str, pattern: re.Pattern[str], what: str, *given: str) -> None:
    """Reject anything but ids, since rules use only ids: names may change."""
    for word in given:
        if not pattern.fullmatch(word):
            raise click.BadParameter(f'"{word}" is not the id of {what}', param_hint=option)


def _migrate(url: str) -> str:
    from bot.store import migrate as migrations

    return exits.or_wrong(lambda: migrations.migrate(url))


def _log_format() -> Literal["console", "json"]:
    return "console" if sys.stderr.isatty() else "json"
