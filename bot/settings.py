"""Every setting, frozen: environment variables, a `.env` file, a secrets directory, and the policy file that they name.

It finds everything that is wrong in one go. No text of it holds a value that may be a secret. It must not know what the
settings are used for, and it imports nothing that makes `flowbot check` slow.
"""

import dataclasses
import difflib
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import SecretStr

from bot import errors, policy, policy_file, policy_keys
from bot.errors import Problem
from bot.policy import Policy

SLACK_API_URL: Final = "https://slack.com/api/"
SECRETS_DIR: Final = "/run/secrets"  # where Docker and Podman mount them; used if it is there

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variable:
    """One variable of the environment, as README and `.env.example` tell of it."""

    name: str
    meaning: str
    default: str = ""


VARIABLES: Final = (
    Variable(name="SLACK_BOT_TOKEN", meaning="bot token (xoxb-…); required"),
    Variable(
        name="SLACK_SIGNING_SECRET",
        meaning="the secret that Slack signs its calls with; required without SLACK_APP_TOKEN",
    ),
    Variable(name="SLACK_APP_TOKEN", meaning="app-level token (xapp-…); selects Socket Mode"),
    Variable(name="SLACK_API_URL", meaning="Slack's Web API; plain http for loopback only", default=SLACK_API_URL),
    Variable(name="HUAWEICLOUD_SDK_AK", meaning="access key of Huawei Cloud"),
    Variable(name="HUAWEICLOUD_SDK_SK", meaning="its secret key"),
    Variable(name="HUAWEICLOUD_SDK_SECURITY_TOKEN", meaning="goes with a temporary key"),
    Variable(name="HUAWEICLOUD_IAM_USER", meaning="IAM user, for tokens in place of keys; used where no AK is set"),
    Variable(name="HUAWEICLOUD_IAM_PASSWORD", meaning="the IAM user's password"),
    Variable(name="HUAWEICLOUD_IAM_DOMAIN", meaning="the account that the IAM user belongs to"),
    Variable(name="HUAWEICLOUD_IAM_ENDPOINT", meaning="what gives the tokens; by default IAM in the project's region"),
    Variable(name="FLOWBOT_PROJECTS__<NAME>__AK", meaning="access key of one project, where it has its own"),
    Variable(name="FLOWBOT_PROJECTS__<NAME>__SK", meaning="its secret key"),
    Variable(name="FLOWBOT_CONFIG", meaning="the policy file", default="flowbot.toml"),
    Variable(name="DATABASE_URL", meaning="where requests and the audit are kept", default="sqlite:///flowbot.db"),
    Variable(name="HOST", meaning="address to listen on", default="127.0.0.1"),
    Variable(name="PORT", meaning="port to listen on; 0 takes any free one", default="3000"),
    Variable(name="FLOWBOT_LOG_FORMAT", meaning="json or console; by default console on a terminal, else json"),
    Variable(name="FLOWBOT_LOG_LEVEL", meaning="debug, info, warning, error or critical", default="info"),
    Variable(
        name="SECRETS_DIR", meaning="directory with one file for each secret, named after it", default=SECRETS_DIR
    ),
)

_DEFAULTS: Final = {variable.name: variable.default for variable in VARIABLES}
_KEYS: Final = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")
_USER: Final = ("HUAWEICLOUD_IAM_USER", "HUAWEICLOUD_IAM_PASSWORD", "HUAWEICLOUD_IAM_DOMAIN")
_IAM: Final = "HUAWEICLOUD_IAM_ENDPOINT"
_PROJECT: Final = re.compile(r"FLOWBOT_PROJECTS__(.+)__(AK|SK)", re.IGNORECASE)


class Credentials(NamedTuple):
    """What calls to one project are signed with."""

    ak: SecretStr
    sk: SecretStr
    security_token: SecretStr | None = None


