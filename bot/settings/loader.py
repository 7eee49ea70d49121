"""Load all settings from environment variables, a `.env` file, a secrets directory and the policy file.

It reports everything that is wrong at once. No text contains a value that may be a secret. It must not know what the
settings are used for, and imports nothing that makes `flowbot check` slow.
"""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Final

import pydantic
from pydantic import SecretStr

from bot.policy import model
from bot.policy.file import loader as policy_file
from bot.policy.file.problems import Problem, SettingsInvalid
from bot.policy.model import Policy
from bot.settings import variables
from bot.settings.credentials import AccessKey, Credentials, IamUser
from bot.settings.variables import PROJECT, LogFormat, LogLevel, Variables

_DEFAULT: Final = Variables.model_construct()
_KEYS: Final = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")
_USER: Final = ("HUAWEICLOUD_IAM_USER", "HUAWEICLOUD_IAM_PASSWORD", "HUAWEICLOUD_IAM_DOMAIN")
_IAM: Final = "HUAWEICLOUD_IAM_ENDPOINT"
_CLOUD: Final = ("HUAWEICLOUD_", "FLOWBOT_PROJECTS__", "SECRETS_DIR")
"""Prefixes of the variables for the cloud's credentials, and of the one that says where they may be."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Where settings were read from: variables, the directory of `.env`, and the secrets directory."""

    environ: Mapping[str, str] = dataclasses.field(repr=False)
    directory: pathlib.Path
    secrets: pathlib.Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the bot. `credentials` apply to every project without its own in `project_credentials`.

    Without either, the tokens of `iam_user` do. With `log_format` None, the terminal decides. `defects` fail only
    `flowbot check`; `warnings` fail nothing. `cases` is the number of passed cases of the policy. `origin` is None for
    settings made by hand.
    """

    slack_bot_token: SecretStr
    policy: Policy
    slack_signing_secret: SecretStr | None = None
    credentials: AccessKey | None = None
    project_credentials: Mapping[str, AccessKey] = dataclasses.field(default_factory=dict)
    iam_user: IamUser | None = None
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

    def credentials_for(self, project: str) -> Credentials:
        """Return the credentials for the named project; raises KeyError if there are none."""
        found = self.project_credentials.get(project) or self.credentials or self.iam_user
        if found is None:
            raise KeyError(project)
        return found

    def secrets(self) -> tuple[str, ...]:
        """Return every secret in clear text, to be cut out of logs and messages."""
        slack = (self.slack_bot_token, self.slack_signing_secret, self.slack_app_token)
        cloud = (self.credentials, *self.project_credentials.values(), self.iam_user)
        known = [secret.get_secret_value() for secret in slack if secret is not None]
        known += [secret for credentials in cloud if credentials is not None for secret in credentials.secrets()]
        return tuple(dict.fromkeys(known))


def load(environ: Mapping[str, str] | None = None, *, directory: pathlib.Path) -> Settings:
    """Load the settings and the policy; `directory` is the base of relative paths and may contain `.env`.

    Raises errors.SettingsInvalid with all problems at once.
    """
    environment = _Environment(os.environ if environ is None else environ, directory)
    loaded = environment.policy()
    environment.judge_slack()
    cloud = environment.cloud(loaded.projects)
    problems, values, policy = (*environment.in_order(), *loaded.problems), environment.values, loaded.policy
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
        warnings=(*environment.warnings, *loaded.warnings),
        cases=loaded.cases,
        origin=environment.origin,
        **cloud,
    )


def chooses_socket_mode(environ: Mapping[str, str] | None = None, *, directory: pathlib.Path) -> bool:
    """Tell whether SLACK_APP_TOKEN is set, whatever else is missing or wrong."""
    return "SLACK_APP_TOKEN" in _Environment(os.environ if environ is None else environ, directory).given


def renewed(settings: Settings) -> Settings:
    """Return the settings with the cloud's credentials read again from files; all else stays.

    Variables keep their values from the start, as those of a running process cannot change. Raises
    errors.SettingsInvalid.
    """
    if settings.origin is None:
        return settings
    environment = _Environment(settings.origin.environ, settings.origin.directory, only=_CLOUD)
    cloud = environment.cloud(tuple(settings.policy.projects))
    if environment.problems:
        raise SettingsInvalid(environment.in_order())
    return dataclasses.replace(settings, **cloud, origin=environment.origin)


def check_report(outcome: Settings | SettingsInvalid) -> tuple[str, ...]:
    """Return the lines of `flowbot check`: every problem and where it is, else a summary."""
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


class _Environment:
    """One reading of the variables: their values, and the problems found so far.

    `given` has the variables that are set, by name; `values` is None if one of them is invalid by itself.
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
            from dotenv import dotenv_values  # imported here because most deployments have no such file

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
        """Return the problems in the order of the table of variables, after places that could not be read."""
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
        """Check credentials that belong together, and return the fields of `Settings` about the cloud."""
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
        """Check the keys of single projects, and return the normalised names of these projects."""
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
    """Return the fields of `Settings` about the cloud; half of a pair is ignored."""
    own = {policy_file.plain(name): _pair(keys.ak, keys.sk) for name, keys in values.projects.items()}
    kept = {name: own.get(policy_file.plain(name)) for name in projects}
    shared, user = _pair(values.ak, values.sk, values.security_token), None
    if shared is None and values.iam_user and values.iam_password and values.iam_domain:
        user = IamUser(
            name=values.iam_user,
            password=values.iam_password,
            domain=values.iam_domain,
            endpoint=values.iam_endpoint,
        )
    return {
        "credentials": shared,
        "iam_user": user,
        "project_credentials": {name: found for name, found in kept.items() if found is not None},
    }


def _pair(ak: SecretStr | None, sk: SecretStr | None, token: SecretStr | None = None) -> AccessKey | None:
    return None if ak is None or sk is None else AccessKey(ak=ak, sk=sk, security_token=token)


def _named(values: Mapping[str, str], only: tuple[str, ...]) -> dict[str, str]:
    """Return the values that are not blank and whose names have one of these prefixes, with normalised names."""
    named = {}
    for name, value in values.items():
        known = name.upper().replace("-", "_") if PROJECT.fullmatch(name) else name
        if value.strip() and known.startswith(only):
            named[known] = value.strip()
    return named
