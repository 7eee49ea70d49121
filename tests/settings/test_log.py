"""Logging: no secret appears in the output, however it is logged, at debug level."""

import collections.abc
import json
import logging
import os
import subprocess
import sys
import urllib.parse
from typing import Any

import httpx
import hypothesis
import pytest
import structlog
from hypothesis import strategies as st
from pytest_mock import MockerFixture
from slack_bolt.async_app import AsyncApp

from bot.settings import log

SECRET = 's3cr3t/with "quotes", ünïcode & co'
KEY = "AKIDEXAMPLE0123456789"
PIN = "ab12"
SECRETS = [SECRET, KEY, PIN, ""]

SHAPED = [
    "xoxb-123-abc.def",
    "xoxe.xoxp-1-Mi0yLTE",
    "xapp-1-A0-99-f00d",
    "https://hooks.slack.com/commands/T0HOOK/22/s3kr1t",
    "https:\\/\\/hooks.slack.com\\/actions\\/T0HOOK\\/22\\/s3kr1t",
    "response_url=https%3A%2F%2Fhooks.slack.com%2Factions%2FT0HOOK%2F22%2Fs3kr1t&x=1",
    "response_url=http://127.0.0.1:9/s3kr1t",
    "13345224609.738474920.8088930838d88f008e0",
    "trigger_id=1.2.s3kr1t&x=1",
    "Authorization: SDK-HMAC-SHA256 Access=s3kr1t, Signature=s3kr1t",
    "x-auth-token: s3kr1t s3kr1t",
    "X-Security-Token = s3kr1t",
    "{'Authorization': 'Bearer s3kr1t, \\'s3kr1t'}",
    '{"X-Auth-Token": "s3kr1t \\" s3kr1t"}',
    '"{\\"x-security-token\\": \\"s3kr1t\\", \\"a\\": 1}"',
    "[(b'authorization', b's3kr1t')]",
    "{'token': 's3kr1t', 'response_url': 'http://127.0.0.1/s3kr1t'}",
    "{'trigger_id': 's3kr1t",
]
LEAKS = ["s3cr3t", KEY, "s3kr1t", "xoxb", "xoxp", "Mi0yLTE", "f00d", "T0HOOK", "8088930838d88f008e0"]


@pytest.fixture(autouse=True)
def _logging_as_before() -> collections.abc.Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    for library in log.FLOORS:
        logging.getLogger(library).setLevel(logging.NOTSET)
    structlog.configure(**before)


@pytest.fixture(params=["json", "console"])
def fmt(request: pytest.FixtureRequest) -> log.Format:
    return "json" if request.param == "json" else "console"


def configured(fmt: log.Format = "json", level: str = "debug") -> None:
    log.configure(fmt=fmt, level=level, secrets=SECRETS)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def nothing_leaks(out: str) -> bool:
    return log.REDACTED in out and not any(leak in out for leak in LEAKS)


class Holder:
    """An object whose repr shows its contents."""

    def __repr__(self) -> str:
        return f"<Holder {SECRET}>"


class Mute:
    """An object whose repr raises."""

    def __repr__(self) -> str:
        raise ValueError(SECRET)

    __str__ = __repr__


def nested(value: object, *, depth: int) -> object:
    return value if depth == 0 else {"in": [nested(value, depth=depth - 1)]}


