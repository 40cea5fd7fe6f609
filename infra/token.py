"""`python -m infra.token --stack slipway-dev --owner team-a --scopes read,deploy` creates a token.

A stack's first token cannot come from its API, because the API requires a token. The token is
printed once and not stored; the table keeps only its hash.
"""

import argparse
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.store import tokens
from infra.aws_errors import with_fix


def table_of(stack: str) -> str:
    """Return the table name in the outputs of a CloudFormation stack; raise KeyError if missing."""
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {o["OutputKey"]: o["OutputValue"] for o in stacks[0].get("Outputs", [])}["TableName"]


def main() -> int:
    """Create the token that the command line describes; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.token", description=__doc__)
    parser.add_argument("--stack", required=True, help="name of the CloudFormation stack")
    parser.add_argument(
        "--owner", required=True, help="the owner of the deployments that the token can use"
    )
    parser.add_argument(
        "--scopes", default="read,deploy", help="comma-separated: read, deploy, admin"
    )
    arguments = parser.parse_args()
    try:
        token_id, token = tokens.issue(
            table_name=table_of(arguments.stack),
            owner=arguments.owner,
            scopes=[scope.strip() for scope in arguments.scopes.split(",")],
            client=boto3.client("dynamodb"),
        )
    except (BotoCoreError, ClientError, KeyError, ValueError) as error:
        print(f"No token was created: {with_fix(error)}", file=sys.stderr)
        return 1
    print(
        f"{token_id} of {arguments.owner} ({arguments.scopes}), shown only once:", file=sys.stderr
    )
    print(token)
    return 0


if __name__ == "__main__":
    sys.exit(main())
