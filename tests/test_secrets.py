"""Promise 9: a whole conversation at log level debug, with all that can go wrong, and no secret anywhere after it."""

import asyncio
import json
import pathlib
import re
from urllib.parse import parse_qs

import aiohttp
import pytest

from bot.playground import world
from bot.playground.live import server as live_server
from bot.playground.live.errors import Trouble, failing
from bot.playground.slack import transcript
from bot.playground.slack.acks import Ack
from bot.playground.slack.records import PostedMessage
from bot.serve.doctor import delivery, examination, findings
from bot.settings import loader
from tests.test_crash import DEADLINE, HERE, Child, open_child

SECURITY_TOKEN = "st-known-to-nobody-0123456789"


def grants(ack: Ack) -> set[str]:
    """Return the ways back that a delivery carried."""
    assert ack.sent is not None
    fields = {name: values[0] for name, values in parse_qs(ack.sent.body.decode()).items()}
    carried = json.loads(fields["payload"]) if "payload" in fields else fields
    found = {carried.get("response_url"), carried.get("trigger_id")}
    signature = ack.sent.headers["X-Slack-Signature"]
    return {str(one) for one in found if one} | {signature}


def on_disk(directory: pathlib.Path) -> str:
    """Return the bytes of the database and of what SQLite keeps beside it."""
    return b"".join(file.read_bytes() for file in directory.glob("flowbot.db*")).decode("latin-1")


