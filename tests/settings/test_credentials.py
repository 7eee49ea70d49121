"""Credentials: what they know to be secret, and that nothing prints it."""

import pytest
from pydantic import SecretStr

from bot.settings.credentials import AccessKey, Credentials, IamUser

KEY = AccessKey(ak=SecretStr("the-ak"), sk=SecretStr("the-sk"), security_token=SecretStr("the-token"))
USER = IamUser(name="bot", password=SecretStr("s3cr3t"), domain="account")


@pytest.mark.parametrize(("held", "secrets"), [(KEY, ("the-ak", "the-sk", "the-token")), (USER, ("s3cr3t",))])
def test_credentials_never_print_their_secrets(held: Credentials, secrets: tuple[str, ...]) -> None:
    assert held.secrets() == secrets
    for text in (repr(held), str(held), f"{held}"):
        assert not any(secret in text for secret in secrets)


def test_what_is_missing_is_no_secret() -> None:
    assert AccessKey(ak=SecretStr("the-ak"), sk=SecretStr("")).secrets() == ("the-ak",)
