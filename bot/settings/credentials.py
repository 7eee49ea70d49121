"""What calls to a project are made with: an access key, or an IAM user. No text that shows one has a secret in it."""

import dataclasses
from typing import TypeAlias

from pydantic import SecretStr


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccessKey:
    """An access key: `ak` names it, `sk` signs; a temporary key has a `security_token`. Its repr shows none of them."""

    ak: SecretStr
    sk: SecretStr
    security_token: SecretStr | None = None

    def secrets(self) -> tuple[str, ...]:
        """Return every value that must never be shown."""
        held = (self.ak, self.sk, self.security_token)
        return tuple(secret.get_secret_value() for secret in held if secret is not None and secret.get_secret_value())


@dataclasses.dataclass(frozen=True, kw_only=True)
class IamUser:
    """An IAM user, whom IAM gives tokens: at `endpoint`, or in the project's own region. Its repr shows no password."""

    name: str
    password: SecretStr
    domain: str
    endpoint: str | None = None

    def secrets(self) -> tuple[str, ...]:
        """Return every value that must never be shown."""
        return (self.password.get_secret_value(),)


Credentials: TypeAlias = AccessKey | IamUser
"""What calls to a project are made with."""
