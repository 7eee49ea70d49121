"""Every setting, frozen: environment variables, a `.env` file, a secrets directory, and the policy file that they name.

It finds everything that is wrong in one go. No text of it holds a value that may be a secret. It must not know what the
settings are used for, and it imports nothing that makes `flowbot check` slow.
"""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pydantic
from pydantic import SecretStr

from bot.policy import model
from bot.policy.file import loader as policy_file
from bot.policy.file.problems import Problem, SettingsInvalid
from bot.policy.model import Policy
from bot.settings import variables
from bot.settings.variables import PROJECT, LogFormat, LogLevel, Variables

_DEFAULT: Final = Variables.model_construct()
_KEYS: Final = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")
_USER: Final = ("HUAWEICLOUD_IAM_USER", "HUAWEICLOUD_IAM_PASSWORD", "HUAWEICLOUD_IAM_DOMAIN")
_IAM: Final = "HUAWEICLOUD_IAM_ENDPOINT"
_CLOUD: Final = ("HUAWEICLOUD_", "FLOWBOT_PROJECTS__", "SECRETS_DIR")
"""How the variables begin that say with what the cloud is called, and where that may stand."""


class AccessKey(NamedTuple):
    """What calls to one project are signed with."""

    ak: SecretStr
    sk: SecretStr
    security_token: SecretStr | None = None


class IamLogin(NamedTuple):
    """Who is given tokens for calls; by IAM in the project's own region where there is no `endpoint`."""

    name: str
    password: SecretStr
    domain: str
    endpoint: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Where settings were read from: variables, the directory of `.env`, and the directory of secrets."""

    environ: Mapping[str, str] = dataclasses.field(repr=False)
    directory: pathlib.Path
    secrets: pathlib.Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the bot runs with. `credentials` are for every project that has none of its own in `project_credentials`.

    Without them, the tokens of `iam_user` are. `log_format` is None where the terminal decides. `defects` fail
    `flowbot check` alone, `warnings` nothing. So many `cases` of the policy hold. `origin` is None where the settings
    were made by hand.
    """

    slack_bot_token: SecretStr
    policy: Policy
    slack_signing_secret: SecretStr | None = None
    credentials: AccessKey | None = None
    project_credentials: Mapping[str, AccessKey] = dataclasses.field(default_factory=dict)
    iam_user: IamLogin | None = None
    slack_app_token: SecretStr | None = None
    slack_api_url: str = _DEFAULT.slack_api_url
    database_url: str = dataclasses.field(default=_DEFAULT.database_url, repr=False)
    host: str = _DEFAULT.host
    port: int = _DEFAULT.port
    log_format: LogFormat | None = _DEFAULT.log_format
    log_level: LogLevel = _DEFAULT.log_level
    config: pathlib.Path = _DEFAULT.config
    defects: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    cases: int = 0
    origin: Origin | None = dataclasses.field(default=None, compare=False)

    def credentials_for(self, project: str) -> AccessKey | IamLogin:
        """Return what calls to the project of this name are made with; raises KeyError where there is nothing."""
        found = self.project_credentials.get(project) or self.credentials or self.iam_user
        if found is None:
            raise KeyError(project)
        return found

    def secrets(self) -> tuple[str, ...]:
        """Return every secret in the clear, for cutting them out of what leaves the process."""
        known = [self.slack_bot_token, self.slack_signing_secret, self.slack_app_token, *(self.credentials or ())]
        for credentials in self.project_credentials.values():
            known += credentials
        if self.iam_user is not None:
            known.append(self.iam_user.password)
        return tuple(dict.fromkeys(secret.get_secret_value() for secret in known if secret is not None))


def load(environ: Mapping[str, str] | None = None, *, directory: pathlib.Path) -> Settings:
    """Read the settings and the policy; `directory` is where relative paths start and `.env` may be.

    Raises errors.SettingsInvalid with every problem at once.
    """
    reading = _Reading(os.environ if environ is None else environ, directory)
    loaded = reading.policy()
    reading.judge_slack()
    cloud = reading.cloud(loaded.projects)
    problems, values, policy = (*reading.in_order(), *loaded.problems), reading.values, loaded.policy
    if problems or values is None or values.slack_bot_token is None or policy is None:
        raise SettingsInvalid(problems)
    return Settings(
        slack_bot_token=values.slack_bot_token,
        slack_signing_secret=values.slack_signing_secret,
        slack_app_token=values.slack_app_token,
        slack_api_url=values.slack_api_url,
        database_url=values.database_url,
        host=values.host,
        port=values.port,
        log_format=values.log_format,
        log_level=values.log_level,
        config=values.config,
        policy=policy,
        defects=loaded.defects,
        warnings=(*reading.warnings, *loaded.warnings),
        cases=loaded.cases,
        origin=reading.origin,
        **cloud,
    )


