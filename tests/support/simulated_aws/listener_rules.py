"""Listener rules: requests that Elastic Load Balancing refuses and emulators accept."""

from __future__ import annotations

from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, ServiceRule
from tests.support.simulated_aws.order import Ask, ask_for_items

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
CONTENT_TYPES = (
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
)
MOST_CHARACTERS = 1024


class ListenerRules(ServiceRule):
    """Refuses a rule without a listener, with a used priority, or with an invalid fixed response.

    Args:
        ask: as for `Order`.
    """

    service = "elbv2"

    def __init__(self, ask: Ask) -> None:
        self._ask_for = ask

    def _before_CreateRule(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html"""
        arn = params["ListenerArn"]
        if not self._find("DescribeListeners", "Listeners", ListenerArns=[arn]):
            raise AwsError("ListenerNotFound", f"Listener '{arn}' not found")
        taken = [r["Priority"] for r in self._find("DescribeRules", "Rules", ListenerArn=arn)]
        if str(params["Priority"]) in taken:
            raise AwsError("PriorityInUse", f"Priority '{params['Priority']}' is currently in use")
        _check(params["Actions"])

    def _before_ModifyRule(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyRule.html"""
        self._check_exists(params["RuleArn"])
        _check(params.get("Actions", []))

    def _before_DeleteRule(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteRule.html"""
        self._check_exists(params["RuleArn"])

    def _check_exists(self, arn: str) -> None:
        if not self._find("DescribeRules", "Rules", RuleArns=[arn]):
            raise AwsError("RuleNotFound", f"Rule '{arn}' not found")

    def _find(self, operation: str, key: str, **params: Any) -> list[Answer]:
        return ask_for_items(self._ask_for, self.service, operation, key, **params)


def _check(actions: list[Answer]) -> None:
    for action in actions:
        answer = action.get("FixedResponseConfig", {})
        if answer.get("ContentType", CONTENT_TYPES[0]) not in CONTENT_TYPES:
            message = f"The content type '{answer['ContentType']}' is not valid"
            raise AwsError("ValidationError", message)
        if len(answer.get("MessageBody", "")) > MOST_CHARACTERS:
            message = f"The message body cannot be longer than {MOST_CHARACTERS} characters"
            raise AwsError("ValidationError", message)
