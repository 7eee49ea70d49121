"""Turn audit events into rows. `store` writes a row in the transaction of its change."""

import json

from bot.commands.verbs import Door
from bot.usecases import ports


def row(event: ports.AuditEvent) -> dict[str, object]:
    """Return the columns of the event; the facts have sorted keys, so that equal facts are equal bytes.

    They name the person where somebody acted with another id than that, and the door and login of the host.
    """
    facts, actor = dict(event.facts), event.actor
    if actor is not None and actor.id != actor.user:
        facts["person"] = actor.id
    if actor is not None and actor.login is not None:
        facts |= {"door": Door.HOST, "login": actor.login}
    return {
        "at": event.at,
        "what": event.what,
        "actor_team": event.actor.team if event.actor else None,
        "actor_user": event.actor.user if event.actor else None,
        "request_id": event.request_id,
        "facts": json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")),
    }
