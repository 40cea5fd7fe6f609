"""What boto3 says where it was not told of a region or credentials, with how to tell it."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError

# https://docs.aws.amazon.com/boto3/latest/guide/configuration.html
FIXES: dict[type[BotoCoreError], str] = {
    NoRegionError: "`export AWS_DEFAULT_REGION=us-east-1`, or `aws configure`",
    NoCredentialsError: "`export AWS_PROFILE=...`, or `aws configure`, or `aws sso login`",
}


def with_fix(error: Exception) -> str:
    """The error's own words, and after them the fix where it is one of those."""
    fix = next((fix for kind, fix in FIXES.items() if isinstance(error, kind)), None)
    return f"{str(error).rstrip('.')}: {fix}" if fix else str(error)
