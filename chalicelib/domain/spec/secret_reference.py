"""ARNs of secrets, in the form that ECS expects in `valueFrom`. Slipway never handles a value.

A Secrets Manager ARN can end in `:json-key:version-stage:version-id`; each part can be empty.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-ssm-paramstore.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACE = r"(?P<region>[a-z0-9-]{1,32}):(?P<account>\d{12})"
SECRET = re.compile(
    rf"(?P<arn>arn:aws[a-z-]{{0,16}}:secretsmanager:{_PLACE}:secret:[\w/+=.@-]{{1,519}})"
    r"(?::(?P<json_key>[^:\s]{0,256}):(?P<stage>[^:\s]{0,256}):(?P<version_id>[\w-]{0,64}))?",
    re.ASCII,
)
PARAMETER = re.compile(
    rf"(?P<arn>arn:aws[a-z-]{{0,16}}:ssm:{_PLACE}:parameter/(?P<name>[\w/.-]{{1,1011}}))", re.ASCII
)
DEFAULT_STAGE = "AWSCURRENT"


@dataclass(frozen=True)
class SecretReference:
    """The parts of a secret's ARN.

    `arn` excludes the suffix for key and version. `parameter` is empty for a Secrets Manager
    secret. `stage` is empty for a parameter, and if the reference names a version by its ID.
    """

    arn: str
    region: str
    account: str
    parameter: str = ""
    stage: str = ""

    @property
    def service(self) -> str:
        """The service that stores the secret, as its ARN and its VPC endpoint name it."""
        return "ssm" if self.parameter else "secretsmanager"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The possible names of the parameter: `x` and `/x` have the same ARN."""
        with_slash = f"/{self.parameter}"
        return (with_slash,) if "/" in self.parameter else (self.parameter, with_slash)


def parse(value: str) -> SecretReference:
    """The reference in `value`.

    Raises `ValueError` without `value`, because a caller may have sent the secret itself.
    """
    if part := PARAMETER.fullmatch(value):
        return SecretReference(part["arn"], part["region"], part["account"], part["name"])
    part = SECRET.fullmatch(value)
    if part is None or (part["stage"] and part["version_id"]):
        raise ValueError(
            "must be the ARN of a Secrets Manager secret or an SSM parameter, never a value: "
            "a secret's ARN can end in :json-key:version-stage: or :json-key::version-id"
        )
    stage = "" if part["version_id"] else part["stage"] or DEFAULT_STAGE
    return SecretReference(part["arn"], part["region"], part["account"], stage=stage)


def is_allowed(reference: SecretReference, allowed: tuple[str, ...]) -> bool:
    """Whether `allowed` contains the ARN, or a prefix of it that ends in `*`."""
    return any(
        reference.arn.startswith(entry[:-1]) if entry.endswith("*") else reference.arn == entry
        for entry in allowed
    )
