"""Parsing `DATABASE_URL`."""

import pathlib

import pytest

from bot.store.engines import database_url
from bot.usecases import errors


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sqlite:///flowbot.db", "sqlite+pysqlite:///flowbot.db"),
        ("sqlite:////var/lib/flowbot.db", "sqlite+pysqlite:////var/lib/flowbot.db"),
        ("postgres://u:p@h:5432/d", "postgresql+asyncpg://u:p@h:5432/d"),
        ("postgresql://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql://u:p,q@h/d", "postgresql+asyncpg://u:p%2Cq@h/d"),
    ],
)
def test_a_url_gets_its_asynchronous_driver(text: str, meant: str) -> None:
    assert database_url.parse(text).render_as_string(hide_password=False) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a URL"),
        ("flowbot.db", "is not a URL"),
        ("postgres://u:hunter2@h:port/d", "is not a URL"),
        ("mysql://u:hunter2@h/d", "must begin with"),
        ("sqlite+pysqlite:///a.db", "must begin with"),
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:a.db?uri=true", "must name a file"),
        ("sqlite://hunter2/a.db", "must name a file"),
        ("postgres://u:hunter2@h/d?sslmode=hunter2", "sslmode of DATABASE_URL must be one of: disable, allow"),
        ("postgres://u:hunter2@h:1,i:2/d", "must name one host"),
        ("postgres://u:hunter2@h,i/d", "must name one host"),
        ("postgres://u:hunter2@/d?host=h,i", "must name one host"),
        ("postgres://u:hunter2@/d?host=h&host=i", "must name one host"),
        ("postgres://u:hunter2@h/d?hunter2=1", "a parameter that is not one of: application_name, dbname"),
    ],
)
def test_another_url_is_refused_without_showing_it(text: str, words: str) -> None:
    with pytest.raises(errors.StoreError, match=words) as caught:
        database_url.parse(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("postgres://u:p%40ss@h:5432/d", "postgresql://u:p%40ss@h:5432/d?application_name=flowbot"),
        (
            "postgresql://h/d?sslmode=require&channel_binding=require&application_name=x",
            "postgresql://h/d?application_name=x&sslmode=require",
        ),
        ("postgres:///d?host=/run/postgresql", "postgresql:///d?application_name=flowbot&host=%2Frun%2Fpostgresql"),
    ],
)
def test_a_server_is_addressed_in_libpqs_words(text: str, address: str) -> None:
    assert database_url.dsn(database_url.parse(text)) == address


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgres://u:p%40ss@h/d?sslpassword=key", ("p@ss", "key")),
        ("postgres://u@h/d?password=word", ("word",)),
        ("postgres://u:hunter2@h:port/d", ("postgres://u:hunter2@h:port/d",)),
        ("sqlite:///a.db", ()),
    ],
)
def test_the_passwords_of_a_url_are_known_to_whoever_hides_them(text: str, hidden: tuple[str, ...]) -> None:
    assert database_url.passwords(text) == hidden


def test_a_relative_file_is_in_the_working_directory() -> None:
    assert database_url.sqlite_file(database_url.parse("sqlite:///a.db")) == pathlib.Path.cwd() / "a.db"
    assert database_url.sqlite_file(database_url.parse("sqlite:////a.db")) == pathlib.Path("/a.db")
    assert database_url.sqlite_file(database_url.parse("postgres://h/d")) is None
