"""What Slack's answers about tokens, channels, people and groups mean. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from bot.policy import model
from bot.policy.model import Kind, Person, Policy, Project, Rule
from bot.serve.doctor import findings
from bot.serve.doctor.findings import Finding
from bot.slack import guard, manifest
from bot.slack.directory.survey import ChannelSeen, GroupSeen, GroupsSeen, TokenSeen, Unasked

EVERYWHERE: Final = "chat:write.public"
"""The scope to post in public channels without joining them."""

DRIFT: Final = 10.0
"""Seconds by which our clock may differ from Slack's without a word about it: its header has whole seconds."""

REINSTALL: Final = (
    "Paste the output of `flowbot manifest` under *App Manifest* of the app, choose *Reinstall to Workspace*, and copy"
    " the bot token again."
)
LATER: Final = "Run this again in a minute."
UNREACHED: Final = "Check the network, the proxy variables and SLACK_API_URL, then run this again."
TOKEN_FIRST: Final = "Solve the problem of the bot token first, then run this again."  # noqa: S105 - a sentence

KINDS: Final[Mapping[Kind, str]] = {
    Kind.GUEST: "is a guest",
    Kind.STRANGER: "is not in this workspace: no such user, or one of another organisation",
    Kind.BOT: "is a bot",
    Kind.DEACTIVATED: "is deactivated",
}


def bot_token(seen: TokenSeen) -> Finding:
    """Check that Slack accepts the bot token."""
    if seen.refused is None:
        return findings.ok("bot token", f"Slack accepts it: workspace {seen.domain} ({seen.team}), bot {seen.bot_name}")
    if seen.refused.is_refused_token:
        remedy = "Copy it from *OAuth & Permissions* of the app into SLACK_BOT_TOKEN."
        return findings.fail("bot token", f"Slack does not accept it ({seen.refused.code})", remedy)
    return _unknown("bot token", "Slack could not be asked", seen.refused)


def scopes(seen: TokenSeen) -> Finding | None:
    """Compare the scopes of the bot token with those of the manifest."""
    if seen.refused is not None:
        return None
    if seen.scopes is None:
        remedy = "Compare the scopes under *OAuth & Permissions* with `flowbot manifest`."
        return findings.warn("scopes", "Slack did not say which scopes the bot token has", remedy)
    missing = [scope for scope in manifest.SCOPES if scope not in seen.scopes]
    if missing:
        return findings.fail("scopes", f"the bot token lacks {', '.join(missing)}", REINSTALL)
    more = sorted(seen.scopes - set(manifest.SCOPES))
    also = f"; not needed: {', '.join(more)}" if more else ""
    return findings.ok("scopes", f"the bot token has all that flowbot needs{also}")


def clock(seen: TokenSeen) -> Finding:
    """Check our clock against Slack's: a signature is accepted for five minutes only."""
    if seen.slack_time is None:
        return findings.warn("clock", "Slack did not say what time it is", UNREACHED)
    ahead = seen.at - seen.slack_time
    if abs(ahead) <= DRIFT:
        return findings.ok("clock", "agrees with Slack's")
    found = f"this host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Slack's"
    remedy = "Set the clock (NTP)."
    if ahead >= guard.MAX_AGE - DRIFT or -ahead >= guard.MAX_AHEAD - DRIFT:
        return findings.fail("clock", f"{found}, so that deliveries are rejected as too old or too new", remedy)
    return findings.warn("clock", found, remedy)


def app_token(ticket: str | Unasked | None) -> Finding | None:
    """Check that Slack accepts the app-level token; None is no such token, as over HTTP."""
    match ticket:
        case None:
            return None
        case str():
            return findings.ok("app token", "Slack accepts it for Socket Mode")
        case Unasked() if ticket.is_refused_token or ticket.code in ("missing_scope", "not_allowed_token_type"):
            remedy = (
                "Create an app-level token with the scope connections:write under *Basic Information* of the app, and"
                " copy it into SLACK_APP_TOKEN."
            )
            return findings.fail("app token", f"Slack does not accept it for Socket Mode ({ticket.code})", remedy)
        case Unasked():
            return _unknown("app token", "Slack could not be asked", ticket)


def unasked(seen: TokenSeen) -> Finding | None:
    """Say once that nothing else can be asked of Slack; None if it can."""
    if seen.refused is None:
        return None
    if seen.refused.is_limited:
        return _unknown("channels, users and groups", "could not be asked", seen.refused)
    why = "Slack does not accept the bot token" if seen.refused.is_refused_token else "Slack could not be reached"
    return findings.fail("channels, users and groups", f"could not be asked: {why}", TOKEN_FIRST)


def channel(id: str, seen: ChannelSeen | Unasked, *, owner: Project | None, posts_everywhere: bool) -> Finding:
    """Check that a channel of the policy exists, and that cards can stand there. Rules may name others than those."""
    name = f"channel {id}"
    if isinstance(seen, Unasked):
        return _channel_unasked(name, id, seen, owner)
    called = f"#{seen.name}"
    if seen.archived:
        remedy = "Unarchive it, or replace the id in the policy."
        return findings.fail(name, f"{called} is archived", remedy)
    if owner is None:
        return findings.ok(name, f"{called} exists")
    if not seen.joined and not (posts_everywhere and not seen.private):
        return findings.fail(name, f"the bot is not in {called}", f"Type /invite @flowbot in {called}.")
    if seen.shared and not owner.allow_shared:
        remedy = f"Use another channel, or set allow_shared = true in [projects.{owner.name}]."
        return findings.fail(name, f"{called} is shared with another organisation, so no card may stand there", remedy)
    return findings.ok(name, f"the bot can post in {called}" + (", which is shared" if seen.shared else ""))