def chooses_socket_mode(environ: Mapping[str, str] | None = None, *, directory: pathlib.Path) -> bool:
    """Tell whether SLACK_APP_TOKEN is set, whatever else is missing or wrong."""
    return "SLACK_APP_TOKEN" in _Reading(os.environ if environ is None else environ, directory).given


def renewed(settings: Settings) -> Settings:
    """Return the settings with the cloud's credentials as the files have them now; all else stays.

    Variables count as they were at the start: nobody can change those of a running process. Raises
    errors.SettingsInvalid.
    """
    if settings.origin is None:
        return settings
    reading = _Reading(settings.origin.environ, settings.origin.directory, only=_CLOUD)
    cloud = reading.cloud(tuple(settings.policy.projects))
    if reading.problems:
        raise SettingsInvalid(reading.in_order())
    return dataclasses.replace(settings, **cloud, origin=reading.origin)


def check_report(outcome: Settings | SettingsInvalid) -> tuple[str, ...]:
    """Compose the lines of `flowbot check`: what is wrong and where, else what was found."""
    if isinstance(outcome, SettingsInvalid):
        return tuple(map(str, outcome.problems))
    warnings = [f"warning: {warning}" for warning in outcome.warnings]
    if outcome.defects:
        return (*map(str, outcome.defects), *warnings)
    found = outcome.policy
    sizes = {"project": len(found.projects), "set": len(found.people), "rule": len(found.rules)}
    counts = [_count(number, noun) for noun, number in sizes.items()]
    held = f"; cases passed: {outcome.cases}" if outcome.cases else ""
    lines = [f"{outcome.config}: OK; {', '.join(counts)}{held}"]
    for project in found.projects.values():
        lines.append(f"project {project.name}: {project.endpoint}, channels {', '.join(project.channels)}")
    lines += [f"set {name}: {', '.join(entries) or 'nobody'}" for name, entries in found.people.items()]
    lines += [_in_short(rule) for rule in found.rules]
    return (*lines, *warnings)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _in_short(rule: model.Rule) -> str:
    asked = f"{rule.approvals} of {', '.join(rule.approvers)} must approve" if rule.approvals else "confirmed alone"
    asked += f"; emergency: {', '.join(rule.emergency)}" if rule.emergency else ""
    end = "" if rule.effect is model.Effect.DENY else f"; {asked}"
    return f'rule "{rule.name}": {rule.effect} {", ".join(rule.verbs)} to {", ".join(rule.who)}{end}'


