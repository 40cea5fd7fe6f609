"""`python -m infra.secrets --stack slipway-dev slack | webhooks`: what a stack shares with others.

`slack` takes Slack's secrets, each of which may be left out, from the environment (SLACK_...), from
lines `SLACK_...=...` on standard input, or asks for them without echo. `webhooks` makes the secret
that webhooks are signed with; where there is one, the new one signs beside it until `--retire`.

They are SecureString parameters under AWS's own key of SSM, which takes no permission of its own:
https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
"""

from __future__ import annotations

import argparse
import base64
import getpass
import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.platform import shared_secrets
from infra.aws_errors import with_fix

# Standard Webhooks wants 24 to 64 bytes.
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
WEBHOOK_SECRET_BYTES = 32
NEXT_FOR_SLACK = """
The functions know them within five minutes. In the app's settings at https://api.slack.com/apps:
  Slash Commands, Request URL:                 {api}/slack/commands
  Interactivity & Shortcuts, Request URL:      {api}/slack/interactions
Then map channels and users to owners: docs/slack.md."""
NEXT_FOR_THE_FIRST = """
Give it to those who receive webhooks: they verify them with it (docs/webhooks.md). The functions
know it within five minutes."""
NEXT_FOR_A_ROTATION = """
Within five minutes every webhook is signed with both secrets. Give the new one to those who receive
webhooks; when all have it, run the same with --retire, and only the new one signs."""
NEXT_FOR_A_RETIREMENT = """
Within five minutes only this secret signs; receivers that have the old one refuse from then on."""


class Refused(Exception):
    """The secrets were not set; the message says why and what to do, and holds none of them."""


@dataclass(frozen=True)
class SlackSecret:
    """One of Slack's secrets: where it is kept, how it looks, where Slack shows it."""

    name: str
    variable: str
    form: re.Pattern[str]
    looks: str
    found: str


SLACK = (
    SlackSecret(
        shared_secrets.SLACK_SIGNING_SECRET,
        "SLACK_SIGNING_SECRET",
        re.compile(r"[0-9a-f]{32}"),
        "32 hexadecimal digits",
        "Basic Information, App Credentials, Signing Secret",
    ),
    SlackSecret(
        shared_secrets.SLACK_BOT_TOKEN,
        "SLACK_BOT_TOKEN",
        re.compile(r"xoxb-[0-9A-Za-z-]+"),
        "xoxb-...",
        "OAuth & Permissions, Bot User OAuth Token",
    ),
    SlackSecret(
        shared_secrets.SLACK_INCOMING_WEBHOOK,
        "SLACK_INCOMING_WEBHOOK",
        re.compile(r"https://hooks\.slack\.com/services/\w+/\w+/\w+", re.ASCII),
        "https://hooks.slack.com/services/...",
        "Incoming Webhooks, Webhook URL",
    ),
)


