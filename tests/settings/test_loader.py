"""The settings: their sources, their problems, and the values that are never shown."""

import dataclasses
import pathlib
import traceback
from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from bot.policy import model
from bot.policy.file import loader as policy_file
from bot.policy.file.problems import Problem, SettingsInvalid
from bot.settings import loader, variables
from bot.settings.credentials import AccessKey, Credentials, IamUser

POLICY = """\
[projects.hk-1]
project_id = "0123456789abcdef"
region = "ap-southeast-3"
channels = ["C0INCIDENT", "C0WAR"]
"""
SECOND = POLICY.replace("hk-1", "eu").replace("C0", "C1").replace("0123456789abcdef", "fedcba9876543210")
RULE = """
[[rules]]
name = "one"
verbs = ["stop"]
who = ["leads"]
approvals = {}
approvers = ["leads"]
emergency = ["leads"]

[people]
leads = ["U0CAROL", "U0DAVE"]
nobody = []

[[rules]]
name = "two"
effect = "deny"
verbs = ["stop", "start"]
who = ["*"]
"""
GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-the-bot",
    "SLACK_SIGNING_SECRET": "the-signing",
    "HUAWEICLOUD_SDK_AK": "the-ak",
    "HUAWEICLOUD_SDK_SK": "the-sk",
}
KEYS = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")
NO_KEYS = dict.fromkeys(KEYS, "")
USER = {
    "HUAWEICLOUD_IAM_USER": "the bot",
    "HUAWEICLOUD_IAM_PASSWORD": "pass word's/1",
    "HUAWEICLOUD_IAM_DOMAIN": "Schön & Co",
}


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "flowbot.toml").write_text(POLICY)
    return tmp_path


def told(environ: Mapping[str, str], directory: pathlib.Path) -> list[str]:
    try:
        loader.load(environ, directory=directory)
    except SettingsInvalid as invalid:
        return [str(problem) for problem in invalid.problems]
    return []


def clear(found: Credentials) -> tuple[str, str, str | None]:
    assert isinstance(found, AccessKey)
    token = found.security_token
    return found.ak.get_secret_value(), found.sk.get_secret_value(), token.get_secret_value() if token else None


