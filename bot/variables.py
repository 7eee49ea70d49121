"""Every variable of the environment: its name, what it means, and what holds where it is not set.

README's table and `.env.example` are made of it. It must not know how a value is read or checked: that is `settings`.
"""

import dataclasses
from typing import Final

SLACK_API_URL: Final = "https://slack.com/api/"
SECRETS_DIR: Final = "/run/secrets"  # where Docker and Podman mount them; used if it is there


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

DEFAULTS: Final = {variable.name: variable.default for variable in VARIABLES}


def env_example() -> str:
    """Compose `.env.example`."""
    lines = ["# Copy this to .env and fill it in. A line that starts with # is not read."]
    for variable in VARIABLES:
        name = variable.name.replace("<NAME>", "HK")
        lines += ["", f"# {variable.meaning}", f"#{name}={variable.default}"]
    return "\n".join(lines) + "\n"
