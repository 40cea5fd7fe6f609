"""boto3's errors for a missing region or missing credentials, with the fix."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError

# https://docs.aws.amazon.com/boto3/latest/guide/configuration.html
FIXES: dict[type[BotoCoreError], str] = {
    NoRegionError: "Run `export AWS_DEFAULT_REGION=us-east-1` or `aws configure`",
    NoCredentialsError: "Run `export AWS_PROFILE=...`, `aws configure` or `aws sso login`",
}


def with_fix(error: Exception) -> str:
    """Return the error's message, followed by the fix if one is known."""
    fix = next((fix for kind, fix in FIXES.items() if isinstance(error, kind)), None)
    return f"{str(error).rstrip('.')}. {fix}." if fix else str(error)
