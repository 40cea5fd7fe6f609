"""`python -m infra.secrets --stack slipway-dev slack | webhooks` sets a stack's shared secrets.

`slack` reads Slack's secrets from the environment (SLACK_...), from lines `SLACK_...=...` on
standard input, or asks for them without echo. Each of them is optional. `webhooks` creates the
secret that signs webhooks. If a secret exists, both sign until you run it with `--retire`.

The secrets are SecureString parameters under the AWS managed key of SSM, which needs no permission:
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

# Standard Webhooks requires 24 to 64 bytes.
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
WEBHOOK_SECRET_BYTES = 32
NEXT_FOR_SLACK = """
The functions use them within five minutes. Enter these URLs at https://api.slack.com/apps:
  Slash Commands, Request URL:                 {api}/slack/commands
  Interactivity & Shortcuts, Request URL:      {api}/slack/interactions
Then map channels and users to owners: docs/slack.md."""
NEXT_FOR_THE_FIRST = """
Give this secret to every receiver of webhooks; they need it to verify the signature
(docs/webhooks.md). The functions use it within five minutes."""
NEXT_FOR_A_ROTATION = """
Within five minutes every webhook is signed with both secrets. Give the new secret to every receiver
of webhooks. When all of them have it, run this command with --retire to stop using the old one."""
NEXT_FOR_A_RETIREMENT = """
Within five minutes only this secret signs webhooks. Receivers with only the old secret then reject
them."""


class Refused(Exception):
    """No secret was set; the message says why and what to do, and contains no secret."""


@dataclass(frozen=True)
class SlackSecret:
    """One of Slack's secrets: its parameter, its variable, its format, and where Slack shows it."""

    name: str
    variable: str
    form: re.Pattern[str]
    looks: str
    page: str


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
    """Return a secret in the format of Standard Webhooks: `whsec_` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(WEBHOOK_SECRET_BYTES)).decode()


def put(ssm: Any, stack: str, name: str, value: str) -> None:
    """Set a secret of a stack, one of `shared_secrets.ALL`.

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
    """Set the given secrets of Slack; check all of them before setting any.

    Args:
        given: the secrets by the name of their variable; an empty value is ignored.

    Returns:
        The names of the parameters that were set.

    Raises:
        Refused: a secret has the wrong format, a name is unknown, or no secret is given.
    """
    values = {name: value.strip() for name, value in given.items() if value.strip()}
    faults = [
        f"{secret.variable} must look like {secret.looks} (in Slack: {secret.page})"
        for secret in SLACK
        if secret.variable in values and not secret.form.fullmatch(values[secret.variable])
    ]
    faults += [
        f"every line must begin with {' or '.join(f'{secret.variable}=' for secret in SLACK)}"
        for _ in values.keys() - {secret.variable for secret in SLACK}
    ]
    if faults:
        raise Refused("; ".join(faults))
    if not values:
        raise Refused("no secret is given. Set a variable, or enter at least one secret")
    chosen = [secret for secret in SLACK if secret.variable in values]
    for secret in chosen:
        put(ssm, stack, secret.name, values[secret.variable])
    return [shared_secrets.parameter(stack, secret.name) for secret in chosen]


def ask_for_slack() -> dict[str, str]:
    """Return Slack's secrets by variable, from the environment or else from standard input."""
    variables = [secret.variable for secret in SLACK]
    given = {name: os.environ[name] for name in variables if os.environ.get(name)}
    if given:
        return given
    if not sys.stdin.isatty():
        lines = (line.strip() for line in sys.stdin)
        return {name.strip(): value for name, _, value in (ln.partition("=") for ln in lines if ln)}
    print("Press Enter to keep a secret as it is.", file=sys.stderr)
    return {
        secret.variable: getpass.getpass(f"{secret.page} ({secret.looks}): ") for secret in SLACK
    }


def rotate(ssm: Any, stack: str) -> tuple[str, bool]:
    """Create a webhook secret; an existing one continues to sign as well.

    Returns:
        The new secret, and whether a secret existed before.

    Raises:
        Refused: two secrets sign already, and receivers may have either of them.
    """
    present = _webhook_secrets(ssm, stack)
    if len(present) > 1:
        raise Refused("the last rotation is not complete. Run this command with --retire first")
    new = new_webhook_secret()
    put(ssm, stack, shared_secrets.WEBHOOK_SECRETS, " ".join([new, *present]))
    return new, bool(present)


def retire(ssm: Any, stack: str) -> str:
    """Delete the older of two webhook secrets and return the other; raise `Refused` if only one."""
    present = _webhook_secrets(ssm, stack)
    if len(present) < 2:
        raise Refused("no older secret exists, so there is nothing to retire")
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
    """Return the URL of a stack's API, which also proves that the stack exists."""
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stacks[0].get("Outputs", [])}
    if "ApiUrl" not in outputs:
        raise Refused(f"the stack {stack} is not a Slipway stack, because it has no output ApiUrl")
    return str(outputs["ApiUrl"])


def _slack(ssm: Any, stack: str, api: str) -> None:
    for parameter in set_slack(ssm, stack, ask_for_slack()):
        print(f"Set: {parameter}")
    print(NEXT_FOR_SLACK.format(api=api))


def _webhooks(ssm: Any, stack: str, retiring: bool) -> None:
    if retiring:
        secret, instruction = retire(ssm, stack), NEXT_FOR_A_RETIREMENT
    else:
        secret, rotated = rotate(ssm, stack)
        instruction = NEXT_FOR_A_ROTATION if rotated else NEXT_FOR_THE_FIRST
    print(secret)
    print(instruction, file=sys.stderr)


def main() -> int:
    """Set the secrets that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.secrets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", required=True, help="name of the CloudFormation stack")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("slack", help="signing secret, bot token, incoming webhook")
    webhooks = kinds.add_parser("webhooks", help="create or rotate the secret that signs webhooks")
    webhooks.add_argument("--retire", action="store_true", help="delete the older of two secrets")
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
