"""Policies for scenarios: the sample projects and people, with other rules."""

import json
from typing import Final

from bot.playground import world

HEAD: Final = world.POLICY.partition("[[rules]]")[0]

OTHER_PROJECT_ID: Final = "fedcba9876543210fedcba9876543210"

SECOND_PROJECT: Final = f"""\
[projects.sg]
project_id = "{OTHER_PROJECT_ID}"
region     = "ap-southeast-3"
endpoint   = "{{endpoint}}"
channels   = ["C0SG"]

"""


def rule(name: str, **keys: object) -> str:
    """Return a rule about stopping; `excluded` is the file's `except`."""
    given = {"name": name, "verbs": ["stop"], **keys}
    lines = [
        f"{'except' if key == 'excluded' else key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in given.items()
    ]
    return "\n".join(("[[rules]]", *lines, "", ""))


ONE_LEAD: Final = {"who": ["media-oncall"], "approvals": 1, "approvers": ["media-leads"]}

TWO_APPROVALS: Final = HEAD + rule(
    "two people approve", who=["media-oncall", "media-leads"], approvals=2, approvers=["media-leads", "U0BOB"]
)
SHORT: Final = HEAD + rule("five seconds", expires="5s", **ONE_LEAD)
REASON: Final = HEAD + rule("say why", reason="required", **ONE_LEAD)
GROUP_APPROVES: Final = HEAD + rule(
    "the group approves", who=["media-leads", "U0ALICE"], approvals=1, approvers=["S0MEDIAGRP"]
)
TWO_PROJECTS: Final = SECOND_PROJECT + world.POLICY
