"""Every environment variable: its name, meaning, default and allowed values.

README's table and `.env.example` are generated from it. It must not know where values come from, nor which of them
belong together: that is in `loader`.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

import pydantic
from pydantic import BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from bot.policy.file import keys as file_keys

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]

PROJECT: Final = re.compile(r"FLOWBOT_PROJECTS__(?P<name>.+)__(?P<key>AK|SK)", re.IGNORECASE)
"""The names of one project's variables; the project's name may contain the delimiter too."""


def _match(text: str, pattern: str, what: str) -> str:
    if not re.fullmatch(pattern, text):
        raise file_keys.wrong(what)
    return text


def _word(text: str) -> str:
    return _match(text, r"[\x21-\x7e]+", "must be one word of plain ASCII")


def _line(text: str) -> str:
    return _match(text, r"[\x20-\x7e]+", "must be one line of plain ASCII")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise file_keys.wrong("must be one line of printable text")
    return text


def _host_url(url: str) -> str:
    if fault := file_keys.url_fault(url, path_allowed=False):
        raise file_keys.wrong(fault)
    return url.rstrip("/")


def _base_url(url: str) -> str:
    if fault := file_keys.url_fault(url, path_allowed=True):
        raise file_keys.wrong(fault)
    return url.rstrip("/") + "/"


def _database_url(url: str) -> str:
    return _match(
        url,
        r"(?s)postgres(ql)?://.+|sqlite:///[^:?#][^?#]*",
        "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    )


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise file_keys.wrong("must be a number from 1 to 65535, or 0 for any free port")
    return int(text)


def _log_format(text: str) -> str:
    if text.lower() not in get_args(LogFormat):
        raise file_keys.wrong(f"must be {' or '.join(get_args(LogFormat))}")
    return text.lower()


def _log_level(text: str) -> str:
    if text.lower() not in get_args(LogLevel):
        raise file_keys.wrong(f"must be one of {', '.join(get_args(LogLevel))}")
    return text.lower()


SecretWord = Annotated[SecretStr, BeforeValidator(_word)]
Word = Annotated[str, BeforeValidator(_word)]
SecretLine = Annotated[SecretStr, BeforeValidator(_line)]
Printable = Annotated[str, BeforeValidator(_printable)]
HostUrl = Annotated[str, BeforeValidator(_host_url)]
BaseUrl = Annotated[str, BeforeValidator(_base_url)]
DatabaseUrl = Annotated[str, BeforeValidator(_database_url)]
Port = Annotated[int, BeforeValidator(_port)]


class ProjectKeys(pydantic.BaseModel):
    """The keys of one project."""

    model_config = pydantic.ConfigDict(frozen=True, hide_input_in_errors=True)

    ak: SecretWord | None = Field(None, alias="AK", description="access key of one project, if it has its own")
    sk: SecretWord | None = Field(None, alias="SK", description="its secret key")


class Variables(BaseSettings):
    """The values of the variables, each checked by itself; `projects` is keyed by the name in the variable."""

    model_config = SettingsConfigDict(
        case_sensitive=True, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=False
    )

    slack_bot_token: SecretWord | None = Field(
        None, alias="SLACK_BOT_TOKEN", description="bot token (xoxb-…); required"
    )
    slack_signing_secret: SecretWord | None = Field(
        None,
        alias="SLACK_SIGNING_SECRET",
        description="the secret that Slack signs its requests with; required without SLACK_APP_TOKEN",
    )
    slack_app_token: SecretWord | None = Field(
        None, alias="SLACK_APP_TOKEN", description="app-level token (xapp-…); selects Socket Mode"
    )
    slack_api_url: BaseUrl = Field(
        "https://slack.com/api/", alias="SLACK_API_URL", description="Slack's Web API; plain http for loopback only"
    )
    ak: SecretWord | None = Field(None, alias="HUAWEICLOUD_SDK_AK", description="access key of Huawei Cloud")
    sk: SecretWord | None = Field(None, alias="HUAWEICLOUD_SDK_SK", description="its secret key")
    security_token: SecretWord | None = Field(
        None, alias="HUAWEICLOUD_SDK_SECURITY_TOKEN", description="security token of a temporary key"
    )
    iam_user: Printable | None = Field(
        None,
        alias="HUAWEICLOUD_IAM_USER",
        description="IAM user, for tokens instead of keys; used if no AK is set",
    )
    iam_password: SecretLine | None = Field(
        None, alias="HUAWEICLOUD_IAM_PASSWORD", description="the IAM user's password"
    )
    iam_domain: Printable | None = Field(
        None, alias="HUAWEICLOUD_IAM_DOMAIN", description="the account that the IAM user belongs to"
    )
    iam_endpoint: HostUrl | None = Field(
        None,
        alias="HUAWEICLOUD_IAM_ENDPOINT",
        description="IAM endpoint that issues tokens; by default in the project's region",
    )
    projects: dict[str, ProjectKeys] = Field({}, alias="FLOWBOT_PROJECTS")
    config: pathlib.Path = Field(pathlib.Path("flowbot.toml"), alias="FLOWBOT_CONFIG", description="the policy file")
    database_url: DatabaseUrl = Field(
        "sqlite:///flowbot.db",
        alias="DATABASE_URL",
        description="where requests and the audit are stored",
        repr=False,  # it may contain a password
    )
    host: Word = Field("127.0.0.1", alias="HOST", description="address to listen on")
    port: Port = Field(3000, alias="PORT", description="port to listen on; 0 takes any free one")
    log_format: Annotated[LogFormat, BeforeValidator(_log_format)] | None = Field(
        None, alias="FLOWBOT_LOG_FORMAT", description="json or console; by default console on a terminal, else json"
    )
    log_level: Annotated[LogLevel, BeforeValidator(_log_level)] = Field(
        "info", alias="FLOWBOT_LOG_LEVEL", description="debug, info, warning, error or critical"
    )
    secrets_dir: pathlib.Path = Field(
        pathlib.Path("/run/secrets"),  # where Docker and Podman mount them; used if it exists
        alias="SECRETS_DIR",
        description="directory with one file for each secret, named like the variable",
    )


class Source(EnvSettingsSource):
    """Variables from all places, already read, so that each place reports its own errors.

    The sources of pydantic-settings would expand `${…}` inside a secret of `.env`, stop at the first file of the
    secrets directory that is not text, silently skip links that lead out of it, and split `A__B__AK` in the wrong
    place.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if is_known(name)}
        super().__init__(Variables)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._values

    def explode_env_vars(self, field_name: str, field: FieldInfo, env_vars: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the keys of each project; the last delimiter ends its name."""
        found: dict[str, Any] = {}
        for variable, value in env_vars.items():
            if own := PROJECT.fullmatch(variable):
                found.setdefault(own["name"], {})[own["key"]] = value
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variable:
    """One environment variable, as described in README and `.env.example`."""

    name: str
    meaning: str
    default: str = ""


def _tell(field: FieldInfo, *, prefix: str = "") -> Variable:
    default = "" if field.default is None else str(field.default)
    return Variable(name=f"{prefix}{field.alias}", meaning=field.description or "", default=default)


_OWN: Final = tuple(_tell(field, prefix="FLOWBOT_PROJECTS__<NAME>__") for field in ProjectKeys.model_fields.values())

VARIABLES: Final = tuple(
    variable
    for name, field in Variables.model_fields.items()
    for variable in (_OWN if name == "projects" else (_tell(field),))
)

DEFAULTS: Final = {variable.name: variable.default for variable in VARIABLES}


def is_known(name: str) -> bool:
    """Tell whether flowbot has such a variable."""
    return name in DEFAULTS or PROJECT.fullmatch(name) is not None


def position(name: str) -> int:
    """Return the position of a variable in the table, or -1 for anything else, such as a file."""
    known = _OWN[0].name if PROJECT.fullmatch(name) else name
    return list(DEFAULTS).index(known) if known in DEFAULTS else -1


def env_example() -> str:
    """Return the text of `.env.example`."""
    lines = ["# Copy this to .env and fill it in. Lines that start with # are comments."]
    for variable in VARIABLES:
        name = variable.name.replace("<NAME>", "HK")
        lines += ["", f"# {variable.meaning}", f"#{name}={variable.default}"]
    return "\n".join(lines) + "\n"