def new_webhook_secret() -> str:
    """A secret as the Standard Webhooks libraries take it: `whsec_` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(WEBHOOK_SECRET_BYTES)).decode()


def put(ssm: Any, stack: str, name: str, value: str) -> None:
    """Sets a secret of a stack, one of `shared_secrets.ALL`.

    Args:
        ssm: a boto3 SSM client.
    """
    ssm.put_parameter(
        Name=shared_secrets.parameter(stack, name),
        Value=value,
        Type="SecureString",
        Overwrite=True,
    )


def set_slack(ssm: Any, stack: str, given: Mapping[str, str]) -> list[str]:
    """Sets those of Slack's secrets that are given; all are looked at before any is set.

    Args:
        given: by their variables' names; an empty one is as none.

    Returns:
        The names of the parameters that were set.

    Raises:
        Refused: one has not the form of its kind, a name is none of them, or none is given.
    """
    values = {name: value.strip() for name, value in given.items() if value.strip()}
    faults = [
        f"{secret.variable} is not of the form {secret.looks} (in Slack: {secret.found})"
        for secret in SLACK
        if secret.variable in values and not secret.form.fullmatch(values[secret.variable])
    ]
    faults += [
        f"a line does not begin with one of {', '.join(secret.variable for secret in SLACK)} and ="
        for _ in values.keys() - {secret.variable for secret in SLACK}
    ]
    if faults:
        raise Refused("; ".join(faults))
    if not values:
        raise Refused("none was given")
    chosen = [secret for secret in SLACK if secret.variable in values]
    for secret in chosen:
        put(ssm, stack, secret.name, values[secret.variable])
    return [shared_secrets.parameter(stack, secret.name) for secret in chosen]


def ask_for_slack() -> dict[str, str]:
    """Slack's secrets by their variables' names: from the environment, else from standard input."""
    variables = [secret.variable for secret in SLACK]
    found = {name: os.environ[name] for name in variables if os.environ.get(name)}
    if found:
        return found
    if not sys.stdin.isatty():
        lines = (line.strip() for line in sys.stdin)
        return {name.strip(): value for name, _, value in (ln.partition("=") for ln in lines if ln)}
    print("Empty leaves one as it is.", file=sys.stderr)
    return {
        secret.variable: getpass.getpass(f"{secret.found} ({secret.looks}): ") for secret in SLACK
    }


def rotate(ssm: Any, stack: str) -> tuple[str, bool]:
    """Makes a new webhook secret, to sign beside the one that is there.

    Returns:
        The new secret, and whether there was one before.

    Raises:
        Refused: two sign already, and receivers may still have either.
    """
    present = _webhook_secrets(ssm, stack)
    if len(present) > 1:
        raise Refused("the last rotation is not ended: run it with --retire first")
    new = new_webhook_secret()
    put(ssm, stack, shared_secrets.WEBHOOK_SECRETS, " ".join([new, *present]))
    return new, bool(present)


def retire(ssm: Any, stack: str) -> str:
    """Drops the older of two webhook secrets; returns the other. Raises `Refused`."""
    present = _webhook_secrets(ssm, stack)
    if len(present) < 2:
        raise Refused("there is no older secret to retire")
    put(ssm, stack, shared_secrets.WEBHOOK_SECRETS, present[0])
    return present[0]


def _webhook_secrets(ssm: Any, stack: str) -> list[str]:
    name = shared_secrets.parameter(stack, shared_secrets.WEBHOOK_SECRETS)
    try:
        value = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return []
    return str(value).split()


def api_of(stack: str) -> str:
    """The URL of a stack's API; so a secret is never set for a stack that is not there."""
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stacks[0].get("Outputs", [])}
    if "ApiUrl" not in outputs:
        raise Refused(f"{stack} is no stack of Slipway: it has no output ApiUrl")
    return str(outputs["ApiUrl"])


def _slack(ssm: Any, stack: str, api: str) -> None:
    for parameter in set_slack(ssm, stack, ask_for_slack()):
        print(f"Set: {parameter}")
    print(NEXT_FOR_SLACK.format(api=api))


def _webhooks(ssm: Any, stack: str, retiring: bool) -> None:
    if retiring:
        secret, then = retire(ssm, stack), NEXT_FOR_A_RETIREMENT
    else:
        secret, rotated = rotate(ssm, stack)
        then = NEXT_FOR_A_ROTATION if rotated else NEXT_FOR_THE_FIRST
    print(secret)
    print(then, file=sys.stderr)


def main() -> int:
    """Set the secrets as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.secrets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", required=True, help="name of the CloudFormation stack")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("slack", help="signing secret, bot token, incoming webhook")
    webhooks = kinds.add_parser("webhooks", help="make the secret that signs webhooks, or rotate")
    webhooks.add_argument("--retire", action="store_true", help="drop the older of two")
    arguments = parser.parse_args()
    try:
        api, ssm = api_of(arguments.stack), boto3.client("ssm")
        if arguments.kind == "slack":
            _slack(ssm, arguments.stack, api)
        else:
            _webhooks(ssm, arguments.stack, arguments.retire)
    except (BotoCoreError, ClientError, Refused) as error:
        print(f"Nothing was set: {with_fix(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
