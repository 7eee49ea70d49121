"""What the settings and the policy mean for a deployment. Pure; `flowbot check` has the details."""

from bot.policy.file.problems import Problem, SettingsInvalid
from bot.serve.doctor import findings
from bot.serve.doctor.findings import Finding
from bot.settings.loader import Settings

REMEDY = "Correct it; `flowbot check` checks settings and policy alone."


def invalid(problems: SettingsInvalid) -> tuple[Finding, ...]:
    """Return a finding for each problem because of which the settings cannot be used."""
    return tuple(map(_failed, problems.problems))


def judge(settings: Settings) -> tuple[Finding, ...]:
    """Return the findings about settings that can be used."""
    way = "by Socket Mode" if settings.slack_app_token is not None else f"by HTTP at {settings.host}:{settings.port}"
    in_order = findings.ok("settings", f"{settings.config} and the variables are in order; Slack delivers {way}")
    defects = tuple(map(_failed, settings.defects))
    return (*(defects or (in_order,)), *(findings.warn("settings", str(each), REMEDY) for each in settings.warnings))


def _failed(problem: Problem) -> Finding:
    return findings.fail("settings", str(problem), REMEDY)
