"""Rows of the audit as OCSF 1.7.0 events of class API Activity (6003), for security tools.

Pure. The place in the chain and all facts are in `unmapped`. The schema: https://schema.ocsf.io/1.7.0.
"""

import importlib.metadata
import json
from typing import Any, Final

from bot.store.chain import AuditRow

VERSION: Final = "1.7.0"
CLASS: Final = 6003
CATEGORY: Final = 6
OTHER: Final = 99
INFORMATIONAL: Final = 1


def event(row: AuditRow) -> dict[str, Any]:
    """Return the event of a row. Times are in milliseconds since the epoch."""
    facts = row["facts"] if isinstance(row["facts"], dict) else {}
    called: dict[str, Any] = {"operation": row["what"]}
    found: dict[str, Any] = {
        "activity_id": OTHER,
        "activity_name": row["what"],
        "actor": _actor(row, facts),
        "api": called,
        "category_uid": CATEGORY,
        "class_uid": CLASS,
        "message": row["what"],
        "metadata": {
            "log_name": "audit",
            "product": {
                "name": "flowbot",
                "vendor_name": "flowbot",
                "version": importlib.metadata.version("flowbot"),
            },
            "sequence": row["seq"],
            "uid": row["hash"],
            "version": VERSION,
        },
        "severity_id": INFORMATIONAL,
        "src_endpoint": {"name": str(facts.get("door", "slack"))},
        "time": round(row["at"] * 1000),
        "type_uid": CLASS * 100 + OTHER,
        "unmapped": {"facts": row["facts"], "hash": row["hash"], "prev": row["prev"], "seq": row["seq"]},
    }
    if row["request_id"] is not None:
        called["request"] = {"uid": row["request_id"]}
        found["resources"] = [{"type": "request", "uid": row["request_id"]}]
    return found


def line(row: AuditRow) -> str:
    """Return the event of a row as a line of JSON."""
    return json.dumps(event(row), ensure_ascii=False, separators=(",", ":"))


def _actor(row: AuditRow, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the actor; for what flowbot does by itself, it is the app."""
    if row["actor_user"] is None:
        return {"app_name": "flowbot"}
    user = {"uid": row["actor_user"]}
    if row["actor_team"]:
        user["domain"] = row["actor_team"]
    if isinstance(facts.get("person"), str):
        user["uid_alt"] = facts["person"]
    return {"user": user}
