"""Names and tags of all resources of a deployment, derived from its ID alone.

So a teardown needs only the ID. It also finds resources that a crashed step created and never
recorded.
"""

from __future__ import annotations

import re
import secrets

ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
NAME_PATTERN = r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?"
ID_PATTERN = re.compile(rf"{NAME_PATTERN}-[a-z2-7]{{6}}")

TAG_DEPLOYMENT = "slipway:deployment"
TAG_OWNER = "slipway:owner"
TAG_STACK = "slipway:stack"
TAG_SPEC = "slipway:spec"

CONTAINER_NAME = "app"


def new_id(name: str) -> str:
    """`<name>-<6 of a-z2-7>`, at most 31 characters: a load balancer's name has at most 32."""
    return f"{name}-{''.join(secrets.choice(ID_ALPHABET) for _ in range(6))}"


def load_balancer_security_group(deployment_id: str) -> str:
    """The load balancer's security group. EC2 refuses names that start with `sg-`."""
    return f"slipway-{deployment_id}-lb"


def task_security_group(deployment_id: str) -> str:
    """The tasks' security group, which only admits traffic from the load balancer."""
    return f"slipway-{deployment_id}-task"


def log_group(deployment_id: str, stack_name: str) -> str:
    """The log group of the tasks."""
    return f"/slipway/{stack_name}/deployments/{deployment_id}"


def execution(deployment_id: str, generation: int) -> str:
    """The name of the execution for one generation of a deployment."""
    return f"{deployment_id}-{generation}"


def tags(deployment_id: str, owner: str, stack_name: str, own: dict[str, str]) -> dict[str, str]:
    """The caller's `own` tags, and those of Slipway, which take precedence."""
    return {
        **own,
        TAG_DEPLOYMENT: deployment_id,
        TAG_OWNER: owner,
        TAG_STACK: stack_name,
    }
