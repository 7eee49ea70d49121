"""The chat.* methods: posting, editing and deleting messages, with the errors on their pages on docs.slack.dev."""

from collections.abc import Callable, Mapping

from bot.playground.slack import blocks as block_kit
from bot.playground.slack.errors import SlackError
from bot.playground.slack.records import Channel, Json, PostedMessage
from bot.playground.slack.web_api.args import flag, required, text, visible_channel
from bot.playground.slack.workspace import Workspace

POST_TEXT_KEPT = 40_000
MOST_UPDATE_TEXT = 4_000
MOST_ATTACHMENTS = 100


def post_message(workspace: Workspace, args: Json) -> Json:
    """chat.postMessage."""
    channel = _writable(workspace, args)
    content = _content(args)
    thread_ts = _thread(workspace, channel, args)
    message = workspace.post(
        channel.id,
        workspace.bot_user_id,
        text(args, "text")[:POST_TEXT_KEPT],
        **content,
        bot_id=workspace.bot_id,
        thread_ts=thread_ts,
        broadcast=bool(thread_ts) and flag(args, "reply_broadcast"),
        metadata=args.get("metadata"),
    )
    return {"channel": channel.id, "ts": message.ts, "message": message.as_message()}


def post_ephemeral(workspace: Workspace, args: Json) -> Json:
    """chat.postEphemeral."""
    required(args, "user")
    visible_channel(workspace, args)  # unlike a post, an ephemeral does not accept a person's id as a channel
    channel = _writable(workspace, args)
    if str(args["user"]) not in channel.members:
        raise SlackError("user_not_in_channel")
    content = _content(args)
    message = workspace.post(
        channel.id,
        workspace.bot_user_id,
        text(args, "text")[:POST_TEXT_KEPT],
        **content,
        bot_id=workspace.bot_id,
        thread_ts=_thread(workspace, channel, args),
        only_for=str(args["user"]),
    )
    return {"message_ts": message.ts}


def update(workspace: Workspace, args: Json) -> Json:
    """chat.update: text without blocks removes the blocks."""
    required(args, "ts")
    channel = visible_channel(workspace, args)
    message = _own(workspace, channel, args["ts"], otherwise="cant_update_message")
    if channel.is_archived:
        raise SlackError("is_archived")
    words = text(args, "text")
    if len(words) > MOST_UPDATE_TEXT:
        raise SlackError("msg_too_long")
    content = _content(args)
    metadata = args.get("metadata", message.metadata)
    edited = workspace.edit(message, text=words, **content, metadata=metadata, edited=not content["blocks"])
    return {"channel": channel.id, "ts": edited.ts, "text": edited.text, "message": edited.as_message()}


def delete(workspace: Workspace, args: Json) -> Json:
    """chat.delete."""
    required(args, "ts")
    channel = visible_channel(workspace, args)
    message = _own(workspace, channel, args["ts"], otherwise="cant_delete_message")
    workspace.remove(message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(workspace: Workspace, args: Json) -> Json:
    """chat.getPermalink."""
    required(args, "message_ts")
    channel = visible_channel(workspace, args)
    message = workspace.message(channel.id, str(args["message_ts"]))
    if message is None or message.only_for:
        raise SlackError("message_not_found")
    return {"channel": channel.id, "permalink": permalink(workspace, message)}


def permalink(workspace: Workspace, message: PostedMessage) -> str:
    """Return the permalink of a message."""
    address = f"https://{workspace.domain}.slack.com/archives/{message.channel}/p{message.ts.replace('.', '')}"
    return f"{address}?thread_ts={message.thread_ts}&cid={message.channel}" if message.thread_ts else address


def _writable(workspace: Workspace, args: Json) -> Channel:
    """Return where the bot may post: a channel it is in, or the direct message with a person given by id."""
    required(args, "channel")
    target = str(args["channel"])
    if target in workspace.persons:
        return _direct(workspace, target)
    channel = visible_channel(workspace, args)
    if channel.is_archived:
        raise SlackError("is_archived")
    if workspace.bot_user_id not in channel.members and not workspace.posts_everywhere:
        raise SlackError("not_in_channel")
    return channel


def _direct(workspace: Workspace, user: str) -> Channel:
    person = workspace.persons[user]
    if person.is_bot or person.is_workflow_bot:
        raise SlackError("cannot_dm_bot")
    if person.deleted:
        raise SlackError("channel_not_found")
    return workspace.open_dm(user)


def _content(args: Json) -> Json:
    """Return blocks and attachments after Slack's checks; raise SlackError if there is nothing to show."""
    blocks = args.get("blocks") or []
    attachments = args.get("attachments") or []
    if found := block_kit.problems(blocks):
        raise SlackError("invalid_blocks", messages=found)
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        raise SlackError("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    if not (text(args, "text") or blocks or attachments):
        raise SlackError("no_text")
    return {"blocks": blocks, "attachments": tuple(attachments)}


def _thread(workspace: Workspace, channel: Channel, args: Json) -> str | None:
    """Return the thread to write to, which must belong to a root message that everybody sees."""
    ts = args.get("thread_ts")
    if not ts:
        return None
    root = workspace.message(channel.id, str(ts))
    if root is None or root.only_for:
        raise SlackError("thread_not_found")
    if root.thread_ts and root.thread_ts != root.ts:
        # Slack accepts this, and the reply appears where nobody looks; its page says to use the parent's ts.
        raise SlackError("cannot_reply_to_message")
    return root.ts


def _own(workspace: Workspace, channel: Channel, ts: str, *, otherwise: str) -> PostedMessage:
    message = workspace.message(channel.id, str(ts))
    if message is None or message.only_for:
        raise SlackError("message_not_found")
    if message.bot_id != workspace.bot_id:
        raise SlackError(otherwise)
    return message


METHODS: Mapping[str, Callable[[Workspace, Json], Json]] = {
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.update": update,
    "chat.delete": delete,
    "chat.getPermalink": get_permalink,
}
