"""`flowbot operations`: the second door, for when Slack is away or a rule wants the host."""

import functools
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bot.cli import exits, login

if TYPE_CHECKING:
    from bot.commands.deliveries import Actor, Arrival, Button
    from bot.serve.operations import Told
    from bot.settings.loader import Settings


@click.group()
def operations() -> None:
    """Ask and decide on the host, beside Slack.

    A running flowbot decides, as it does for Slack. ID is the request id. Whoever asks or decides must be in
    [operators] of the policy.
    """


def _readable(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return a text on one line, without what nobody can see, as from a modal of Slack."""
    if value is None:
        return None
    from bot.commands import grammar, slack_text

    text = slack_text.reason(value)
    if not text:
        raise click.BadParameter("is empty")
    if len(text) > grammar.MAX_REASON:
        raise click.BadParameter(f"is longer than {grammar.MAX_REASON} characters")
    return text


def _ident(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise click.BadParameter("is not the id of a request")
    return value


def _answers(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of what waits for an answer."""
    waits = click.option(
        "--wait",
        type=click.FloatRange(0.1, 600.0),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the answer.",
    )
    return waits(_in_json(command))


def _in_json(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _asking(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of what opens a request."""
    options = (
        click.option("--project", metavar="NAME", help="The project, if there are several."),
        click.option("--dry-run", is_flag=True, help="Go through the whole gate, and change nothing in the cloud."),
        click.option("--emergency", is_flag=True, help="Skip the approvals, where the rule lets you."),
        click.option(
            "--name",
            metavar="NAME",
            callback=_readable,
            help="The flow's name once more, which a protected flow needs.",
        ),
        click.option("--reason", metavar="TEXT", callback=_readable, help="Why."),
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), _answers(command))


@operations.command("list")
@click.option("--all", "everything", is_flag=True, help="Also the latest that have ended.")
@_in_json
def list_(everything: bool, as_json: bool) -> None:
    """List the open requests, the newest first."""
    settings = exits.settings()
    from bot.serve import operations as host
    from bot.serve.clock import SystemClock

    projects = tuple(settings.policy.projects)
    found = exits.or_wrong(
        lambda: host.listed(settings.database_url, projects=projects, everything=everything, clock=SystemClock())
    )
    for request in found:
        click.echo(_dump(host.as_json(request)) if as_json else _text(host.shown(request), settings))
    if not found and not as_json:
        click.echo("no requests" if everything else "no open requests")


@operations.command()
@click.argument("request_id", metavar="ID", callback=_ident)
@_in_json
def show(request_id: str, as_json: bool) -> None:
    """Show one request; exit 1 if there is none."""
    settings = exits.settings()
    from bot.serve import operations as host
    from bot.serve.clock import SystemClock

    request = exits.or_wrong(lambda: host.found(settings.database_url, request_id, clock=SystemClock()))
    if request is None:
        click.echo("no such request", err=True)
        sys.exit(exits.NO)
    click.echo(_dump(host.as_json(request)) if as_json else _text(host.shown(request), settings))


@operations.command()
@click.argument("flows", metavar="FLOW...", nargs=-1, required=True)
@_asking
def stop(flows: tuple[str, ...], **options: Any) -> None:
    """Ask to stop a flow, by its id or exact name."""
    _open("stop", flows, **options)


@operations.command()
@click.argument("flow", metavar="FLOW")
@_asking
def start(flow: str, **options: Any) -> None:
    """Ask to start a flow, by its id or exact name."""
    _open("start", (flow,), **options)


def _button(name: str, says: str) -> None:
    @operations.command(name, help=says)
    @click.argument("request_id", metavar="ID", callback=_ident)
    @_answers
    def command(request_id: str, as_json: bool, wait: float) -> None:
        from bot.commands.deliveries import Button

        button = Button.CHECK_NOW if name == "check" else Button(name)
        _press(request_id, button, as_json=as_json, wait=wait)


_button(
    "confirm", "Confirm a request that needs no approval. An emergency needs it twice, three seconds apart or more."
)
_button("approve", "Approve a request of somebody else.")
_button("withdraw", "Withdraw a request of your own.")
_button("check", "Read the flow now, if nobody knows what came of its call.")


@operations.command()
@click.argument("request_id", metavar="ID", callback=_ident)
@click.option("--reason", metavar="TEXT", callback=_readable, help="Why.")
@_answers
def deny(request_id: str, reason: str | None, as_json: bool, wait: float) -> None:
    """Deny a request."""
    from bot.commands.deliveries import Button
    from bot.serve import operations as host

    if reason is None:
        _press(request_id, Button.DENY, as_json=as_json, wait=wait)
    _ask(host.denial(request_id, reason), as_json=as_json, wait=wait)


@operations.command()
@click.argument("request_id", metavar="ID", callback=_ident)
@click.option("--verdict", type=click.Choice(["justified", "unjustified"]), required=True)
@click.option("--reason", metavar="TEXT", callback=_readable, help="A comment.")
@_answers
def review(request_id: str, verdict: str, reason: str | None, as_json: bool, wait: float) -> None:
    """Review an emergency that was carried out."""
    from bot.commands.deliveries import Modal, Submitted, Verdict

    said = Verdict.JUSTIFIED if verdict == "justified" else Verdict.NOT_JUSTIFIED
    submitted = Submitted(modal=Modal.REVIEW, request_id=request_id, reason=reason, verdict=said)
    _ask(submitted, as_json=as_json, wait=wait)


def _open(
    verb: str,
    flows: tuple[str, ...],
    *,
    project: str | None,
    dry_run: bool,
    emergency: bool,
    name: str | None,
    reason: str | None,
    as_json: bool,
    wait: float,
) -> NoReturn:
    from bot.commands import grammar
    from bot.commands.deliveries import Typed
    from bot.commands.verbs import Door, Verb

    if len(flows) > 1:
        raise click.UsageError("this version takes one flow at a time: nothing was done")
    command = grammar.ChangeCommand(
        verb=Verb(verb), flow=flows[0], project=project, reason=reason, dry_run=dry_run, emergency=emergency
    )
    if grammar.parse(grammar.render(command)) != command:
        raise click.UsageError("the flow, the project or the reason has something in it that no command can have")
    typed = Typed(text=grammar.render(command), channel="", door=Door.HOST, name=name)
    _ask(typed, as_json=as_json, wait=wait)


def _ask(arrival: "Arrival", *, as_json: bool, wait: float) -> NoReturn:
    from bot.serve import operations as host
    from bot.serve.clock import SystemClock

    settings = exits.settings()
    actor = _operator(settings)
    url, clock = settings.database_url, SystemClock()
    _end(exits.or_wrong(lambda: host.ask(url, arrival, actor=actor, wait=wait, clock=clock)), settings, as_json=as_json)


def _press(request_id: str, button: "Button", *, as_json: bool, wait: float) -> NoReturn:
    from bot.serve import operations as host
    from bot.serve.clock import SystemClock

    settings = exits.settings()
    actor = _operator(settings)
    url, clock = settings.database_url, SystemClock()
    told = exits.or_wrong(lambda: host.press(url, request_id, button, actor=actor, wait=wait, clock=clock))
    _end(told, settings, as_json=as_json)


def _operator(settings: "Settings") -> "Actor":
    """Return who types this, as the policy knows them; exit 1 where it does not."""
    from bot.commands.deliveries import Actor

    own = login.of_user()
    user = settings.policy.operators.get(own)
    if user is None:
        click.echo(f"{own} is not in [operators] of {settings.config}: nothing was done", err=True)
        sys.exit(exits.NO)
    return Actor(team="", user=user, login=own)


def _end(told: "Told", settings: "Settings", *, as_json: bool) -> NoReturn:
    from bot.serve import operations as host

    said = _text(told.text, settings)
    if as_json:
        request = None if told.request is None else host.as_json(told.request)
        facts = {"done": told.is_done, "answer": told.answer, "said": said, "request": request}
        click.echo(_dump(facts))
    else:
        click.echo(said, err=not told.is_done)
    sys.exit(0 if told.is_done else exits.NO)


def _text(text: str, settings: "Settings") -> str:
    from bot.serve import operations as host

    return host.readable(text, settings.policy.operators)


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
