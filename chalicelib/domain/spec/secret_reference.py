"""References to secrets, as ECS takes them in `valueFrom`: ARNs, and never a value.

A Secrets Manager ARN may end in `:json-key:version-stage:version-id`, each of which may be empty.
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
    """Where a secret is.

    `arn` is without the suffix of key and version; `parameter` is empty for a secret of Secrets
    Manager; `stage` is empty where a version is named by its id, or for a parameter.
    """

    arn: str
    region: str
    account: str
    parameter: str = ""
    stage: str = ""

    @property
    def service(self) -> str:
        """The service that holds it, as in its ARN and in the name of its VPC endpoint."""
        return "ssm" if self.parameter else "secretsmanager"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names that the parameter may have: an ARN does not tell `x` from `/x`."""
        with_slash = f"/{self.parameter}"
        return (with_slash,) if "/" in self.parameter else (self.parameter, with_slash)


def parse(value: str) -> SecretReference:
    """The reference in `value`. Raises `ValueError`, which never repeats what may be a secret."""
    if found := PARAMETER.fullmatch(value):
        return SecretReference(found["arn"], found["region"], found["account"], found["name"])
    found = SECRET.fullmatch(value)
    if found is None or (found["stage"] and found["version_id"]):
        raise ValueError(
            "never a value: give the ARN of a Secrets Manager secret, which may end in "
            ":json-key:version-stage: or :json-key::version-id, or of an SSM parameter"
        )
    stage = "" if found["version_id"] else found["stage"] or DEFAULT_STAGE
    return SecretReference(found["arn"], found["region"], found["account"], stage=stage)


def is_allowed(reference: SecretReference, allowed: tuple[str, ...]) -> bool:
    """Whether the ARN is one of `allowed`, or begins with one of them that ends in `*`."""
    return any(
        reference.arn.startswith(entry[:-1]) if entry.endswith("*") else reference.arn == entry
        for entry in allowed
    )
