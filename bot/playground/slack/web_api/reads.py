"""Methods that read: auth, bots, conversations, users and user groups."""

from collections.abc import Callable, Mapping

from bot.playground.slack.errors import SlackError
from bot.playground.slack.records import Json
from bot.playground.slack.web_api.args import flag, page, required, visible_channel
from bot.playground.slack.workspace import Workspace


def auth_test(workspace: Workspace, args: Json) -> Json:
    """auth.test."""
    return {
        "url": f"https://{workspace.domain}.slack.com/",
        "team": workspace.domain,
        "user": workspace.persons[workspace.bot_user_id].name,
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user_id,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": workspace.org_install,
        **({"enterprise_id": workspace.enterprise_id} if workspace.enterprise_id else {}),
    }


def bots_info(workspace: Workspace, args: Json) -> Json:
    """bots.info."""
    if args.get("bot", workspace.bot_id) != workspace.bot_id:
        raise SlackError("bot_not_found")
    name = workspace.persons[workspace.bot_user_id].name
    bot = {"id": workspace.bot_id, "deleted": False, "name": name}
    return {"bot": {**bot, "app_id": workspace.app_id, "user_id": workspace.bot_user_id}}


def conversations_info(workspace: Workspace, args: Json) -> Json:
    """conversations.info."""
    channel = visible_channel(workspace, args)
    about = channel.as_conversation(bot_user_id=workspace.bot_user_id, team_id=workspace.team_id)
    if flag(args, "include_num_members"):
        about["num_members"] = len(channel.members)
    return {"channel": about}


def conversations_open(workspace: Workspace, args: Json) -> Json:
    """conversations.open, for a direct message with one person."""
    users = args.get("users")
    names = [name for name in (users.split(",") if isinstance(users, str) else users or []) if name]
    if not names:
        raise SlackError("users_list_not_supplied")
    if len(names) > 1:
        raise SlackError("too_many_users")  # group messages are not supported by this stand-in
    person = workspace.persons.get(str(names[0]))
    if person is None:
        raise SlackError("user_not_found")
    if person.is_bot or person.is_workflow_bot:
        raise SlackError("cannot_dm_bot")
    if person.deleted:
        raise SlackError("user_disabled")
    return {"channel": {"id": workspace.open_dm(person.id).id}}


def conversations_members(workspace: Workspace, args: Json) -> Json:
    """conversations.members, in pages."""
    channel = visible_channel(workspace, args)
    members, metadata = page(args, sorted(channel.members), usual=100)
    return {"members": members, "response_metadata": metadata}


def conversations_replies(workspace: Workspace, args: Json) -> Json:
    """conversations.replies: the root and its thread, in pages."""
    required(args, "ts")
    channel = visible_channel(workspace, args)
    if workspace.bot_user_id not in channel.members:
        raise SlackError("not_in_channel")
    root = workspace.message(channel.id, str(args["ts"]))
    if root is None or root.only_for:
        raise SlackError("thread_not_found")
    thread = [workspace.as_message(one) for one in (root, *workspace.thread(root))]
    messages, metadata = page(args, thread, usual=1000)
    return {"messages": messages, "has_more": bool(metadata["next_cursor"]), "response_metadata": metadata}


def users_info(workspace: Workspace, args: Json) -> Json:
    """users.info."""
    required(args, "user")
    person = workspace.persons.get(str(args["user"]))
    if person is None:
        raise SlackError("user_not_found")
    return {"user": person.as_user()}


def users_list(workspace: Workspace, args: Json) -> Json:
    """users.list, in pages; people of other organisations are on none."""
    people: list[Json] = [one.as_user() for one in workspace.persons.values() if not one.is_stranger]
    members, metadata = page(args, people, usual=100)
    return {"members": members, "response_metadata": metadata}


def usergroups_list(workspace: Workspace, args: Json) -> Json:
    """usergroups.list; disabled groups only if requested."""
    with_disabled, with_users = flag(args, "include_disabled"), flag(args, "include_users")
    with_count = flag(args, "include_count")
    return {
        "usergroups": [
            group.as_usergroup(team_id=workspace.team_id, with_users=with_users, with_count=with_count)
            for group in workspace.groups.values()
            if group.enabled or with_disabled
        ]
    }


def usergroups_users_list(workspace: Workspace, args: Json) -> Json:
    """usergroups.users.list; a disabled group does not exist for it, unless include_disabled is set."""
    required(args, "usergroup")
    group = workspace.groups.get(str(args["usergroup"]))
    if group is None or not (group.enabled or flag(args, "include_disabled")):
        raise SlackError("no_such_subteam")
    return {"users": list(group.members)}


METHODS: Mapping[str, Callable[[Workspace, Json], Json]] = {
    "auth.test": auth_test,
    "bots.info": bots_info,
    "conversations.info": conversations_info,
    "conversations.open": conversations_open,
    "conversations.members": conversations_members,
    "conversations.replies": conversations_replies,
    "users.info": users_info,
    "users.list": users_list,
    "usergroups.list": usergroups_list,
    "usergroups.users.list": usergroups_users_list,
}
