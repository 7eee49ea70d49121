"""Reply handles: how long and how often they are used, and that they are never shown."""

import pytest
from pytest_mock import MockerFixture

from bot.slack import reply_handles
from tests.fakes import FakeClock

URL = "https://hooks.slack.com/commands/secret"


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test advances."""
    return FakeClock()


@pytest.fixture
def kept(clock: FakeClock) -> reply_handles.ReplyHandles:
    """Return the handles of one delivery."""
    known = reply_handles.ReplyHandles(clock=clock)
    known.remember("k", response_url=URL, trigger_id="1.2.abc")
    return known


def test_a_response_url_is_used_five_times(kept: reply_handles.ReplyHandles) -> None:
    assert [kept.use_response_url("k") for _ in range(6)] == [URL] * 5 + [None]


@pytest.mark.parametrize(
    ("age", "url"), [(reply_handles.RESPONSE_LIVES, URL), (reply_handles.RESPONSE_LIVES + 1, None)]
)
def test_a_response_url_is_used_for_half_an_hour(
    kept: reply_handles.ReplyHandles, clock: FakeClock, age: float, url: str | None
) -> None:
    clock.turn(age)

    assert kept.use_response_url("k") == url


@pytest.mark.parametrize(
    ("age", "trigger"), [(reply_handles.TRIGGER_LIVES, "1.2.abc"), (reply_handles.TRIGGER_LIVES + 0.1, None)]
)
def test_a_trigger_is_used_while_slack_accepts_it(
    kept: reply_handles.ReplyHandles, clock: FakeClock, age: float, trigger: str | None
) -> None:
    clock.turn(age)

    assert kept.take_trigger("k") == trigger


def test_a_trigger_is_used_once(kept: reply_handles.ReplyHandles) -> None:
    assert [kept.take_trigger("k"), kept.take_trigger("k")] == ["1.2.abc", None]


def test_an_unknown_key_has_no_reply_handle(kept: reply_handles.ReplyHandles) -> None:
    kept.remember("bare", response_url=None, trigger_id=None)

    assert (kept.use_response_url("no"), kept.take_trigger("no")) == (None, None)
    assert (kept.use_response_url("bare"), kept.take_trigger("bare")) == (None, None)


def test_the_oldest_are_forgotten_when_there_are_too_many(
    mocker: MockerFixture,
) -> None:
    mocker.patch.object(reply_handles, "REMEMBERED", 2)
    kept = reply_handles.ReplyHandles(clock=FakeClock())
    for key in ("k", "k2", "k3"):
        kept.remember(key, response_url=URL, trigger_id=None)

    assert [kept.use_response_url(key) for key in ("k", "k2", "k3")] == [None, URL, URL]


def test_a_way_back_does_not_print() -> None:
    shown = repr(reply_handles.ReplyHandle(at=1.0, response_url=URL, trigger_id="1.2.abc"))

    assert "hooks" not in shown
    assert "abc" not in shown