class TestSources:
    def test_defaults(self, directory: pathlib.Path) -> None:
        found = loader.load(GOOD, directory=directory)
        assert found == loader.Settings(
            slack_bot_token=SecretStr("xoxb-the-bot"),
            slack_signing_secret=SecretStr("the-signing"),
            credentials=AccessKey(ak=SecretStr("the-ak"), sk=SecretStr("the-sk")),
            policy=found.policy,
        )
        assert (found.host, found.port, found.database_url) == ("127.0.0.1", 3000, "sqlite:///flowbot.db")
        assert (found.log_format, found.log_level) == (None, "info")
        assert found.slack_api_url == "https://slack.com/api/"
        assert list(found.policy.projects) == ["hk-1"]

    def test_every_variable_arrives(self, directory: pathlib.Path) -> None:
        (directory / "other.toml").write_text(POLICY + SECOND)
        found = loader.load(
            {
                **GOOD,
                "SLACK_API_URL": "http://localhost:8080/api",
                "HUAWEICLOUD_SDK_SECURITY_TOKEN": "the-token",
                "FLOWBOT_PROJECTS__EU__AK": "eu-ak",
                "FLOWBOT_PROJECTS__EU__SK": "eu-sk",
                "FLOWBOT_CONFIG": "other.toml",
                "DATABASE_URL": "sqlite:////var/lib/flowbot.db",
                "HOST": "0.0.0.0",
                "PORT": "0",
                "FLOWBOT_LOG_FORMAT": "JSON",
                "FLOWBOT_LOG_LEVEL": "Debug",
            },
            directory=directory,
        )
        assert found.slack_api_url == "http://localhost:8080/api/"
        assert clear(found.credentials_for("hk-1")) == ("the-ak", "the-sk", "the-token")
        assert clear(found.credentials_for("eu")) == ("eu-ak", "eu-sk", None)
        assert (found.config, found.database_url) == (pathlib.Path("other.toml"), "sqlite:////var/lib/flowbot.db")
        assert (found.host, found.port, found.log_format, found.log_level) == ("0.0.0.0", 0, "json", "debug")
        assert found.warnings == ()

    def test_the_environment_wins_over_dotenv_and_that_over_the_secrets_directory(
        self, directory: pathlib.Path
    ) -> None:
        (directory / "secrets").mkdir()
        for name in ("slack_bot_token", "SLACK_SIGNING_SECRET", "huaweicloud_sdk_ak", "unrelated"):
            (directory / "secrets" / name).write_text("from-secrets\n")
        (directory / "secrets" / "HOST").mkdir()
        (directory / "secrets" / "DATABASE_URL").write_text("\n")
        (directory / "secrets" / "flowbot_projects__hk-1__sk").write_text("own-sk\n")
        (directory / ".env").write_text(
            'export SLACK_BOT_TOKEN="from-dotenv" # why\nSLACK_SIGNING_SECRET=\nSECRETS_DIR=secrets\n'
            "HUAWEICLOUD_SDK_SK='${HOME}'\nFLOWBOT_PROJECTS__HK_1__AK=own-ak\nPORT=1\nBARE\n"
        )
        found = loader.load({"PORT": "2", "SLACK_BOT_TOKEN": " "}, directory=directory)
        assert found.slack_bot_token.get_secret_value() == "from-dotenv"
        assert found.slack_signing_secret is not None
        assert found.slack_signing_secret.get_secret_value() == "from-secrets"
        assert found.credentials is not None
        assert clear(found.credentials) == ("from-secrets", "${HOME}", None)
        assert clear(found.credentials_for("hk-1")) == ("own-ak", "own-sk", None)
        assert found.port == 2

    def test_the_process_environment_is_read_where_none_is_given(
        self, directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in GOOD.items():
            monkeypatch.setenv(name, value)
        assert loader.load(directory=directory).slack_bot_token.get_secret_value() == "xoxb-the-bot"

    @pytest.mark.parametrize("name", ["hk", "hk-1", "hk__sk", "hk_", "a__b-c__"])
    def test_the_keys_of_a_project_may_stand_in_any_place_under_any_name(
        self, name: str, directory: pathlib.Path
    ) -> None:
        (directory / "flowbot.toml").write_text(POLICY.replace("hk-1", name))
        (directory / "secrets").mkdir()
        (directory / "secrets" / f"flowbot_projects__{name}__ak").write_text("ak-from-file\n")
        (directory / "secrets" / f"FLOWBOT_PROJECTS__{name.replace('-', '_').upper()}__SK").write_text("sk-from-file\n")
        environ = {**GOOD, "SECRETS_DIR": "secrets"}
        found = loader.load(environ, directory=directory)
        assert clear(found.credentials_for(name)) == ("ak-from-file", "sk-from-file", None)
        (directory / ".env").write_text(f"FLOWBOT_PROJECTS__{name}__SK=sk-from-dotenv\n")
        own = {f"FLOWBOT_PROJECTS__{name.upper()}__AK": "ak-from-variable"}
        found = loader.load({**environ, **own}, directory=directory)
        assert clear(found.credentials_for(name)) == ("ak-from-variable", "sk-from-dotenv", None)

    def test_the_secrets_directory_may_hold_other_files_and_links(self, directory: pathlib.Path) -> None:
        secrets = directory / "secrets"
        (secrets / "tls").mkdir(parents=True)
        (secrets / "tls" / "HOST").write_bytes(b"\xff")
        (secrets / "keystore.p12").write_bytes(b"\xff")
        (directory / "elsewhere").write_text("xoxb-elsewhere\n")
        (secrets / "SLACK_BOT_TOKEN").symlink_to(directory / "elsewhere")
        environ = {**GOOD, "SLACK_BOT_TOKEN": "", "SECRETS_DIR": "secrets"}
        assert loader.load(environ, directory=directory).slack_bot_token.get_secret_value() == "xoxb-elsewhere"

    def test_a_secret_of_dotenv_is_taken_as_it_is(self, directory: pathlib.Path) -> None:
        (directory / ".env").write_text("HUAWEICLOUD_SDK_SK=a${HOME}$b\n")
        found = loader.load({**GOOD, "HUAWEICLOUD_SDK_SK": ""}, directory=directory)
        assert clear(found.credentials_for("hk-1")) == ("the-ak", "a${HOME}$b", None)

    @pytest.mark.parametrize("name", ["FLOWBOT_PROJECTS", "FLOWBOT_PROJECTS__HK_1", "FLOWBOT_PROJECTS__HK_1__TOKEN"])
    @pytest.mark.parametrize("value", ["x", "{}", '{"HK_1": {"AK": "a", "SK": "b"}}'])
    def test_projects_have_no_variable_besides_their_keys(self, name: str, value: str, directory: pathlib.Path) -> None:
        found = loader.load({**GOOD, name: value}, directory=directory)
        assert [warning.where for warning in found.warnings] == [name]
        assert found.project_credentials == {}

    def test_sources_that_cannot_be_read_are_named(self, directory: pathlib.Path) -> None:
        (directory / ".env").write_bytes(b"A=\xff\n")
        (directory / "secrets").mkdir()
        (directory / "secrets" / "HOST").write_bytes(b"\xff")
        environ = {**GOOD, "SECRETS_DIR": str(directory / "secrets")}
        assert told(environ, directory) == [
            ".env: cannot be read",
            f"HOST: the file {directory}/secrets/HOST cannot be read",
        ]
        (directory / ".env").unlink()
        assert told({**GOOD, "SECRETS_DIR": "gone"}, directory) == ["SECRETS_DIR: gone is not a directory"]

    def test_a_secrets_directory_that_cannot_be_looked_into_is_a_sentence(self, directory: pathlib.Path) -> None:
        name = "s" * 300  # longer than any file system allows: even root cannot look it up
        (found,) = told({**GOOD, "SECRETS_DIR": name}, directory)
        assert found.startswith(f"SECRETS_DIR: {directory / name} cannot be read: ")

    @pytest.mark.parametrize("depth", [300, 100_000])
    def test_a_policy_that_is_nested_too_deeply_is_a_sentence(self, directory: pathlib.Path, depth: int) -> None:
        (directory / "flowbot.toml").write_text(f"a = {'[' * depth}{']' * depth}\n")
        assert told(GOOD, directory)[0].startswith("flowbot.toml")

    def test_an_iam_user_takes_the_place_of_keys_that_are_not_there(self, directory: pathlib.Path) -> None:
        (directory / "flowbot.toml").write_text(POLICY + SECOND)
        own = {"FLOWBOT_PROJECTS__EU__AK": "eu-ak", "FLOWBOT_PROJECTS__EU__SK": "eu-sk"}
        found = loader.load({**GOOD, **NO_KEYS, **USER, **own}, directory=directory)
        user = found.credentials_for("hk-1")
        assert isinstance(user, IamUser)
        assert (user.name, user.password.get_secret_value(), user.domain) == tuple(USER.values())
        assert user.endpoint is None
        assert clear(found.credentials_for("eu")) == ("eu-ak", "eu-sk", None)
        assert found.warnings == ()

    def test_the_iam_endpoint_can_be_set(self, directory: pathlib.Path) -> None:
        environ = {**GOOD, **NO_KEYS, **USER, "HUAWEICLOUD_IAM_ENDPOINT": "https://iam.example/"}
        user = loader.load(environ, directory=directory).iam_user
        assert user is not None
        assert user.endpoint == "https://iam.example"

    def test_keys_take_precedence_over_a_user_with_a_warning(self, directory: pathlib.Path) -> None:
        found = loader.load({**GOOD, **USER}, directory=directory)
        assert clear(found.credentials_for("hk-1")) == ("the-ak", "the-sk", None)
        assert found.iam_user is None
        assert [str(warning) for warning in found.warnings] == [
            "HUAWEICLOUD_IAM_USER: is not used: HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK take precedence"
        ]

    def test_credentials_are_read_anew_and_nothing_else_is(self, directory: pathlib.Path) -> None:
        (directory / ".env").write_text("PORT=1\nHUAWEICLOUD_SDK_AK=ak-1\nHUAWEICLOUD_SDK_SK=sk-1\n")
        found = loader.load({**GOOD, **NO_KEYS}, directory=directory)
        (directory / ".env").write_text("PORT=x\nHUAWEICLOUD_SDK_AK=ak-2\nHUAWEICLOUD_SDK_SK=sk-2\n")
        (directory / "flowbot.toml").write_text("[")
        renewed = loader.renewed(found)
        assert clear(renewed.credentials_for("hk-1")) == ("ak-2", "sk-2", None)
        assert dataclasses.replace(renewed, credentials=found.credentials) == found
        (directory / ".env").write_text("HUAWEICLOUD_SDK_AK=ak-3\n")
        with pytest.raises(SettingsInvalid, match="HUAWEICLOUD_SDK_SK: is missing"):
            loader.renewed(renewed)

    def test_what_is_wrong_with_keys_that_are_read_anew_names_no_other_variable(self, directory: pathlib.Path) -> None:
        keys = "HUAWEICLOUD_SDK_AK=ak-1\nHUAWEICLOUD_SDK_SK=sk-1\n"
        (directory / ".env").write_text(keys)
        found = loader.load({**GOOD, **NO_KEYS}, directory=directory)
        (directory / ".env").write_text(f"{keys.replace('ak-1', 'a b')}PORT=x\nSLACK_APP_TOKEN=a b\n")
        with pytest.raises(SettingsInvalid) as caught:
            loader.renewed(found)
        assert [problem.where for problem in caught.value.problems] == ["HUAWEICLOUD_SDK_AK"]

    def test_a_variable_that_looks_like_ours_is_warned_of(self, directory: pathlib.Path) -> None:
        found = loader.load({**GOOD, "FLOWBOT_CONFG": "x", "FLOWBOT_QQQQQQQQQQ": "y"}, directory=directory)
        assert [str(warning) for warning in found.warnings] == [
            "FLOWBOT_CONFG: is not a setting of flowbot; did you mean FLOWBOT_CONFIG?",
            "FLOWBOT_QQQQQQQQQQ: is not a setting of flowbot",
        ]


class TestProblems:
    @pytest.mark.parametrize(
        ("changed", "expected"),
        [
            ({"SLACK_BOT_TOKEN": ""}, ["SLACK_BOT_TOKEN: is missing"]),
            ({"SLACK_BOT_TOKEN": "two words"}, ["SLACK_BOT_TOKEN: must be one word of plain ASCII"]),
            ({"SLACK_SIGNING_SECRET": " "}, ["SLACK_SIGNING_SECRET: is missing"]),
            ({"SLACK_SIGNING_SECRET": "clé"}, ["SLACK_SIGNING_SECRET: must be one word of plain ASCII"]),
            ({"SLACK_APP_TOKEN": "xapp-1", "SLACK_SIGNING_SECRET": ""}, []),
            (
                {"SLACK_API_URL": "http://slack.com/api/"},
                ["SLACK_API_URL: must be https: plain http is for loopback only"],
            ),
            ({"SLACK_API_URL": "https://slack.com/?a"}, ["SLACK_API_URL: must not contain a query or a fragment"]),
            ({"HUAWEICLOUD_SDK_AK": ""}, ["HUAWEICLOUD_SDK_AK: is missing: HUAWEICLOUD_SDK_SK is set"]),
            ({"HUAWEICLOUD_SDK_SK": ""}, ["HUAWEICLOUD_SDK_SK: is missing: HUAWEICLOUD_SDK_AK is set"]),
            (
                dict.fromkeys(KEYS, ""),
                [
                    "HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK: are missing for hk-1 "
                    "(or set FLOWBOT_PROJECTS__HK_1__AK and FLOWBOT_PROJECTS__HK_1__SK)"
                ],
            ),
            (
                {**dict.fromkeys(KEYS, ""), "HUAWEICLOUD_SDK_SECURITY_TOKEN": "t", "HUAWEICLOUD_IAM_USER": "u"},
                [
                    "HUAWEICLOUD_SDK_SECURITY_TOKEN: needs HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK as well",
                    "HUAWEICLOUD_IAM_PASSWORD: is missing: HUAWEICLOUD_IAM_USER is set",
                    "HUAWEICLOUD_IAM_DOMAIN: is missing: HUAWEICLOUD_IAM_USER is set",
                ],
            ),
            ({"HUAWEICLOUD_IAM_USER": "u"}, []),
            ({**NO_KEYS, **USER}, []),
            ({**NO_KEYS, **USER, "HUAWEICLOUD_IAM_ENDPOINT": "http://localhost:1"}, []),
            (
                {**NO_KEYS, **USER, "HUAWEICLOUD_SDK_SK": "s"},
                ["HUAWEICLOUD_SDK_AK: is missing: HUAWEICLOUD_SDK_SK is set"],
            ),
            (
                {**NO_KEYS, **USER, "HUAWEICLOUD_IAM_USER": " "},
                ["HUAWEICLOUD_IAM_USER: is missing: HUAWEICLOUD_IAM_PASSWORD is set"],
            ),
            (
                {**NO_KEYS, "HUAWEICLOUD_IAM_ENDPOINT": "http://iam.example"},
                [
                    "HUAWEICLOUD_IAM_USER: is missing: HUAWEICLOUD_IAM_ENDPOINT is set",
                    "HUAWEICLOUD_IAM_PASSWORD: is missing: HUAWEICLOUD_IAM_ENDPOINT is set",
                    "HUAWEICLOUD_IAM_DOMAIN: is missing: HUAWEICLOUD_IAM_ENDPOINT is set",
                    "HUAWEICLOUD_IAM_ENDPOINT: must be https: plain http is for loopback only",
                ],
            ),
            (
                {**NO_KEYS, **USER, "HUAWEICLOUD_IAM_ENDPOINT": "https://iam.example/v3"},
                ["HUAWEICLOUD_IAM_ENDPOINT: must end after the host"],
            ),
            (
                {
                    **NO_KEYS,
                    "HUAWEICLOUD_IAM_USER": "a\nb",
                    "HUAWEICLOUD_IAM_PASSWORD": "é",
                    "HUAWEICLOUD_IAM_DOMAIN": "\0",
                },
                [
                    "HUAWEICLOUD_IAM_USER: must be one line of printable text",
                    "HUAWEICLOUD_IAM_PASSWORD: must be one line of plain ASCII",
                    "HUAWEICLOUD_IAM_DOMAIN: must be one line of printable text",
                ],
            ),
            (
                {"FLOWBOT_PROJECTS__hk_1__AK": "a"},
                ["FLOWBOT_PROJECTS__HK_1__SK: is missing: FLOWBOT_PROJECTS__HK_1__AK is set"],
            ),
            (
                {"FLOWBOT_PROJECTS__EU__AK": "a", "FLOWBOT_PROJECTS__EU__SK": "b"},
                ["FLOWBOT_PROJECTS__EU__AK: no project has this name; the projects are hk-1"],
            ),
            ({**dict.fromkeys(KEYS, ""), "FLOWBOT_PROJECTS__HK-1__AK": "a", "FLOWBOT_PROJECTS__HK-1__SK": "b"}, []),
            ({"HOST": "\udcff"}, ["HOST: must be one word of plain ASCII"]),
            ({"HOST": "127.0.0.1 ::1"}, ["HOST: must be one word of plain ASCII"]),
            ({"PORT": "x"}, ["PORT: must be a number from 1 to 65535, or 0 for any free port"]),
            ({"PORT": "65536"}, ["PORT: must be a number from 1 to 65535, or 0 for any free port"]),
            ({"PORT": "-1"}, ["PORT: must be a number from 1 to 65535, or 0 for any free port"]),
            ({"PORT": "٣"}, ["PORT: must be a number from 1 to 65535, or 0 for any free port"]),
            ({"PORT": "65535"}, []),
            ({"FLOWBOT_LOG_FORMAT": "xml"}, ["FLOWBOT_LOG_FORMAT: must be json or console"]),
            (
                {"FLOWBOT_LOG_LEVEL": "loud"},
                ["FLOWBOT_LOG_LEVEL: must be one of debug, info, warning, error, critical"],
            ),
            *(({"DATABASE_URL": url}, []) for url in ("postgres://u:p@h/d", "postgresql://h:6432/d?sslmode=require")),
            *(
                (
                    {"DATABASE_URL": url},
                    ["DATABASE_URL: must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"],
                )
                for url in (
                    "postgresql+asyncpg://h/d",
                    "postgres://",
                    "sqlite://",
                    "sqlite:///",
                    "sqlite:///:memory:",
                    "mysql://h/d",
                    "flowbot.db",
                    "sqlite:///a?b",
                )
            ),
            (
                {"FLOWBOT_CONFIG": "gone.toml"},
                ["FLOWBOT_CONFIG: gone.toml cannot be read: No such file or directory"],
            ),
        ],
    )
    def test_each_names_its_variable(
        self, changed: dict[str, str], expected: list[str], directory: pathlib.Path
    ) -> None:
        assert told({**GOOD, **changed}, directory) == expected

    def test_all_are_told_at_once_with_those_of_the_policy(self, directory: pathlib.Path) -> None:
        (directory / "flowbot.toml").write_text(POLICY.replace("region", "regio"))
        environ = {"PORT": "x", "FLOWBOT_PROJECTS__EU__AK": "a"}
        assert [line.split(": ")[0] for line in told(environ, directory)] == [
            "SLACK_BOT_TOKEN",
            "SLACK_SIGNING_SECRET",
            "HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK",
            "FLOWBOT_PROJECTS__EU__SK",
            "FLOWBOT_PROJECTS__EU__AK",
            "PORT",
            "flowbot.toml:1",
            "flowbot.toml:3",
        ]

    def test_keys_are_asked_for_even_where_the_policy_cannot_be_read(self, directory: pathlib.Path) -> None:
        (directory / "flowbot.toml").write_text("[")
        environ = {**GOOD, **dict.fromkeys(KEYS, "")}
        assert [line.split(": ")[0] for line in told(environ, directory)] == [
            "HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK",
            "flowbot.toml:1",
        ]
        own = {"FLOWBOT_PROJECTS__ANY__AK": "a", "FLOWBOT_PROJECTS__ANY__SK": "b"}
        assert [line.split(": ")[0] for line in told({**environ, **own}, directory)] == ["flowbot.toml:1"]


class TestSecrets:
    SECRETS = (
        "s3cr3t-bot",
        "s3cr3t-signing",
        "s3cr3t-ak",
        "s3cr3t-sk",
        "s3cr3t-token",
        "s3cr3t-own-ak",
        "s3cr3t-own-sk",
    )
    NAMES = (
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
        *KEYS,
        "HUAWEICLOUD_SDK_SECURITY_TOKEN",
        "FLOWBOT_PROJECTS__HK_1__AK",
        "FLOWBOT_PROJECTS__HK_1__SK",
    )

    def test_they_are_listed_for_redaction_and_never_print(self, directory: pathlib.Path) -> None:
        found = loader.load(dict(zip(self.NAMES, self.SECRETS, strict=True)), directory=directory)
        assert sorted(found.secrets()) == sorted(self.SECRETS)
        for text in (repr(found), str(found), *loader.check_report(found), repr(found.credentials_for("hk-1"))):
            assert "s3cr3t" not in text

    def test_a_password_is_one_of_them_and_nothing_prints_where_it_came_from(self, directory: pathlib.Path) -> None:
        environ = {**GOOD, **NO_KEYS, **USER, "HUAWEICLOUD_IAM_PASSWORD": "s3cr3t-password", "OTHER": "s3cr3t"}
        found = loader.load(environ, directory=directory)
        assert "s3cr3t-password" in found.secrets()
        assert found.origin is not None
        for text in (repr(found), str(found), repr(found.iam_user), repr(found.origin)):
            assert "s3cr3t" not in text

    @pytest.mark.parametrize("token_mode", [False, True])
    @pytest.mark.parametrize(
        "spoil", ["{} {}", "clé-{}", "https://u:{}@h", "http://{}@h/api", "postgres://u:{}@h/d", "{}://"]
    )
    def test_no_error_shows_the_value_that_is_wrong(
        self, spoil: str, token_mode: bool, directory: pathlib.Path
    ) -> None:
        hideable = [variable.name for variable in variables.VARIABLES if "<" not in variable.name]
        names = [name for name in hideable if name not in ("FLOWBOT_CONFIG", "SECRETS_DIR")]
        environ = {name: spoil.replace("{}", "s3cr3t") for name in (*names, *self.NAMES)}
        environ |= NO_KEYS if token_mode else {}
        with pytest.raises(SettingsInvalid) as caught:
            loader.load(environ, directory=directory)
        assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
        assert "s3cr3t" not in repr(caught.value.problems)

    def test_without_keys_there_are_none_to_give(self) -> None:
        bare = loader.Settings(
            slack_bot_token=SecretStr("b"),
            slack_signing_secret=SecretStr("b"),
            policy=model.Policy(projects={}, people={}, rules=(), digest=""),
        )
        assert bare.secrets() == ("b",)
        with pytest.raises(KeyError):
            bare.credentials_for("hk")
        with pytest.raises(dataclasses.FrozenInstanceError):
            bare.port = 1  # type: ignore[misc]


class TestCheckReport:
    def test_a_good_policy_in_short(self, directory: pathlib.Path) -> None:
        (directory / "flowbot.toml").write_text(POLICY + RULE.format(1))
        assert loader.check_report(loader.load(GOOD, directory=directory)) == (
            "flowbot.toml: OK; 1 project, 2 sets, 2 rules",
            "project hk-1: https://live.ap-southeast-3.myhuaweicloud.com, channels C0INCIDENT, C0WAR",
            "set leads: U0CAROL, U0DAVE",
            "set nobody: nobody",
            'rule "one": allow stop to leads; 1 of leads must approve; emergency: leads',
            'rule "two": deny stop, start to *',
            'warning: flowbot.toml:6: rule 1, effect: never allows anything: rule "two" denies all of it',
        )

    def test_the_cases_that_hold_are_counted(self, directory: pathlib.Path) -> None:
        case = '[[cases]]\nuser = "U0EVE"\nchannel = "C0WAR"\ncommand = "stop a"\nexpect = "deny"\n'
        (directory / "flowbot.toml").write_text(POLICY + RULE.format(1) + 2 * case)
        first, *_ = loader.check_report(loader.load(GOOD, directory=directory))
        assert first == "flowbot.toml: OK; 1 project, 2 sets, 2 rules; cases passed: 2"

    def test_a_rule_confirmed_alone(self, directory: pathlib.Path) -> None:
        rule = '[[rules]]\nname = "x"\nverbs = ["stop"]\nwho = ["U0CAROL"]\n'
        (directory / "flowbot.toml").write_text(POLICY + rule)
        lines = loader.check_report(loader.load(GOOD, directory=directory))
        assert lines[-1] == 'rule "x": allow stop to U0CAROL; confirmed alone'

    def test_a_rule_that_nobody_can_satisfy_is_reported_with_its_place(self, directory: pathlib.Path) -> None:
        (directory / "flowbot.toml").write_text(POLICY + RULE.format(3))
        found = loader.load(GOOD, directory=directory)
        defect, warning = loader.check_report(found)
        assert defect.startswith("flowbot.toml:10: rule 1, approvals: needs 3")
        assert warning.startswith("warning: flowbot.toml:6: rule 1, effect: ")

    def test_problems_that_prevent_the_start_are_the_whole_report(self, directory: pathlib.Path) -> None:
        invalid = SettingsInvalid((Problem(where="PORT", what="is wrong"),))
        assert loader.check_report(invalid) == ("PORT: is wrong",)


class TestExamples:
    ROOT = pathlib.Path(__file__).parents[2]

    def test_env_example_filled_in_is_in_order(self, tmp_path: pathlib.Path) -> None:
        text = variables.env_example()
        for name, value in GOOD.items():
            assert f"#{name}=\n" in text
            text = text.replace(f"#{name}=\n", f"{name}={value}\n")
        (tmp_path / ".env").write_text(text)
        (tmp_path / "flowbot.toml").write_bytes((self.ROOT / "flowbot.toml").read_bytes())
        assert loader.load({}, directory=tmp_path).warnings == ()

    def test_the_settings_contain_the_policy_of_the_file(self, directory: pathlib.Path) -> None:
        found = loader.load(GOOD, directory=directory)
        assert found.policy == policy_file.load((directory / "flowbot.toml").read_bytes(), name="flowbot.toml").policy
