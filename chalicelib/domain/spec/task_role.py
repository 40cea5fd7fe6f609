"""The rules for `task_role_arn`: an IAM role that the stack allows for deployed containers.

Only literal ARNs are allowed, because the list is also the resource of `iam:PassRole`.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
"""

from __future__ import annotations

import re

from chalicelib.domain.spec.faults import shown

# A role's name may contain a comma, but the stack's list cannot.
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html
ARN = re.compile(r"arn:aws[a-z-]{0,16}:iam::\d{12}:role/[\w+=.@/-]{1,576}", re.ASCII)


def check(value: str, allowed: tuple[str, ...] | None) -> None:
    """Raises `ValueError` unless `value` is the ARN of a role in `allowed`.

    Every role is allowed if `allowed` is None: a stored record is read without the stack's limits.
    """
    if not ARN.fullmatch(value):
        raise ValueError(
            f"must be the ARN of an IAM role, not {shown(value)}. "
            "Example: arn:aws:iam::123456789012:role/model-reader"
        )
    if allowed is not None and value not in allowed:
        raise ValueError(
            f"must be an allowed role ({', '.join(allowed) or 'none is set'}), not {value}: your "
            "platform team sets AllowedTaskRoles"
        )