class _Reading:
    """One reading of the variables: what they hold, and what was found wrong so far.

    `given` has what is set, by name; `values` is None where something of it is wrong by itself.
    """

    def __init__(self, environ: Mapping[str, str], directory: pathlib.Path, *, only: tuple[str, ...] = ("",)) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        given = {**_named(self.dotenv(), only), **_named(environ, only)}
        self.warn_of_unknown(given)
        name = given.get("SECRETS_DIR")
        self.given = {**_named(self.secrets_directory(name), only), **given}
        self.values = self.validate()
        self.origin = Origin(
            environ=dict(environ), directory=directory, secrets=directory / (name or _DEFAULT.secrets_dir)
        )

    def validate(self) -> Variables | None:
        """Return what is given, each variable checked by itself."""
        try:
            return Variables(_build_sources=((variables.Source(self.given),), {}))
        except pydantic.ValidationError as invalid:
            for error in invalid.errors(include_url=False, include_context=False, include_input=False):
                self.wrong("__".join(map(str, error["loc"])), error["msg"])
        return None

    def dotenv(self) -> dict[str, str]:
        path = self.directory / ".env"
        try:
            if not path.is_file():
                return {}
            from dotenv import dotenv_values  # here, as most deployments have no such file

            return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
        except (OSError, UnicodeDecodeError):
            self.wrong(".env", "cannot be read")
            return {}

    def secrets_directory(self, name: str | None) -> dict[str, str]:
        path = self.directory / (name or _DEFAULT.secrets_dir)
        found: dict[str, str] = {}
        try:
            if name and not path.is_dir():
                self.wrong("SECRETS_DIR", f"{name} is not a directory")
            files = sorted(path.iterdir()) if path.is_dir() else []
        except OSError as error:
            self.wrong("SECRETS_DIR", f"{path} cannot be read: {error.strerror}")
            return found
        for file in files:
            variable = file.name.upper()
            if variables.is_known(variable):
                try:
                    if file.is_file():
                        found[variable] = file.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError):
                    self.wrong(variable, f"the file {file} cannot be read")
        return found

    def warn_of_unknown(self, given: Mapping[str, str]) -> None:
        for name in given:
            if name.startswith("FLOWBOT_") and not variables.is_known(name):
                near = difflib.get_close_matches(name, variables.DEFAULTS, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.warnings.append(Problem(where=name, what=f"is not a setting of flowbot{hint}"))

    def wrong(self, where: str, what: str) -> None:
        self.problems.append(Problem(where=where, what=what))

    def in_order(self) -> tuple[Problem, ...]:
        """Return the problems in the order of the table of variables; first what cannot be read at all."""
        return tuple(sorted(self.problems, key=lambda problem: variables.position(problem.where.split(",")[0])))

    def policy(self) -> policy_file.Loaded:
        name = self.given.get("FLOWBOT_CONFIG", str(_DEFAULT.config))
        try:
            data = (self.directory / name).read_bytes()
        except OSError as error:
            self.wrong("FLOWBOT_CONFIG", f"{name} cannot be read: {error.strerror}")
            return policy_file.Loaded(policy=None)
        return policy_file.load(data, name=name)

    def judge_slack(self) -> None:
        if "SLACK_BOT_TOKEN" not in self.given:
            self.wrong("SLACK_BOT_TOKEN", "is missing")
        if not self.given.keys() & {"SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"}:
            self.wrong("SLACK_SIGNING_SECRET", "is missing")

    def cloud(self, projects: tuple[str, ...]) -> dict[str, Any]:
        """Judge what belongs together, and return the fields of `Settings` that are about the cloud."""
        own = self.judge_own(projects)
        lacking = [name for name in projects if policy_file.plain(name) not in own]
        iam = [name for name in (*_USER, _IAM) if name in self.given]
        if self.given.keys() & set(_KEYS):
            self.judge_pair(*_KEYS)
            if iam:
                self.warnings.append(Problem(where=iam[0], what=f"is not used: {' and '.join(_KEYS)} take precedence"))
        else:
            if "HUAWEICLOUD_SDK_SECURITY_TOKEN" in self.given:
                self.wrong("HUAWEICLOUD_SDK_SECURITY_TOKEN", f"needs {' and '.join(_KEYS)} as well")
            if iam:
                for missing in (name for name in _USER if name not in self.given):
                    self.wrong(missing, f"is missing: {iam[0]} is set")
            elif lacking or not (projects or own):
                self.no_keys(lacking)
        return {} if self.values is None else _credentials(self.values, projects)

    def judge_own(self, projects: tuple[str, ...]) -> frozenset[str]:
        """Judge the keys of single projects, and return the plain form of the names of these projects."""
        stems = dict.fromkeys(name[:-4] for name in sorted(self.given) if PROJECT.fullmatch(name))
        own = {stem: policy_file.plain(stem.removeprefix("FLOWBOT_PROJECTS__")) for stem in stems}
        for stem, name in own.items():
            self.judge_pair(f"{stem}__AK", f"{stem}__SK")
            if projects and name not in map(policy_file.plain, projects):
                given = next(f"{stem}__{part}" for part in ("AK", "SK") if f"{stem}__{part}" in self.given)
                self.wrong(given, f"no project has this name; the projects are {', '.join(projects)}")
        return frozenset(own.values())

    def judge_pair(self, ak_name: str, sk_name: str) -> None:
        for missing, other in ((ak_name, sk_name), (sk_name, ak_name)):
            if other in self.given and missing not in self.given:
                self.wrong(missing, f"is missing: {other} is set")

    def no_keys(self, lacking: list[str]) -> None:
        names = ", ".join(lacking)
        stems = [f"FLOWBOT_PROJECTS__{policy_file.plain(name).upper()}" for name in lacking]
        own = f" for {names} (or set {', '.join(f'{stem}__AK and {stem}__SK' for stem in stems)})" if lacking else ""
        self.wrong(", ".join(_KEYS), f"are missing{own}")


def _credentials(values: Variables, projects: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of `Settings` that are about the cloud; half of a pair is none."""
    own = {policy_file.plain(name): _pair(keys.ak, keys.sk) for name, keys in values.projects.items()}
    kept = {name: own.get(policy_file.plain(name)) for name in projects}
    shared, user = _pair(values.ak, values.sk, values.security_token), None
    if shared is None and values.iam_user and values.iam_password and values.iam_domain:
        user = IamLogin(values.iam_user, values.iam_password, values.iam_domain, values.iam_endpoint)
    return {
        "credentials": shared,
        "iam_user": user,
        "project_credentials": {name: found for name, found in kept.items() if found is not None},
    }


def _pair(ak: SecretStr | None, sk: SecretStr | None, token: SecretStr | None = None) -> AccessKey | None:
    return None if ak is None or sk is None else AccessKey(ak, sk, token)


def _named(values: Mapping[str, str], only: tuple[str, ...]) -> dict[str, str]:
    """Keep what begins so and is not blank, and write the variables of single projects in one way."""
    named = {}
    for name, value in values.items():
        known = name.upper().replace("-", "_") if PROJECT.fullmatch(name) else name
        if value.strip() and known.startswith(only):
            named[known] = value.strip()
    return named
