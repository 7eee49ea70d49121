"""The whole workspace as readable text, for failing tests and for the playground's script.

Reads the workspace and changes nothing.
"""

from collections.abc import Iterator

from bot.playground.slack.records import Channel, PostedMessage
from bot.playground.slack.workspace import Workspace


def of(workspace: Workspace) -> str:
    """Return every channel with messages, and every open view."""
    lines = [line for channel in workspace.channels.values() for line in _channel(workspace, channel)]
    for user in workspace.persons:
        for view in workspace.views(user):
            lines.append(f"view before {_name(workspace, user)}: {view.title} {sorted(view.buttons)}")
            lines += [f"  error in {block}: {words}" for block, words in view.errors.items()]
    return "\n".join(lines)


def _channel(workspace: Workspace, channel: Channel) -> Iterator[str]:
    roots = workspace.messages(channel.id)
    own = [one for user in workspace.persons for one in workspace.ephemerals(user, channel.id)]
    if not roots and not own:
        return
    yield f"{_title(workspace, channel)} ({channel.id})"
    shown = sorted((*roots, *own), key=lambda one: one.ts)
    threads = {root.ts for root in roots if not root.thread_ts}
    for message in shown:
        if message.thread_ts in threads and message.only_for:
            continue
        yield from _message(workspace, message, "  ")
        if message.ts in threads:
            replies = [*workspace.thread(message), *(one for one in own if one.thread_ts == message.ts)]
            for reply in sorted(replies, key=lambda one: one.ts):
                yield from _message(workspace, reply, "    > ")


def _message(workspace: Workspace, message: PostedMessage, indent: str) -> Iterator[str]:
    to = f" (only {_name(workspace, message.only_for)} sees this)" if message.only_for else ""
    first, *rest = message.plain.splitlines() or [""]
    yield f"{indent}{_name(workspace, message.user)}{to}: {first}"
    yield from (f"{indent}  {line}" for line in rest)


def _title(workspace: Workspace, channel: Channel) -> str:
    return f"DM with {_name(workspace, channel.dm_with)}" if channel.dm_with else f"#{channel.name}"


def _name(workspace: Workspace, user: str) -> str:
    person = workspace.persons.get(user)
    return person.name if person else user
