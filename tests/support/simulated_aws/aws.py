"""A call to AWS, the rules that apply to it, and its possible outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from botocore.exceptions import ClientError

from local.gateway.wire import Answer, AwsError, Call

__all__ = ["Answer", "AwsError", "Call"]


class ConnectionReset(Exception):
    """No response arrives. The call took effect only if this is raised after the emulator ran."""


def ask(client: Any, call: Call) -> Answer:
    """The response of a boto3 client. A `ClientError` is raised as an `AwsError`."""
    try:
        # Every operation of a boto3 client calls this method.
        return dict(client._make_api_call(call.operation, call.params))
    except ClientError as error:
        details, status = error.response["Error"], error.response["ResponseMetadata"]
        raise AwsError(details["Code"], details["Message"], status["HTTPStatusCode"]) from error


class Clock(Protocol):
    """The time that the rules use."""

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        ...


class Rule:
    """A behaviour of AWS that an emulator does not have.

    Both methods may raise `AwsError` or `ConnectionReset`. At each call, rules use the clock to
    work out what has happened since the last call.
    """

    def before(self, call: Call) -> Answer | None:
        """Return a response that replaces the emulator's, or None to continue."""
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        """Return the emulator's response with corrections."""
        return answer


class ServiceRule(Rule):
    """A rule for one service, with methods for the operations that it changes.

    The methods are `_before_<Operation>(params)` and `_after_<Operation>(params, answer)`. A
    method that returns None changes nothing.
    """

    service: str

    def before(self, call: Call) -> Answer | None:
        handler = self._handler("before", call)
        answer: Answer | None = handler(call.params) if handler else None
        return answer

    def after(self, call: Call, answer: Answer) -> Answer:
        handler = self._handler("after", call)
        amended: Answer | None = handler(call.params, answer) if handler else None
        return answer if amended is None else amended

    def _handler(self, when: str, call: Call) -> Callable[..., Any] | None:
        if call.service != self.service:
            return None
        return getattr(self, f"_{when}_{call.operation}", None)


class Layer:
    """The rules in order. The first response wins; all rules then see it, in reverse order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = list(rules)

    def handle(self, call: Call, emulator: Callable[[Call], Answer]) -> Answer:
        """Return AWS's response; raise `AwsError` or `ConnectionReset`."""
        answer: Answer | None = None
        passed: list[Rule] = []
        for rule in self.rules:
            answer = rule.before(call)
            passed.append(rule)
            if answer is not None:
                break
        if answer is None:
            answer = emulator(call)
        for rule in reversed(passed):
            answer = rule.after(call, answer)
        return answer
