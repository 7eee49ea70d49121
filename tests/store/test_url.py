"""What `DATABASE_URL` means."""

import pathlib

import pytest

from bot import errors
from bot.store import url as urls


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sqlite:///flowbot.db", "sqlite+aiosqlite:///flowbot.db"),
        ("sqlite:////var/lib/flowbot.db", "sqlite+aiosqlite:////var/lib/flowbot.db"),
        ("postgres://u:p@h:5432/d", "postgresql+asyncpg://u:p@h:5432/d"),
        ("postgresql://h/d", "postgresql+asyncpg://h/d"),
    ],
)
def test_a_url_gets_its_asynchronous_driver(text: str, meant: str) -> None:
    assert urls.parse(text).render_as_string(hide_password=False) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a URL"),
        ("flowbot.db", "is not a URL"),
        ("postgres://u:hunter2@h:port/d", "is not a URL"),
        ("mysql://u:hunter2@h/d", "must begin with"),
        ("sqlite+aiosqlite:///a.db", "must begin with"),
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:a.db?uri=true", "must name a file"),
        ("sqlite://hunter2/a.db", "must name a file"),
    ],
)
def test_another_url_is_refused_without_showing_it(text: str, words: str) -> None:
    with pytest.raises(errors.StoreError, match=words) as caught:
        urls.parse(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_relative_file_is_in_the_working_directory() -> None:
    assert urls.sqlite_file(urls.parse("sqlite:///a.db")) == pathlib.Path.cwd() / "a.db"
    assert urls.sqlite_file(urls.parse("sqlite:////a.db")) == pathlib.Path("/a.db")
    assert urls.sqlite_file(urls.parse("postgres://h/d")) is None
