"""Explain why the load balancer reports a task as unhealthy.

Reasons and descriptions of target health:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/check-target-health.html
"""

from __future__ import annotations

import re
from typing import Any

from chalicelib.domain.errors import FailureCode
from chalicelib.domain.spec.spec import Spec
from chalicelib.workflow.verdict import Verdict

_CODES = re.compile(r"\[([\d, ]+)\]")


def judge_unhealthy(
    spec: Spec, target_health: list[dict[str, Any]], log_lines: list[str]
) -> Verdict:
    """Why a running task is unhealthy.

    Args:
        target_health: the targets as the load balancer describes them: `state`, `reason` and
            `description`. The first with a reason counts.
        log_lines: the last log lines of the task, oldest first.
    """
    target = next((each for each in target_health if each.get("reason")), {})
    message, hint = _explained(spec, target.get("reason", ""), target.get("description", ""))
    return Verdict(FailureCode.HEALTH_CHECK_FAILED, message, hint)


def _explained(spec: Spec, reason: str, description: str) -> tuple[str, str]:
    check = spec.health_check
    request = f"GET {check.path} on port {spec.container_port}"
    slow = f"If the model starts slowly, raise `health_check.grace` (now {check.grace} s)."
    if reason == "Target.ResponseCodeMismatch":
        found = _CODES.search(description)
        returned = f"returned {found[1]}" if found else "returned another status"
        return (
            f"{request} {returned}, but the health check expects {check.status}.",
            f"Set `health_check.path` to a path that returns {check.status}.",
        )
    if reason == "Target.Timeout":
        return (
            f"{request} had no response within {check.timeout} s.",
            f"Raise `health_check.timeout`, or set `health_check.path` to a faster path. {slow}",
        )
    if reason == "Target.FailedHealthChecks":
        return (
            f"{request}: the connection failed, or the answer was not HTTP/1.1.",
            "Set `port` to the container's port, listen on 0.0.0.0, and serve plain HTTP/1.1 "
            f"(not TLS or HTTP/2). {slow}",
        )
    return (
        f"{request} does not pass the health check.",
        f"Check `health_check` and `port`. {slow}",
    )
