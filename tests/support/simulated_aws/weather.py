"""Faults of calls: refusals, server errors and lost connections, planned or random.

https://docs.aws.amazon.com/general/latest/gr/api-retries.html
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from tests.support.simulated_aws.aws import Answer, AwsError, Call, ConnectionReset, Rule

# After `reset` the call has no effect. `lost_answer` and `late_server_error` come after the call
# took effect. `refused` is an error that the test chooses.
Kind = Literal[
    "throttled", "denied", "server_error", "reset", "lost_answer", "late_server_error", "refused"
]
AFTER_EFFECT = ("lost_answer", "late_server_error")
# Each service has its own error codes, listed in its API reference. The fallback is
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
RATE = "Rate exceeded"
THROTTLED: dict[str, tuple[str, str, int]] = {
    # https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "elbv2": ("Throttling", RATE, 400),
    "ecs": ("ThrottlingException", RATE, 400),
    "dynamodb": ("ThrottlingException", RATE, 400),
}
SERVER_ERROR: dict[str, tuple[str, str, int]] = {
    "ecs": ("ServerException", "Service Unavailable. Please try again later.", 500),
    "ec2": ("InternalError", "An internal error has occurred", 500),
    "elbv2": ("InternalFailure", "The request processing has failed.", 500),
    "dynamodb": ("InternalServerError", "Internal server error", 500),
    "application-autoscaling": ("InternalServiceException", "Please try again later.", 500),
    "logs": ("ServiceUnavailableException", "The service cannot complete the request.", 503),
}
DENIED_CODES = {"ec2": ("UnauthorizedOperation", 403), "elbv2": ("AccessDenied", 403)}


@dataclass(frozen=True)
class Fault:
    """The calls `nth` to `nth + times - 1` that match `name` fail.

    `name` is such as "elbv2.CreateLoadBalancer" or "ecs.*"; `code` and `message` are for `refused`.
    """

    name: str
    kind: Kind
    nth: int = 1
    times: int = 1
    code: str = ""
    message: str = ""


class Weather(Rule):
    """Planned and random faults.

    Attributes:
        faults: the planned faults; `plan` adds to them.
        chances: kind -> its probability for each call for which `exposed` returns true.
    """

    def __init__(self, seed: int = 0) -> None:
        self.faults: list[Fault] = []
        self.chances: dict[Kind, float] = {}
        self.exposed: Callable[[Call], bool] = lambda call: call.service != "dynamodb"
        self._random = random.Random(seed)
        self._seen: dict[Fault, int] = {}
        self._doomed: tuple[Call, Kind] | None = None

    def plan(self, *faults: Fault) -> None:
        """Plan faults. Calls are counted from now."""
        self.faults.extend(faults)

    def clear(self) -> None:
        """Remove all faults."""
        self.faults, self.chances, self._seen, self._doomed = [], {}, {}, None

    def before(self, call: Call) -> Answer | None:
        fault = self._planned(call) or self._by_chance(call)
        if fault is None:
            return None
        if fault.kind in AFTER_EFFECT:
            self._doomed = (call, fault.kind)
            return None
        if fault.kind == "refused":
            raise AwsError(fault.code, fault.message)
        raise went_wrong(call, fault.kind)

    def after(self, call: Call, answer: Answer) -> Answer:
        if self._doomed and self._doomed[0] is call:
            kind, self._doomed = self._doomed[1], None
            raise went_wrong(call, kind)
        return answer

    def _planned(self, call: Call) -> Fault | None:
        due = None
        for fault in self.faults:
            if fnmatchcase(call.name, fault.name):
                seen = self._seen[fault] = self._seen.get(fault, 0) + 1
                if fault.nth <= seen < fault.nth + fault.times:
                    due = due or fault
        return due

    def _by_chance(self, call: Call) -> Fault | None:
        if not self.chances or not self.exposed(call):
            return None
        for kind, probability in self.chances.items():
            if self._random.random() < probability:
                return Fault(call.name, kind)
        return None


def went_wrong(call: Call, kind: Kind) -> Exception:
    """The error of this kind, as the call's service returns it."""
    if kind in ("reset", "lost_answer"):
        return ConnectionReset(call.name)
    if kind == "throttled":
        return AwsError(*THROTTLED.get(call.service, ("ThrottlingException", RATE, 400)))
    if kind in ("server_error", "late_server_error"):
        fallback = ("InternalFailure", "The request processing has failed.", 500)
        return AwsError(*SERVER_ERROR.get(call.service, fallback))
    code, status = DENIED_CODES.get(call.service, ("AccessDeniedException", 400))
    action = f"{_iam_prefix(call.service)}:{call.operation}"
    return AwsError(
        code,
        "User: arn:aws:sts::123456789012:assumed-role/slipway/function is not authorized to "
        f"perform: {action} because no identity-based policy allows the {action} action",
        status,
    )


def _iam_prefix(service: str) -> str:
    return {"elbv2": "elasticloadbalancing", "stepfunctions": "states"}.get(service, service)
