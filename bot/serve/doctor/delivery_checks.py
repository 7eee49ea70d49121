"""What each stage of a delivery from Slack means that is waited for. Pure."""

from typing import Final

from bot.serve.doctor import findings
from bot.serve.doctor.findings import Finding
from bot.slack import manifest

NAME: Final = "deliver"

AWAITED: Final = f"{manifest.COMMAND} whoami"

URLS: Final = (
    "Compare the URLs under *Slash Commands*, *Interactivity* and *Event Subscriptions* of the app with your address:"
    f" each must be https://your.host{manifest.PATH}."
)

REMEDIES: Final = {
    "not signed": "It is not from Slack, or a proxy removes the X-Slack-… headers. Let the proxy pass all headers.",
    "the signature does not fit": (
        "Copy the signing secret again from *Basic Information* of the very app whose command was typed, into"
        " SLACK_SIGNING_SECRET. If it is right, a proxy changes the body."
    ),
    "the timestamp is too old or ahead of the time": "Set the clock of this host (NTP).",
    "another workspace": (
        "SLACK_BOT_TOKEN is of another workspace than the one where the command was typed. Copy the token of the app in"
        " that workspace, or run a bot of its own for it."
    ),
}
"""What to do about a rejection, by its reason."""


def nothing_by_http(address: str, within: float) -> Finding:
    """Return the finding if no request arrived at all."""
    remedy = f"{URLS} Then check that the HTTPS proxy passes POST {manifest.PATH} on to {address}."
    return findings.fail(NAME, f"nothing arrived at {address} within {within:.0f} s", remedy)


def wrong_path(path: str, *, from_slack: bool) -> Finding:
    """Return the finding for a request to another path."""
    who = "a delivery from Slack" if from_slack else "a request"
    return findings.fail(NAME, f"{who} arrived at {path} instead of {manifest.PATH}", URLS)


def rejected(reason: str) -> Finding:
    """Return the finding for a delivery that the guard rejects."""
    remedy = REMEDIES.get(reason, "Check what the HTTPS proxy does with the body, and that the URLs are Slack's alone.")
    return findings.fail(NAME, f"a delivery arrived and was rejected: {reason}", remedy)


def another_command() -> Finding:
    """Return the finding for a delivery that is in order, and is not the one that was waited for."""
    found = f"a delivery from Slack arrived and was accepted, but not `{AWAITED}`; its sender was told that it failed"
    return findings.ok(NAME, found)


def arrived() -> Finding:
    """Return the finding for the command that was waited for."""
    return findings.ok(NAME, f"`{AWAITED}` arrived, was signed for us, and comes from our workspace")


def arrived_by_socket() -> Finding:
    """Return the finding for the command that was waited for, in Socket Mode."""
    return findings.ok(NAME, f"`{AWAITED}` arrived by Socket Mode, and comes from our workspace")


def port_taken(address: str, *, by_flowbot: bool, why: str) -> Finding:
    """Return the finding if the port cannot be opened."""
    if by_flowbot:
        remedy = f"Stop it for this test. Or type `{AWAITED}` now: if nothing answers, its log names the reason."
        return findings.fail(NAME, f"a running flowbot has {address}", remedy)
    return findings.fail(
        NAME, f"{address} cannot be opened: {why}", "Stop what uses it, or choose another HOST or PORT."
    )


def no_socket(code: str) -> Finding:
    """Return the finding if Slack gives no address for a connection."""
    remedy = (
        "Create an app-level token with the scope connections:write under *Basic Information* of the app, and copy it"
        " into SLACK_APP_TOKEN; check the network."
    )
    return findings.fail(NAME, f"Slack opens no connection with SLACK_APP_TOKEN ({code})", remedy)


def no_hello(reason: str) -> Finding:
    """Return the finding if a connection was opened and Slack did not greet."""
    remedy = "Switch Socket Mode on in the app's settings, and let the network pass WebSockets (wss://)."
    return findings.fail(NAME, f"Slack did not greet on the connection ({reason})", remedy)


def others_connected(number: int) -> Finding:
    """Return the finding if the app has other connections, which would get a part of the deliveries."""
    found = f"the app has {number} other open connections: a flowbot is running elsewhere"
    return findings.fail(NAME, found, f"Stop it for this test. Or type `{AWAITED}` now and see what it answers.")


def nothing_by_socket(within: float) -> Finding:
    """Return the finding if nothing arrived over the connection."""
    remedy = (
        f"Check under *Slash Commands* that the app has {manifest.COMMAND}, that no other app of the workspace has it,"
        " that Socket Mode is on, and that SLACK_APP_TOKEN is of the app whose command was typed."
    )
    return findings.fail(NAME, f"connected to Slack, but nothing arrived within {within:.0f} s", remedy)