@pytest.mark.parametrize("secret", [SECRET, f"before {SECRET} after", KEY, *SHAPED])
def test_a_secret_is_cut_out_of_every_part_of_our_own_events(
    secret: str, fmt: log.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(fmt)
    logger = structlog.stdlib.get_logger("bot.test")
    logger.debug(secret)
    logger.info("event", value=secret, nested={"list": [1, {"tuple": (secret, 2, 3)}]}, keys={secret: 1})
    logger.info("event", raw=secret.encode(), several={secret}, deep=nested(secret, depth=20), error=ValueError(secret))
    logger.info("percent %s", secret)
    with structlog.contextvars.bound_contextvars(request=secret):
        logger.warning("bound")
    assert nothing_leaks(capsys.readouterr().err)


@pytest.mark.parametrize("secret", [SECRET, KEY, *SHAPED])
def test_a_secret_is_cut_out_of_every_part_of_a_librarys_record(
    secret: str, fmt: log.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(fmt)
    logger = logging.getLogger("some.library")
    logger.debug(secret)
    logger.info("%s and %r", secret, secret)
    logger.info("%(name)s", {"name": secret})
    logger.info({"body": secret})
    logger.info("with its stack %s", secret, stack_info=True)
    assert nothing_leaks(capsys.readouterr().err)


@pytest.mark.parametrize("secret", [SECRET, KEY, *SHAPED])
def test_a_secret_is_cut_out_of_exceptions_and_what_caused_them(
    secret: str, fmt: log.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(fmt)
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            error.add_note(secret)
            raise ExceptionGroup(secret, [ValueError(secret)]) from error
    except ExceptionGroup:
        structlog.stdlib.get_logger("bot.test").exception("ours")
        logging.getLogger("some.library").exception("theirs")
    out = capsys.readouterr().err
    assert out.count("Traceback") >= 4
    assert nothing_leaks(out)


def test_values_under_a_sensitive_name_are_cut_out_whatever_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    headers = {"Authorization": ["s3kr1t"], b"X-Auth-Token": b"s3kr1t", "Host": "live"}
    listed = [("x-security-token", "s3kr1t"), (b"authorization", b"s3kr1t"), ["Accept", "json"]]
    structlog.stdlib.get_logger("bot.test").info("call", headers=headers, listed=listed, trigger_id="s3kr1t")
    [line] = lines(capsys)
    assert line["headers"] == {"Authorization": log.REDACTED, "X-Auth-Token": log.REDACTED, "Host": "live"}
    assert line["listed"][:2] == [["x-security-token", log.REDACTED], ["b'authorization'", log.REDACTED]]
    assert line["listed"][2] == ["Accept", "json"]
    assert line["trigger_id"] == log.REDACTED


def test_a_secret_is_cut_out_however_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    logger = logging.getLogger("some.library")
    in_a_url = urllib.parse.quote(SECRET, safe=""), urllib.parse.quote_plus(SECRET)
    for written in (*in_a_url, json.dumps(SECRET), repr(SECRET), repr(SECRET.encode())):
        logger.info("GET /?key=%s", written)
    out = capsys.readouterr().err
    assert out.count(log.REDACTED) == 5
    assert "s3cr3t" not in out


def test_a_secret_that_only_rendering_puts_together_is_cut_out(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(fmt="json", level="info", secrets=['left", "right'])
    structlog.stdlib.get_logger("bot.test").info("event", parts=["left", "right", "end"])
    assert 'left", "right' not in capsys.readouterr().err


def test_of_two_secrets_that_begin_alike_nothing_is_left_over(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(fmt="json", level="info", secrets=["secret", "secret-and-more"])
    structlog.stdlib.get_logger("bot.test").info("it is secret-and-more.")
    [line] = lines(capsys)
    assert line["event"] == f"it is {log.REDACTED}."


def test_recursive_values_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    endless: dict[str, object] = {"password": "s3kr1t"}
    endless["list"], endless["self"] = [endless, 2, 3], endless
    structlog.stdlib.get_logger("bot.test").info("event", endless=endless)
    assert nothing_leaks(capsys.readouterr().err)


def test_objects_are_shown_without_the_secrets_they_hold(fmt: log.Format, capsys: pytest.CaptureFixture[str]) -> None:
    configured(fmt)
    structlog.stdlib.get_logger("bot.test").info("event", holder=Holder(), held=[Holder()])
    logging.getLogger("some.library").info("%s", Holder())
    out = capsys.readouterr().err
    assert out.count(f"<Holder {log.REDACTED}>") == 3
    assert nothing_leaks(out)


def test_a_short_secret_is_cut_out_as_a_whole_value_only(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    structlog.stdlib.get_logger("bot.test").info("event", pin=PIN, of=[PIN], text=f"x{PIN}x")
    logging.getLogger("some.library").info("pin %s, number %d", PIN, 7)
    logging.getLogger("some.library").info("pin %(pin)s", {"pin": PIN})
    ours, theirs, named = lines(capsys)
    assert (ours["pin"], ours["of"], ours["text"]) == (log.REDACTED, [log.REDACTED], f"x{PIN}x")
    assert theirs["event"] == f"pin {log.REDACTED}, number 7"
    assert named["event"] == f"pin {log.REDACTED}"


def test_numbers_that_are_a_secret_are_cut_out_and_others_stay_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(fmt="json", level="info", secrets=["12345678"])
    structlog.stdlib.get_logger("bot.test").info("event", a=12345678, b=7, c=1.5, d=None, e=True)
    [line] = lines(capsys)
    assert [line[key] for key in "abcde"] == [log.REDACTED, 7, 1.5, None, True]


def test_a_record_that_cannot_be_logged_tells_nothing_of_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    logging.getLogger("some.library").info("%d", SECRET)
    structlog.stdlib.get_logger("bot.test").info("event", mute=Mute())
    out = capsys.readouterr().err
    assert [line.rpartition(": ")[2] for line in out.splitlines()] == ["TypeError", "ValueError"]
    assert "a record of some.library, line " in out
    assert "s3cr3t" not in out


def test_a_closed_stderr_is_survived(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    [handler] = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    with open(os.devnull, "w", encoding="utf-8") as stream:
        handler.setStream(stream)
    logging.getLogger("some.library").info("into the void")
    assert capsys.readouterr().err == ""


def test_a_line_of_json_says_who_when_how_loud_and_for_which_request(capsys: pytest.CaptureFixture[str]) -> None:
    configured(level="INFO")
    with structlog.contextvars.bound_contextvars(request_id="R1"):
        structlog.stdlib.get_logger("bot.test").info("asked", flow="main-feed")
        logging.getLogger("uvicorn.error").warning("slow %s", "client")
    ours, theirs = lines(capsys)
    assert str(ours.pop("timestamp")).endswith("Z")
    assert ours == {"event": "asked", "flow": "main-feed", "level": "info", "logger": "bot.test", "request_id": "R1"}
    assert theirs["event"] == "slow client"
    assert (theirs["logger"], theirs["level"], theirs["request_id"]) == ("uvicorn.error", "warning", "R1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/s3kr1t", "https://hooks.slack.com/a/b"])
def test_a_redacted_line_of_json_is_still_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    structlog.stdlib.get_logger("bot.test").info(f"Authorization: {url}", after=1, response_url=url)
    [line] = lines(capsys)
    assert line["after"] == 1


def test_what_is_below_the_level_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    configured(level="warning")
    structlog.stdlib.get_logger("bot.test").info("ours")
    logging.getLogger("some.library").info("theirs")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("library", "floor"), log.FLOORS.items())
def test_a_library_is_held_to_its_floor_even_where_its_loggers_have_a_level_of_their_own(
    library: str, floor: int, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    logger = logging.getLogger(f"{library}.Talkative")
    logger.setLevel(logging.DEBUG)
    logger.log(floor - 1, "a whole body")
    logger.log(floor, "an important thing")
    assert not logging.getLogger(f"{library}.other").isEnabledFor(floor - 1)
    assert [line["event"] for line in lines(capsys)] == ["an important thing"]


def test_the_logger_of_a_bolt_app_made_afterwards_is_held_to_its_floor(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    app = AsyncApp(token="xoxb-1", signing_secret="s3kr1t")
    assert app.logger.isEnabledFor(logging.DEBUG)
    app.logger.warning("body: %s", "a whole body")
    assert capsys.readouterr().err == ""


async def test_a_call_by_httpx_leaves_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get("https://live.example/s3kr1t")
    assert capsys.readouterr().err == ""


def test_handlers_of_others_are_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("with.its.own.way.out")
    logger.addHandler(logging.StreamHandler())
    logger.propagate = False
    configured()
    logger.warning(SECRET)
    [line] = lines(capsys)
    assert line["event"] == log.REDACTED


def test_configuring_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    configured("console")
    configured("json")
    structlog.stdlib.get_logger("bot.test").info("once")
    assert [line["event"] for line in lines(capsys)] == ["once"]


def test_an_exception_that_nobody_catches_is_logged_without_secrets() -> None:
    configure = f"from bot.settings import log\nlog.configure(fmt='json', level='info', secrets=[{SECRET!r}])"
    program = f"{configure}\nraise ValueError({SECRET!r})\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert json.loads(line)["event"] == "uncaught"
    assert f"ValueError: {log.REDACTED}" in json.loads(line)["exception"]


def test_only_a_keyboard_interrupt_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    sys.excepthook(ValueError, ValueError(SECRET), None)
    [line] = lines(capsys)
    assert line["exception"] == f"ValueError: {log.REDACTED}"


def test_importing_does_nothing() -> None:
    program = (
        "import logging, sys\nbefore = sys.excepthook\nfrom bot.settings import log\n"
        "assert sys.excepthook is before and not logging.getLogger().handlers\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603


JSONLIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)


@hypothesis.given(st.text(min_size=6, max_size=30), JSONLIKE, st.text(max_size=9))
def test_law_no_given_secret_is_in_a_redacted_value(secret: str, value: object, around: str) -> None:
    redaction = log.Redaction([secret])
    hypothesis.assume(secret not in log.REDACTED and log.REDACTED not in secret)
    redacted = redaction.value({"known": value, "it": [around + secret + around, {secret: (secret, 1, 2)}]})
    assert isinstance(redacted, dict)
    assert secret not in str(redacted["it"][0]).replace(log.REDACTED, "\n\n\n\n\n\n")
    assert list(redacted["it"][1].items()) == [(log.REDACTED, [log.REDACTED, 1, 2])]


@hypothesis.given(JSONLIKE)
def test_law_what_holds_no_secret_stays_as_it_is(value: object) -> None:
    redaction = log.Redaction(["a secret of more than thirty letters"])
    hypothesis.assume(not any(word in repr(value).lower() for word in ("token", "cookie", "password")))
    assert redaction.value({"known": value}) == {"known": _shown(value)}


def _shown(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return repr(value) if isinstance(value, bytes) else value


def test_of_many_like_lines_one_passes_in_a_while() -> None:
    throttle = log.Throttle(every=60)
    passed = [
        throttle.passes(kind, now=now) for now, kind in ((0, "a"), (1, "a"), (2, "b"), (59, "a"), (60, "a"), (61, "a"))
    ]
    assert passed == [0, None, 0, None, 2, None]


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    throttle = log.Throttle(every=60)
    assert [throttle.passes("a", now=now) for now in (1000, 5, 6)] == [0, 0, None]


def test_a_secret_that_is_learned_later_is_cut_out_from_then_on(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    log.hide_secrets(["renewed-s3cr3t/+", ""])
    structlog.get_logger().info("the key is renewed-s3cr3t/+", quoted="renewed-s3cr3t%2F%2B", first=SECRETS[0])

    out = capsys.readouterr().err
    assert "renewed" not in out
    assert nothing_leaks(out)


def test_secrets_that_are_renewed_for_ever_take_no_memory_for_ever() -> None:
    redaction = log.Redaction(["the first secret"])
    redaction.learn(["token-number-00000"])
    redaction.learn(f"token-number-{number:05}" for number in range(1, log.LEARNED + 1))

    assert redaction.text("the first secret") == redaction.text("token-number-00001") == log.REDACTED
    assert redaction.text("token-number-00000") == "token-number-00000"


def test_hiding_secrets_before_the_log_is_configured_does_nothing(mocker: MockerFixture) -> None:
    mocker.patch.object(log, "_in_force", None)
    log.hide_secrets(["a secret of nobody"])