class Conversation:
    """What is said and done, and the ways back that were handed out."""

    def __init__(self, child: Child) -> None:
        self.child, self.slack, self.live = child, child.world.slack, child.world.live
        self.grants: set[str] = set()

    async def types(self, user: str, text: str) -> Ack:
        """Type a command."""
        ack = await self.slack.people.command(user, HERE, text)
        self.grants |= grants(ack)
        return ack

    async def asks(self, user: str, text: str) -> PostedMessage:
        """Type a command that opens a request, and return its card."""
        known = {card.ts for card in self.slack.workspace.messages(HERE)}
        await self.types(user, text)
        return await self.slack.until(
            lambda found: next((one for one in found.messages(HERE) if one.buttons and one.ts not in known), None),
            timeout=DEADLINE,
        )

    async def presses(self, user: str, card: PostedMessage, button: str, words: str) -> None:
        """Press a button, and wait until these words stand somewhere."""
        self.grants |= grants(await self.slack.people.click(user, card, button))
        await self.hears(words)

    async def hears(self, words: str) -> None:
        """Wait until these words stand somewhere."""
        await self.slack.until(lambda found: words in transcript.of(found), timeout=DEADLINE)

    async def metrics(self) -> str:
        """Return the metrics."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.child.url}/metrics") as answer:
            assert answer.status == 200
            return await answer.text()

    async def takes_place(self) -> None:
        """Say and do everything once, with failures of every kind."""
        await self.types("U0ALICE", "help")
        card = await self.asks("U0ALICE", "stop main-feed because the encoder loops")
        await self.presses("U0ALICE", card, "approve", "you may not approve it")
        await self.presses("U0DAVE", card, "deny", "denied the request")
        view = await self.slack.until(lambda found: found.top_view("U0DAVE"), timeout=DEADLINE)
        await self.slack.people.submit("U0DAVE", view, dict.fromkeys(view.buttons, "main audience"))
        body = b"command=/flow&text=stop+x"
        await self.slack.people.raw(body, {**self.slack.people.sign(body), "X-Slack-Signature": "v0=00"})
        self.slack.faults.error("chat.postEphemeral", "internal_error")
        self.slack.faults.server_error("response_url", times=2)
        await self.types("U0GUEST", "stop main-feed")
        self.live.add_key(ak=live_server.AK, sk="another-one", security_token=SECURITY_TOKEN)
        await self.types("U0ALICE", "stop backup-feed")
        await self.hears("canonicalRequest")
        self.live.add_key(ak="AKOTHER", sk="x")
        self.live.add_key(ak=live_server.AK, sk=live_server.SK, security_token=SECURITY_TOKEN)
        self.live.faults.add(Trouble(reply=failing(502, "html")), method="PUT")
        card = await self.asks("U0CAROL", "stop main-feed")
        await self.presses("U0CAROL", card, "confirm", "`main-feed` is now STANDBY")
        self.slack.faults.drop_before("chat.update", times=2)
        card = await self.asks("U0CAROL", "stop backup-feed")
        await self.presses("U0CAROL", card, "confirm", "`backup-feed` is now STANDBY")


@pytest.mark.parametrize("form", ["json", "console"])
async def test_promise_9_our_secrets_are_nowhere(tmp_path: pathlib.Path, form: str) -> None:
    settings = {
        "FLOWBOT_LOG_LEVEL": "debug",
        "FLOWBOT_LOG_FORMAT": form,
        "HUAWEICLOUD_SDK_SECURITY_TOKEN": SECURITY_TOKEN,
    }
    async with open_child(tmp_path, environ=settings) as child:
        child.world.live.add_key(ak=live_server.AK, sk=live_server.SK, security_token=SECURITY_TOKEN)
        await child.start()
        conversation = Conversation(child)
        await conversation.takes_place()
        said = json.dumps(
            [[call.args, call.response] for call in child.world.slack.workspace.calls if call.method != "views.open"]
        )
        places = {
            "Slack": re.sub(r'"trigger_id": "[^"]*"', "", said),
            "metrics": await conversation.metrics(),
            "database": on_disk(tmp_path),
            "log": child.errors.read_text(),
        }
    secrets = {
        child.world.slack.bot_token,
        child.world.slack.signing_secret,
        live_server.AK,
        live_server.SK,
        SECURITY_TOKEN,
        live_server.FlowSource(name="x").passphrase,
        *conversation.grants,
    }

    assert len(conversation.grants) > 10
    assert places["log"].count("\n") > 5
    assert "canonicalRequest" in places["Slack"]
    assert "flowbot_recordings_total" in places["metrics"]
    found = [(place, secret) for place, text in places.items() for secret in secrets if secret in text]
    assert found == []


async def test_promise_9_the_doctor_shows_no_secret(tmp_path: pathlib.Path) -> None:
    """Everything is wrong at once, and Slack, the gateway and the database are quoted."""
    password = "database-known-to-nobody"
    async with world.build(tmp_path, HUAWEICLOUD_SDK_SECURITY_TOKEN=SECURITY_TOKEN) as built:
        built.live.add_key(ak=live_server.AK, sk="another-one", security_token=SECURITY_TOKEN)
        built.slack.faults.error("auth.test", f"no {built.slack.bot_token}, no {built.slack.signing_secret}")
        settings = loader.load(
            {**built.environ, "DATABASE_URL": f"postgresql://flowbot:{password}@127.0.0.1:9/x", "PORT": "0"},
            directory=tmp_path,
        )
        found = [*await examination.examine(settings, clock=built.clock)]

        def knock(address: str) -> None:
            built.slack.connect(f"http://{address}/{live_server.SK}")
            knocks.append(asyncio.create_task(built.slack.people.command("U0ALICE", HERE, "whoami")))

        knocks: list[asyncio.Task[Ack]] = []
        found.append(await delivery.wait(settings, clock=built.clock, ready=knock))
        await asyncio.gather(*knocks)

    told = "\n".join(f"{findings.line(each)}\n{findings.json_line(each)}" for each in found)
    secrets = {*settings.secrets(), password}
    assert len(secrets) == 6
    assert [each.name for each in found if each.status is findings.Severity.FAIL] == [
        *("database", "bot token", "channels, users and groups", "project hk", "deliver"),
    ]
    assert told.count("[redacted]") >= 3
    assert [secret for secret in secrets if secret in told] == []


def test_settings_and_their_errors_do_not_print_a_secret(tmp_path: pathlib.Path) -> None:
    (tmp_path / "flowbot.toml").write_text(world.POLICY.replace("{endpoint}", "http://127.0.0.1:9"))
    loaded = loader.load(
        {
            "SLACK_BOT_TOKEN": "xoxb-known-to-nobody",
            "SLACK_SIGNING_SECRET": "shhh-signing",
            "HUAWEICLOUD_SDK_AK": "AKEXAMPLE",
            "HUAWEICLOUD_SDK_SK": "sk-known-to-nobody",
        },
        directory=tmp_path,
    )

    assert len(loaded.secrets()) == 4
    assert not any(secret in f"{loaded!r}{loaded}" for secret in loaded.secrets())
