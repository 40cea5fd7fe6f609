"""A call to AWS, the rules that it meets, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

Answer = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        service: boto3's name, such as "ecs", "elbv2", "ec2", "logs", "dynamodb", "stepfunctions".
        operation: the API's name, such as "CreateService".
        params: as boto3 takes them.
    """

    service: str
    operation: str
    params: dict[str, Any]

    @property
    def name(self) -> str:
        """Such as "ecs.CreateService"."""
        return f"{self.service}.{self.operation}"


class AwsError(Exception):
    """AWS answers with an error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class ConnectionReset(Exception):
    """No answer comes: raised before the emulator's turn the call had no effect, after it had."""


def ask(client: Any, call: Call) -> Answer:
    """What a boto3 client is answered; its errors as `AwsError`, caused by the `ClientError`."""
    try:
        # The one method that every operation of a boto3 client goes through.
        return dict(client._make_api_call(call.operation, call.params))
    except ClientError as error:
        said, status = error.response["Error"], error.response["ResponseMetadata"]
        raise AwsError(said["Code"], said["Message"], status["HTTPStatusCode"]) from error


class Clock(Protocol):
    """Time as the rules see it."""

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        ...


class Rule:
    """Something that AWS does and an emulator does not. Both methods may raise `AwsError` or
    `ConnectionReset`; rules work out what has happened meanwhile from the clock at each call."""

    def before(self, call: Call) -> Answer | None:
        """An answer in the emulator's stead, or None to go on."""
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        """The emulator's answer, corrected."""
        return answer


class ServiceRule(Rule):
    """A rule about one service, with a method for each operation that it is about:
    `_before_<Operation>(params)` and `_after_<Operation>(params, answer)`. None changes nothing."""

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
    """The rules in order: the first to answer wins, and every one sees the answer, last first."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = list(rules)

    def handle(self, call: Call, emulator: Callable[[Call], Answer]) -> Answer:
        """What AWS would answer; raises `AwsError` or `ConnectionReset`."""
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