class IamUser(NamedTuple):
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
    `flowbot check` alone, `warnings` nothing. `origin` is None where the settings were made by hand.
    """

    slack_bot_token: SecretStr
    policy: Policy
    slack_signing_secret: SecretStr | None = None
    credentials: Credentials | None = None
    project_credentials: Mapping[str, Credentials] = dataclasses.field(default_factory=dict)
    iam_user: IamUser | None = None
    slack_app_token: SecretStr | None = None
    slack_api_url: str = SLACK_API_URL
    database_url: str = dataclasses.field(default=_DEFAULTS["DATABASE_URL"], repr=False)
    host: str = _DEFAULTS["HOST"]
    port: int = int(_DEFAULTS["PORT"])
    log_format: LogFormat | None = None
    log_level: LogLevel = "info"
    config: pathlib.Path = pathlib.Path(_DEFAULTS["FLOWBOT_CONFIG"])
    defects: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    origin: Origin | None = dataclasses.field(default=None, compare=False)

    def credentials_for(self, project: str) -> Credentials | IamUser:
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
    fields = {**reading.slack(), **reading.cloud(loaded.projects), **reading.process()}
    problems = (*reading.problems, *loaded.problems)
    if problems or loaded.policy is None:
        raise errors.SettingsInvalid(problems)
    warnings = (*reading.warnings, *loaded.warnings)
    origin = reading.origin
    return Settings(**fields, policy=loaded.policy, defects=loaded.defects, warnings=warnings, origin=origin)


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
    reading = _Reading(settings.origin.environ, settings.origin.directory)
    fields = reading.cloud(tuple(settings.policy.projects))
    if reading.problems:
        raise errors.SettingsInvalid(tuple(reading.problems))
    return dataclasses.replace(settings, **fields, origin=reading.origin)


def check_report(outcome: Settings | errors.SettingsInvalid) -> tuple[str, ...]:
    """Compose the lines of `flowbot check`: what is wrong and where, else what was found."""
    if isinstance(outcome, errors.SettingsInvalid):
        return tuple(map(str, outcome.problems))
    warnings = [f"warning: {warning}" for warning in outcome.warnings]
    if outcome.defects:
        return (*map(str, outcome.defects), *warnings)
    found = outcome.policy
    counts = [
        _count(len(found.projects), "project"),
        _count(len(found.people), "set"),
        _count(len(found.rules), "rule"),
    ]
    lines = [f"{outcome.config}: in order; {', '.join(counts)}"]
    for project in found.projects.values():
        lines.append(f"project {project.name}: {project.endpoint}, channels {', '.join(project.channels)}")
    lines += [f"set {name}: {', '.join(entries) or 'nobody'}" for name, entries in found.people.items()]
    lines += [_in_short(rule) for rule in found.rules]
    return (*lines, *warnings)


def env_example() -> str:
    """Compose `.env.example`."""
    lines = ["# Copy this to .env and fill it in. A line that starts with # is not read."]
    for variable in VARIABLES:
        name = variable.name.replace("<NAME>", "HK")
        lines += ["", f"# {variable.meaning}", f"#{name}={variable.default}"]
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _in_short(rule: policy.Rule) -> str:
    asked = f"{rule.approvals} of {', '.join(rule.approvers)} to approve" if rule.approvals else "confirmed alone"
    asked += f"; emergency: {', '.join(rule.emergency)}" if rule.emergency else ""
    end = "" if rule.effect is policy.Effect.DENY else f"; {asked}"
    return f'rule "{rule.name}": {rule.effect} {", ".join(rule.verbs)} to {", ".join(rule.who)}{end}'


class _Reading:
    """One reading of the variables: what they hold, and what was found wrong so far."""

    def __init__(self, environ: Mapping[str, str], directory: pathlib.Path) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        given = _named({**self.dotenv(), **{name: value for name, value in environ.items() if value.strip()}})
        secrets = given.get("SECRETS_DIR")
        self.given = {**self.secrets_directory(secrets), **given}
        self.origin = Origin(environ=dict(environ), directory=directory, secrets=directory / (secrets or SECRETS_DIR))
        for name in given:
            if name.startswith("FLOWBOT_") and name not in _DEFAULTS and not _PROJECT.fullmatch(name):
                near = difflib.get_close_matches(name, _DEFAULTS, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.warnings.append(Problem(where=name, what=f"is no setting of flowbot{hint}"))

    def dotenv(self) -> dict[str, str]:
        path = self.directory / ".env"
        if not path.is_file():
            return {}
        from dotenv import dotenv_values  # here, as most deployments have no such file

        try:
            return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
        except (OSError, UnicodeDecodeError):
            self.wrong(".env", "cannot be read")
            return {}

    def secrets_directory(self, name: str | None) -> dict[str, str]:
        path = self.directory / (name or SECRETS_DIR)
        found: dict[str, str] = {}
        if not path.is_dir():
            if name:
                self.wrong("SECRETS_DIR", f"{name} is not a directory")
            return found
        for file in sorted(path.iterdir()):
            variable = file.name.upper()
            if file.is_file() and (variable in _DEFAULTS or _PROJECT.fullmatch(variable)):
                try:
                    found[variable] = file.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError):
                    self.wrong(variable, f"the file {file} cannot be read")
        return _named(found)

    def wrong(self, where: str, what: str) -> None:
        self.problems.append(Problem(where=where, what=what))

    def value(self, name: str) -> str:
        return self.given.get(name, _DEFAULTS[name])

    def secret(self, name: str, *, spaces: bool = False) -> SecretStr | None:
        text = self.given.get(name)
        if text is not None and not re.fullmatch(r"[\x20-\x7e]+" if spaces else r"[\x21-\x7e]+", text):
            self.wrong(name, f"must be one {'line' if spaces else 'word'} of plain ASCII")
        return None if text is None else SecretStr(text)

    def policy(self) -> policy_file.Loaded:
        name = self.value("FLOWBOT_CONFIG")
        try:
            data = (self.directory / name).read_bytes()
        except OSError as error:
            self.wrong("FLOWBOT_CONFIG", f"{name} cannot be read: {error.strerror}")
            return policy_file.Loaded(policy=None)
        return policy_file.load(data, name=name)

    def slack(self) -> dict[str, Any]:
        token, signing = self.secret("SLACK_BOT_TOKEN"), self.secret("SLACK_SIGNING_SECRET")
        if token is None:
            self.wrong("SLACK_BOT_TOKEN", "is missing")
        app_token = self.secret("SLACK_APP_TOKEN")
        if app_token is None and signing is None:
            self.wrong("SLACK_SIGNING_SECRET", "is missing")
        url = self.value("SLACK_API_URL")
        if fault := policy_keys.url_fault(url, path_allowed=True):
            self.wrong("SLACK_API_URL", fault)
        return {
            "slack_bot_token": token,
            "slack_signing_secret": signing,
            "slack_app_token": app_token,
            "slack_api_url": url.rstrip("/") + "/",
        }

    def cloud(self, projects: tuple[str, ...]) -> dict[str, Any]:
        token = self.secret("HUAWEICLOUD_SDK_SECURITY_TOKEN")
        shared, user = self.pair(*_KEYS, token), None
        own = self.own(projects)
        lacking = [name for name in projects if policy_file.plain(name) not in own]
        iam = [name for name in (*_USER, _IAM) if name in self.given]
        if self.given.keys() & set(_KEYS):
            if iam:
                self.warnings.append(Problem(where=iam[0], what=f"is not used: {' and '.join(_KEYS)} come first"))
        else:
            if token is not None:
                self.wrong("HUAWEICLOUD_SDK_SECURITY_TOKEN", f"goes with {' and '.join(_KEYS)}")
            if iam:
                user = self.user(iam[0])
            elif lacking or not (projects or own):
                self.no_keys(lacking)
        kept = {name: own.get(policy_file.plain(name)) for name in projects}
        return {
            "credentials": shared,
            "iam_user": user,
            "project_credentials": {name: found for name, found in kept.items() if found is not None},
        }

    def own(self, projects: tuple[str, ...]) -> dict[str, Credentials | None]:
        """Read the keys of single projects, by the plain form of their names; None where half of a pair is missing."""
        own: dict[str, Credentials | None] = {}
        for stem in dict.fromkeys(name[:-4] for name in sorted(self.given) if _PROJECT.fullmatch(name)):
            name = policy_file.plain(stem.removeprefix("FLOWBOT_PROJECTS__"))
            own[name] = self.pair(f"{stem}__AK", f"{stem}__SK")
            if projects and name not in map(policy_file.plain, projects):
                given = next(f"{stem}__{part}" for part in ("AK", "SK") if f"{stem}__{part}" in self.given)
                self.wrong(given, f"no project has this name; there are {', '.join(projects)}")
        return own

    def pair(self, ak_name: str, sk_name: str, token: SecretStr | None = None) -> Credentials | None:
        ak, sk = self.secret(ak_name), self.secret(sk_name)
        if ak is not None and sk is not None:
            return Credentials(ak, sk, token)
        for missing, other in ((ak_name, sk_name), (sk_name, ak_name)):
            if other in self.given and missing not in self.given:
                self.wrong(missing, f"is missing: {other} is set")
        return None

    def user(self, given: str) -> IamUser | None:
        for missing in (name for name in _USER if name not in self.given):
            self.wrong(missing, f"is missing: {given} is set")
        name, domain = (self.line(each) for each in (_USER[0], _USER[2]))
        password, endpoint = self.secret(_USER[1], spaces=True), self.given.get(_IAM)
        if endpoint is not None and (fault := policy_keys.url_fault(endpoint, path_allowed=False)):
            self.wrong(_IAM, fault)
        if name is None or password is None or domain is None:
            return None
        return IamUser(name, password, domain, endpoint and endpoint.rstrip("/"))

    def line(self, name: str) -> str | None:
        text = self.given.get(name)
        if text is not None and not text.isprintable():
            self.wrong(name, "must be one line of printable text")
        return text

    def no_keys(self, lacking: list[str]) -> None:
        names = ", ".join(lacking)
        stems = [f"FLOWBOT_PROJECTS__{policy_file.plain(name).upper()}" for name in lacking]
        own = f" for {names} (or set {', '.join(f'{stem}__AK and {stem}__SK' for stem in stems)})" if lacking else ""
        self.wrong(", ".join(_KEYS), f"are missing{own}")

    def process(self) -> dict[str, Any]:
        port, form, level = self.value("PORT"), self.given.get("FLOWBOT_LOG_FORMAT"), self.value("FLOWBOT_LOG_LEVEL")
        if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            self.wrong("PORT", "must be a number from 1 to 65535, or 0 for any free port")
        if form is not None and form.lower() not in get_args(LogFormat):
            self.wrong("FLOWBOT_LOG_FORMAT", f"must be {' or '.join(get_args(LogFormat))}")
        if level.lower() not in get_args(LogLevel):
            self.wrong("FLOWBOT_LOG_LEVEL", f"must be one of {', '.join(get_args(LogLevel))}")
        return {
            "database_url": self.database_url(),
            "host": self.value("HOST"),
            "port": int(port) if port.isdecimal() else None,
            "log_format": form and form.lower(),
            "log_level": level.lower(),
            "config": pathlib.Path(self.value("FLOWBOT_CONFIG")),
        }

    def database_url(self) -> str:
        url = self.value("DATABASE_URL")
        scheme, _, rest = url.partition("://")
        server, file = scheme in ("postgres", "postgresql"), scheme == "sqlite"
        if not (server and rest) and not (file and re.fullmatch(r"/[^:?#][^?#]*", rest)):
            self.wrong("DATABASE_URL", "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
        return url


def _named(values: Mapping[str, str]) -> dict[str, str]:
    """Drop what is blank, and write the variables of single projects in one way."""
    named = {}
    for name, value in values.items():
        if value.strip():
            own = _PROJECT.fullmatch(name)
            named[name.upper().replace("-", "_") if own else name] = value.strip()
    return named
