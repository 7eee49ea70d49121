"""How a finding is printed."""

import json

from bot.serve.doctor import findings
from bot.settings.log import Redaction

FAILED = findings.fail("channel C0X", "the bot is not in #x", "Type /invite @flowbot in #x.")


def test_a_finding_is_one_line_with_its_remedy() -> None:
    assert findings.line(FAILED) == "fail  channel C0X: the bot is not in #x → Type /invite @flowbot in #x."
    assert findings.line(findings.ok("clock", "agrees with Slack's")) == "ok    clock: agrees with Slack's"


def test_a_finding_is_one_object_of_json_with_the_same_keys_always() -> None:
    assert json.loads(findings.json_line(FAILED)) == {
        "name": "channel C0X",
        "status": "fail",
        "found": "the bot is not in #x",
        "remedy": "Type /invite @flowbot in #x.",
    }
    assert json.loads(findings.json_line(findings.ok("a", "b"))) == {
        "name": "a",
        "status": "ok",
        "found": "b",
        "remedy": "",
    }
    assert "\n" not in findings.json_line(findings.ok("a", "b\nc"))


def test_only_a_failure_fails() -> None:
    warned = findings.warn("a", "b", "c")

    assert not findings.has_failed((findings.ok("a", "b"), warned))
    assert findings.has_failed((warned, FAILED))


def test_secrets_are_cut_out_of_every_text() -> None:
    told = findings.fail("a known-to-nobody", "b known-to-nobody", "c known-to-nobody")

    (cut,) = findings.redacted((told,), Redaction(("known-to-nobody",)).text)

    assert "known-to-nobody" not in findings.json_line(cut)
    assert cut.status is findings.Severity.FAIL
