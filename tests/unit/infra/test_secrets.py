"""`python -m infra.secrets`: the secrets that a stack shares with Slack and webhook receivers."""

from __future__ import annotations

import io
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from standardwebhooks import Webhook

from chalicelib.platform import shared_secrets
from infra import secrets
from tests.support.builders import REGION
from tests.support.in_process import STACK

API = "https://abc.execute-api.us-east-1.amazonaws.com/api"
TEMPLATE = f"""{{
  "Resources": {{"Topic": {{"Type": "AWS::SNS::Topic"}}}},
  "Outputs": {{"ApiUrl": {{"Value": "{API}"}}}}
}}"""
SIGNING = "0123456789abcdef0123456789abcdef"
TOKEN = "xoxb-1234-5678-AbCd"
INCOMING = "https://hooks.slack.com/services/T0/B0/xYz"
GIVEN = {
    "SLACK_SIGNING_SECRET": SIGNING,
    "SLACK_BOT_TOKEN": TOKEN,
    "SLACK_INCOMING_WEBHOOK": INCOMING,
}


@pytest.fixture(autouse=True)
def stack(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack with Slipway's output, and an environment without secrets."""
    boto3.client("cloudformation").create_stack(StackName=STACK, TemplateBody=TEMPLATE)
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)


class Terminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line; returns (status, standard output, standard error)."""

    def run(*arguments: str, stdin: str | Terminal = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["infra.secrets", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        status = secrets.main()
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def kept() -> dict[str, str]:
    """All secrets of the stack, as the functions read them."""
    shared_secrets.forget()
    return {name: value for name in shared_secrets.ALL if (value := shared_secrets.get(name))}


def test_slack_s_secrets_come_from_lines(run: Any) -> None:
    lines = "".join(f"{name}={value}\n" for name, value in GIVEN.items())

    status, out, err = run("--stack", STACK, "slack", stdin=f"\n{lines}")

    assert (status, err) == (0, "")
    assert kept() == {
        "slack-signing-secret": SIGNING,
        "slack-bot-token": TOKEN,
        "slack-incoming-webhook": INCOMING,
    }
    assert f"{API}/slack/commands" in out and f"{API}/slack/interactions" in out
    assert not [value for value in GIVEN.values() if value in out + err]


def test_the_secrets_are_encrypted(run: Any) -> None:
    run("--stack", STACK, "slack", stdin=f"SLACK_BOT_TOKEN={TOKEN}")
    run("--stack", STACK, "webhooks")

    described = boto3.client("ssm").describe_parameters()["Parameters"]
    assert {(p["Name"], p["Type"]) for p in described} == {
        (f"/slipway-control/{STACK}/slack-bot-token", "SecureString"),
        (f"/slipway-control/{STACK}/webhook-secrets", "SecureString"),
    }


def test_slack_s_secrets_come_from_the_environment(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", f" {TOKEN}\n")

    assert run("--stack", STACK, "slack", stdin="SLACK_SIGNING_SECRET=ignored")[0] == 0

    assert kept() == {"slack-bot-token": TOKEN}


def test_slack_s_secrets_are_asked_for_without_echo(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return SIGNING if "Signing Secret" in prompt else ""

    monkeypatch.setattr("getpass.getpass", answer)

    assert run("--stack", STACK, "slack", stdin=Terminal())[0] == 0

    assert len(asked) == 3
    assert kept() == {"slack-signing-secret": SIGNING}


def test_setting_one_secret_again_keeps_the_others(run: Any) -> None:
    run("--stack", STACK, "slack", stdin=f"SLACK_BOT_TOKEN={TOKEN}\nSLACK_SIGNING_SECRET={SIGNING}")

    assert run("--stack", STACK, "slack", stdin="SLACK_BOT_TOKEN=xoxb-new")[0] == 0

    assert kept() == {"slack-bot-token": "xoxb-new", "slack-signing-secret": SIGNING}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SLACK_SIGNING_SECRET", SIGNING[:-1]),
        ("SLACK_SIGNING_SECRET", SIGNING.replace("a", "g")),
        ("SLACK_SIGNING_SECRET", TOKEN),
        ("SLACK_BOT_TOKEN", "xoxp-1234-5678"),
        ("SLACK_BOT_TOKEN", "xoxb-geheim!"),
        ("SLACK_BOT_TOKEN", f"{TOKEN} {TOKEN}"),
        ("SLACK_INCOMING_WEBHOOK", INCOMING.replace("https", "http")),
        ("SLACK_INCOMING_WEBHOOK", INCOMING.replace("slack.com", "slack.com.example.com")),
        ("SLACK_INCOMING_WEBHOOK", "https://hooks.slack.com/services/T0/B0"),
        ("SLACK_INCOMING_WEBHOOK", f"{INCOMING}?a=b"),
    ],
)
def test_a_secret_in_the_wrong_format_is_rejected_and_nothing_is_set(
    run: Any, variable: str, value: str
) -> None:
    lines = "".join(f"{name}={text}\n" for name, text in {**GIVEN, variable: value}.items())

    status, out, err = run("--stack", STACK, "slack", stdin=lines)

    assert (status, out) == (1, "")
    assert err.startswith("Nothing was set: ") and variable in err and "in Slack: " in err
    assert value not in err
    assert kept() == {}


@pytest.mark.parametrize("stdin", ["", "SLACK_BOT_TOKEN=", TOKEN, f"BOT_TOKEN={TOKEN}"])
def test_input_without_a_secret_is_reported_but_not_shown(run: Any, stdin: str) -> None:
    status, _, err = run("--stack", STACK, "slack", stdin=stdin)

    assert status == 1
    assert TOKEN not in err
    assert kept() == {}


def signed_with(header: str, text: str) -> bool:
    """Return whether a receiver with the first secret accepts a webhook that all secrets sign."""
    moment = datetime.now(UTC)
    signatures = [Webhook(s).sign("msg_1", moment, text) for s in header.split()]
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return bool(Webhook(header.split()[0]).verify(text, headers))


def test_the_webhook_secret_is_created_rotated_and_retired(run: Any) -> None:
    status, first, output = run("--stack", STACK, "webhooks")
    assert (status, first) == (0, f"{kept()['webhook-secrets']}\n")
    assert first.startswith("whsec_") and signed_with(first, '{"a": 1}')
    assert "docs/webhooks.md" in output

    status, second, output = run("--stack", STACK, "webhooks")
    assert status == 0 and second != first and "--retire" in output
    assert kept()["webhook-secrets"] == f"{second.strip()} {first.strip()}"

    status, left, _ = run("--stack", STACK, "webhooks", "--retire")
    assert (status, left) == (0, second)
    assert kept()["webhook-secrets"] == second.strip()


def test_a_third_webhook_secret_is_rejected(run: Any) -> None:
    for _ in range(2):
        run("--stack", STACK, "webhooks")
    before = kept()

    status, out, err = run("--stack", STACK, "webhooks")

    assert (status, out) == (1, "")
    assert "--retire" in err
    assert kept() == before


def test_the_only_secret_cannot_be_retired(run: Any) -> None:
    assert run("--stack", STACK, "webhooks", "--retire")[0] == 1
    run("--stack", STACK, "webhooks")
    before = kept()

    assert run("--stack", STACK, "webhooks", "--retire")[0] == 1
    assert kept() == before


@pytest.mark.parametrize("kind", ["slack", "webhooks"])
def test_no_secret_is_set_for_a_missing_stack(run: Any, kind: str) -> None:
    status, _, err = run("--stack", "slipway-tset", kind, stdin=f"SLACK_BOT_TOKEN={TOKEN}")

    assert status == 1
    assert "slipway-tset" in err
    assert boto3.client("ssm").describe_parameters()["Parameters"] == []


def test_no_secret_is_set_for_a_stack_that_is_not_slipway(run: Any) -> None:
    boto3.client("cloudformation").create_stack(
        StackName="other", TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    )

    assert run("--stack", "other", "webhooks")[0] == 1
    assert boto3.client("ssm").describe_parameters()["Parameters"] == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [("AWS_DEFAULT_REGION", "export AWS_DEFAULT_REGION="), ("AWS_", "export AWS_PROFILE=")],
)
@pytest.mark.parametrize("kind", ["slack", "webhooks"])
def test_a_missing_region_or_credential_is_reported_with_the_fix(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, missing: str, said: str
) -> None:
    for name in [name for name in os.environ if name.startswith(missing)]:
        monkeypatch.delenv(name)
    if missing == "AWS_":
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Otherwise boto3 reuses the session of an earlier test, which has a region and credentials.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    status, out, err = run("--stack", STACK, kind, stdin=f"SLACK_BOT_TOKEN={TOKEN}")

    assert (status, out) == (1, "")
    assert err.startswith("Nothing was set: ") and said in err
