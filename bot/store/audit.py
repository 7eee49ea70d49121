"""Turn audit events into rows. `store` writes a row in the transaction of its change."""

import json

from bot.usecases import ports


def row(event: ports.AuditEvent) -> dict[str, object]:
    """Return the columns of the event; the facts have sorted keys, so that equal facts are equal bytes.

    They include the id of the person if the actor used another one.
    """
    actor = event.actor
    facts = event.facts if actor is None or actor.id == actor.user else {**event.facts, "person": actor.id}
    return {
        "at": event.at,
        "what": event.what,
        "actor_team": event.actor.team if event.actor else None,
        "actor_user": event.actor.user if event.actor else None,
        "request_id": event.request_id,
        "facts": json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")),
    }
