"""The listener rule that answers requests while a deployment is paused.

The target group of an ECS service needs a listener (https://github.com/aws/aws-cdk/issues/1160). So
the listener keeps its forward action, and this rule takes precedence over it. AWS deletes the rule
with the load balancer in a teardown.
"""

from __future__ import annotations

import json
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.platform import aws
from chalicelib.resources import listener
from chalicelib.resources.tagging import retag_elbv2, tags_of, upper

KIND = ResourceKind.LISTENER_RULE
# The highest precedence.
PRIORITY = 1
EVERY_PATH = ["/*"]
STATUS = 503
CODE = "PAUSED"
RETRY_AFTER_SECONDS = 60


def body(deployment_id: str) -> str:
    """The JSON that the URL returns.

    A fixed response has a content type and at most 1024 bytes, but no custom headers. So the body
    contains `retry_after`, in seconds.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
    """
    return json.dumps(
        {
            "status": STATUS,
            "code": CODE,
            "title": "Service Unavailable",
            "detail": f"{deployment_id} is paused. Its owner can resume it with "
            f"POST /deployments/{deployment_id}/resume.",
            "retry_after": RETRY_AFTER_SECONDS,
        }
    )


def is_its_answer(status: int, text: str | bytes) -> bool:
    """Whether this rule, and not a task, sent an answer of the URL."""
    if status != STATUS:
        return False
    try:
        document: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("code") == CODE


def ensure(deployment: Deployment) -> Resource:
    """Creates or updates the rule on the listener that forwards to the tasks.

    Deletes the rule on any other listener. Raises `DeploymentFailed` (`INTERNAL`) if a foreign rule
    has its priority.
    """
    elbv2 = aws.client("elbv2")
    front = listener.serving(deployment)
    if front is None:
        raise NotReady(f"the listener of {deployment.id} is not visible yet")
    wanted: dict[str, Any] = {
        "Conditions": [{"Field": "path-pattern", "Values": EVERY_PATH}],
        "Actions": [_action(deployment.id)],
    }
    try:
        rule = _with_priority(front["ListenerArn"])
        if rule and not _is_own(rule, deployment):
            raise _conflict(rule)
        if rule is None:
            rule = elbv2.create_rule(
                ListenerArn=front["ListenerArn"],
                Priority=PRIORITY,
                Tags=upper(tags_of(deployment)),
                **wanted,
            )["Rules"][0]
        else:
            retag_elbv2(deployment, rule["RuleArn"])
            if not (_is_for_every_path(rule) and _answer(rule) == _answer(wanted)):
                elbv2.modify_rule(RuleArn=rule["RuleArn"], **wanted)
    except elbv2.exceptions.PriorityInUseException:
        raise NotReady(
            f"the listener rule of {deployment.id} exists but is not visible yet"
        ) from None
    except (
        elbv2.exceptions.ListenerNotFoundException,
        elbv2.exceptions.RuleNotFoundException,
    ) as error:
        raise NotReady(f"a resource is not visible yet: {aws.message_of(error)}") from None
    # A rule remains on the other listener if HTTPS was turned on or off during the pause.
    _delete(_existing(deployment) - {rule["RuleArn"]})
    return Resource(kind=KIND, name=f"{deployment.id}:pause", arn=rule["RuleArn"])


def find(deployment: Deployment, listener_arn: str) -> dict[str, Any] | None:
    """The deployment's rule on a listener, or None.

    Ignores a foreign rule with the same priority, so that Slipway never changes or deletes it.
    """
    rule = _with_priority(listener_arn)
    return rule if rule and _is_own(rule, deployment) else None


def _with_priority(listener_arn: str) -> dict[str, Any] | None:
    elbv2 = aws.client("elbv2")
    try:
        answer = elbv2.describe_rules(ListenerArn=listener_arn)
    except elbv2.exceptions.ListenerNotFoundException:
        return None
    return next((rule for rule in answer["Rules"] if rule["Priority"] == str(PRIORITY)), None)


def is_in_force(rule: dict[str, Any]) -> bool:
    """Whether a rule answers every path with the pause; another version's text also counts."""
    return _says_that_it_is_paused(rule) and _is_for_every_path(rule)


def _is_own(rule: dict[str, Any], deployment: Deployment) -> bool:
    return rule["RuleArn"] in _recorded(deployment) or _says_that_it_is_paused(rule)


def _recorded(deployment: Deployment) -> set[str]:
    return {made.arn for made in deployment.live(KIND) if made.arn}


def _conflict(rule: dict[str, Any]) -> DeploymentFailed:
    return DeploymentFailed(
        FailureCode.INTERNAL,
        f"The listener has a rule with priority {PRIORITY} that Slipway did not create.",
        hint="Delete the rule or change its priority, then pause again.",
        evidence={"rule": rule["RuleArn"]},
    )


def _says_that_it_is_paused(rule: dict[str, Any]) -> bool:
    answer = _answer(rule)
    return is_its_answer(int(answer.get("StatusCode", 0)), answer.get("MessageBody", ""))


def _is_for_every_path(rule: dict[str, Any]) -> bool:
    (condition, *others) = rule["Conditions"] or [{}]
    # AWS returns one of the two, or both.
    values = condition.get("Values") or condition.get("PathPatternConfig", {}).get("Values")
    return not others and condition.get("Field") == "path-pattern" and values == EVERY_PATH


def _answer(rule: dict[str, Any]) -> dict[str, Any]:
    return dict(rule["Actions"][0].get("FixedResponseConfig", {}))


def delete(deployment: Deployment) -> None:
    """Deletes the rule and checks that it is gone. Succeeds if there is none.

    Also deletes the ARN in the record, because AWS may not show a new rule yet.
    """
    known = _recorded(deployment) | _existing(deployment)
    _delete(known)
    if known and _existing(deployment):
        raise NotReady(f"the listener rule of {deployment.id} still exists")


def _existing(deployment: Deployment) -> set[str]:
    """The ARNs of the deployment's rules, on any listener."""
    rules = (find(deployment, arn) for arn in listener.arns(deployment.id))
    return {rule["RuleArn"] for rule in rules if rule}


def _delete(arns: set[str]) -> None:
    elbv2 = aws.client("elbv2")
    for arn in arns:
        try:
            elbv2.delete_rule(RuleArn=arn)
        except elbv2.exceptions.RuleNotFoundException:
            continue


def _action(deployment_id: str) -> dict[str, Any]:
    return {
        "Type": "fixed-response",
        "FixedResponseConfig": {
            "StatusCode": str(STATUS),
            "ContentType": "application/json",
            "MessageBody": body(deployment_id),
        },
    }