def _channel_unasked(name: str, id: str, seen: Unasked, owner: Project | None) -> Finding:
    if seen.code == "channel_not_found":
        found = "does not exist, or is private and the bot is not in it"
        where = f"channels of [projects.{owner.name}]" if owner is not None else "the rules"
        return findings.fail(name, found, f"Type /invite @flowbot there, or correct the id in {where}.")
    return _could_not(name, seen)


def _could_not(name: str, seen: Unasked) -> Finding:
    if seen.code == "missing_scope":
        lacking = f"the bot token lacks the scope {seen.needed}" if seen.needed else "the bot token lacks a scope"
        return findings.fail(name, f"could not be asked: {lacking}", REINSTALL)
    return _unknown(name, "could not be asked", seen)


def _unknown(name: str, found: str, seen: Unasked) -> Finding:
    if seen.is_limited:
        return findings.warn(name, f"{found}: Slack limits calls", LATER)
    return findings.fail(name, f"{found} ({seen.code})", UNREACHED)


def users(named: Iterable[str], persons: Mapping[str, Person]) -> tuple[Finding, ...]:
    """Check that each user of the policy is a full member: one line for all who are, and one for each other."""
    kinds = {user: persons[user].kind if user in persons else Kind.UNREACHABLE for user in sorted(named)}
    members = [user for user, kind in kinds.items() if kind is Kind.MEMBER]
    unknown = [user for user, kind in kinds.items() if kind is Kind.UNREACHABLE]
    found = [findings.ok("users", f"full members: {len(members)} of the {len(kinds)} users in the policy")]
    if unknown:
        found = [findings.warn("users", f"could not be asked about {', '.join(unknown)}", LATER)]
    for user, kind in kinds.items():
        if kind in KINDS:
            remedy = "Correct the id, or remove it from the policy: rules count full members only."
            found.append(findings.fail(f"user {user}", KINDS[kind], remedy))
    return tuple(found) if kinds else ()


def group(id: str, groups: GroupsSeen | Unasked) -> Finding:
    """Check that a user group of the policy exists and has members."""
    name = f"group {id}"
    if isinstance(groups, Unasked):
        return _could_not(name, groups)
    seen: GroupSeen | None = groups.get(id)
    if seen is None:
        remedy = "Correct the id: it is the S… at the end of the group's address in the browser."
        return findings.fail(name, "does not exist in this workspace", remedy)
    if not seen.enabled:
        return findings.fail(name, f"@{seen.handle} is disabled", "Enable it in Slack, or remove it from the policy.")
    if not seen.members:
        return findings.fail(name, f"@{seen.handle} has no members", "Add members in Slack.")
    return findings.ok(name, f"@{seen.handle} has {_count(len(seen.members), 'member')}")


def approvers(
    policy: Policy, rule: Rule, persons: Mapping[str, Person], groups: GroupsSeen | Unasked
) -> Finding | None:
    """Check that a rule has enough approvers besides the requester; None for a rule that needs none."""
    if rule.effect is model.Effect.DENY or not rule.approvals:
        return None
    name = f'rule "{rule.name}"'
    found, sure = _members(model.expand(policy, rule.approvers), persons, groups)
    asking, _ = _members(model.expand(policy, rule.who), persons, groups)
    never, _ = _members(model.expand(policy, rule.excluded), persons, groups)
    has = f"needs {_count(rule.approvals, 'approval')} and has {_count(len(found), 'approver')}"
    remedy = "Add approvers to the rule or its sets; only full members count, and never the requester."
    if len(found) < rule.approvals:
        if not sure:
            return findings.warn(name, f"{has} for sure: not all could be asked about", LATER)
        return findings.fail(name, f"{has}, so nothing that it asks for can be approved", remedy)
    own = found if model.EVERYBODY in model.expand(policy, rule.who) else found & asking
    if len(found) == rule.approvals and own - never:
        return findings.warn(name, f"{has}; an approver who asks lacks one", remedy)
    return findings.ok(name, has)


def _members(
    idents: Iterable[str], persons: Mapping[str, Person], groups: GroupsSeen | Unasked
) -> tuple[frozenset[str], bool]:
    """Return the full members behind users and groups, and whether all of these are known."""
    users, sure = set[str](), True
    for ident in idents:
        if not model.is_group(ident):
            users.add(ident)
        elif isinstance(groups, Unasked):
            sure = False
        elif ident in groups:
            users |= groups[ident].members if groups[ident].enabled else frozenset()
    found = set[str]()
    for user in users - {model.EVERYBODY}:
        person = persons.get(user)
        sure = sure and person is not None and person.kind is not Kind.UNREACHABLE
        if person is not None and person.kind is Kind.MEMBER:
            found.add(person.actor.id)
    return frozenset(found), sure


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
