"""What the cloud's answers to a project's reads mean. Pure."""

import dataclasses
from collections.abc import Iterable
from typing import Final, assert_never

from bot.commands.verbs import CHANGES
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.policy.model import Policy, Project
from bot.serve.doctor import findings
from bot.serve.doctor.findings import Finding
from bot.slack.messages import outcomes

DETAIL, LIST = outcomes.READ_ACTIONS
"""The rights that reading needs."""

WRONG_PROJECT: Final = "LIVE.100011015"
NO_API: Final = ("APIGW.0101", "APIG.0101")
LOCKED: Final = "reach the limit"

POLICY_REMEDY: Final = "Add {rights} to the identity policy of flowbot's IAM user (README, “Connect it”, step 2)."
REGION_REMEDY: Final = (
    "Compare project_id, region and endpoint in [projects.{project}]: each region has its own project id and host."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reads:
    """What came of the reads of one project: the failure of each, or None for a success.

    `asked` is False where the key was not tried, because another project's tries with it did not succeed.
    """

    listed: CloudFailure | None = None
    read: CloudFailure | None = None
    asked: bool = True


def is_wrong_key(failure: CloudFailure | None) -> bool:
    """Tell whether the cloud did not accept the key itself, so that each further try brings it closer to a lock."""
    return failure is not None and failure.fault is Fault.CREDENTIALS and failure.code != WRONG_PROJECT


def project(project: Project, reads: Reads, *, by_token: bool) -> Finding:
    """Check the credentials and the rights to read of one project."""
    name = f"project {project.name}"
    if not reads.asked:
        found = "not tried: its key is also another project's, where it was tried twice without success"
        return findings.fail(name, found, "Solve the other project's problem, then run this again.")
    failure = reads.listed or reads.read
    if failure is None:
        return findings.ok(name, "the cloud accepts the credentials; flows can be listed and read")
    return _failed(name, project, failure, reads, by_token=by_token)


def _failed(name: str, project: Project, failure: CloudFailure, reads: Reads, *, by_token: bool) -> Finding:
    said = _said(failure)
    region = REGION_REMEDY.format(project=project.name)
    match failure.fault:
        case Fault.CREDENTIALS:
            return _refused(name, failure, region, by_token=by_token)
        case Fault.NEVER_SENT:
            remedy = f"Check the network, the proxy variables and the host. {region}"
            return findings.fail(name, f"{project.endpoint} cannot be reached: {said}", remedy)
        case Fault.THROTTLED:
            return findings.warn(name, f"the cloud limits calls: {said}", "Run this again in a minute.")
        case Fault.REJECTED | Fault.NOT_FOUND if failure.code in NO_API:
            return findings.fail(name, f"{project.endpoint} has no flows API: {said}", region)
        case Fault.REJECTED | Fault.NOT_FOUND:
            return findings.fail(name, f"the cloud refuses to list flows: {said}", region)
        case Fault.UNCERTAIN:
            remedy = "Run this again. If it stays so, check the endpoint and the cloud's status page."
            return findings.fail(name, f"the cloud could not be asked: {said}", remedy)
        case Fault.DENIED:
            tried = ((LIST, reads.listed), (DETAIL, reads.read))
            rights = " and ".join(right for right, one in tried if one is not None and one.fault is Fault.DENIED)
            found = f"the cloud accepts the credentials, but they lack the right {rights}"
            return findings.fail(name, found, POLICY_REMEDY.format(rights=rights))
        case _:
            assert_never(failure.fault)


def _refused(name: str, failure: CloudFailure, region: str, *, by_token: bool) -> Finding:
    said = _said(failure)
    if failure.code == WRONG_PROJECT:
        return findings.fail(name, f"project id and region do not belong together: {said}", region)
    if LOCKED in failure.message:
        remedy = "Wait five minutes without any call; then correct the secret key and run this again."
        return findings.fail(name, f"the key is locked after too many wrong tries: {said}", remedy)
    if by_token:
        remedy = "Check HUAWEICLOUD_IAM_USER, _PASSWORD and _DOMAIN; wrong tries lock the user."
        return findings.fail(name, f"the cloud does not accept the IAM user: {said}", remedy)
    remedy = "Check the access key, its secret key and this host's clock. Five wrong tries lock the key."
    return findings.fail(name, f"the cloud does not accept the key: {said}", remedy)


def _said(failure: CloudFailure) -> str:
    """Return the cloud's words without the request that a gateway echoes."""
    message = failure.message.partition(", canonicalRequest")[0]
    status = f"HTTP {failure.http_status}" if failure.http_status is not None and failure.code is None else None
    return " ".join(filter(None, (failure.code, status, message))) or failure.fault


def stop(policy: Policy) -> Finding:
    """Say that the right to stop is not known: only a real call would show it."""
    used = [verb for verb in CHANGES if any(verb.value in rule.verbs for rule in policy.rules)]
    rights = " and ".join(CHANGES[verb].action for verb in used or CHANGES)
    found = f"not tried, because only a real call shows whether the credentials have the right {rights}"
    return findings.warn("stop", found, "Try it once on a flow that nobody watches, or check the identity policy.")


def judge(policy: Policy, reads: Iterable[tuple[Project, Reads, bool]]) -> tuple[Finding, ...]:
    """Return all findings about the cloud."""
    return (*(project(which, seen, by_token=by_token) for which, seen, by_token in reads), stop(policy))
