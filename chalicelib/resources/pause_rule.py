"""The listener rule that answers in place of the tasks of a paused deployment.

The service must keep its target group behind a listener, so the listener goes on forwarding to it
and this rule stands before that: https://github.com/aws/aws-cdk/issues/1160. A teardown takes it
away with its load balancer.
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
# Before every other.
PRIORITY = 1
EVERY_PATH = ["/*"]
STATUS = 503
CODE = "PAUSED"
RETRY_AFTER_SECONDS = 60


def body(deployment_id: str) -> str:
    """What the URL answers, as JSON.

    A fixed response has a content type and at most 1024 bytes, and no header of ours, so
    `retry_after` (seconds) stands in the body.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
    """
    return json.dumps(
        {
            "status": STATUS,
            "code": CODE,
            "title": "Service Unavailable",
            "detail": f"{deployment_id} is paused: it answers again when its owner resumes it, by "
            f"POST /deployments/{deployment_id}/resume.",
            "retry_after": RETRY_AFTER_SECONDS,
        }
    )


def is_its_answer(status: int, text: str | bytes) -> bool:
    """Whether an answer of the URL is the one of this rule, and not of a task."""
    if status != STATUS:
        return False
    try:
        document: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("code") == CODE


def ensure(deployment: Deployment) -> Resource:
    """Creates the rule, or brings the one at its place to its answer; it stands on the listener
    that serves, and on no other."""
    elbv2 = aws.client("elbv2")
    front = listener.serving(deployment)
    if front is None:
        raise NotReady(f"the listener of {deployment.id} is not visible yet")
    wanted: dict[str, Any] = {
        "Conditions": [{"Field": "path-pattern", "Values": EVERY_PATH}],
        "Actions": [_action(deployment.id)],
    }
    try:
        found = _at_its_place(front["ListenerArn"])
        if found and not _is_own(found, deployment):
            raise _in_the_way(found)
        if found is None:
            found = elbv2.create_rule(
                ListenerArn=front["ListenerArn"],
                Priority=PRIORITY,
                Tags=upper(tags_of(deployment)),
                **wanted,
            )["Rules"][0]
        else:
            retag_elbv2(deployment, found["RuleArn"])
            if not (_is_for_every_path(found) and _answer(found) == _answer(wanted)):
                elbv2.modify_rule(RuleArn=found["RuleArn"], **wanted)
    except elbv2.exceptions.PriorityInUseException:
        raise NotReady(f"the rule of {deployment.id} exists but is not visible yet") from None
    except (
        elbv2.exceptions.ListenerNotFoundException,
        elbv2.exceptions.RuleNotFoundException,
    ) as error:
        raise NotReady(f"not visible yet: {aws.message_of(error)}") from None
    # HTTPS was turned on or off while it was paused.
    _delete(_standing(deployment) - {found["RuleArn"]})
    return Resource(kind=KIND, name=f"{deployment.id}:pause", arn=found["RuleArn"])


def find(deployment: Deployment, listener_arn: str) -> dict[str, Any] | None:
    """The deployment's rule on a listener, or None.

    One that somebody else has put at its place is none: it is neither changed nor deleted.
    """
    found = _at_its_place(listener_arn)
    return found if found and _is_own(found, deployment) else None


def _at_its_place(listener_arn: str) -> dict[str, Any] | None:
    elbv2 = aws.client("elbv2")
    try:
        answer = elbv2.describe_rules(ListenerArn=listener_arn)
    except elbv2.exceptions.ListenerNotFoundException:
        return None
    return next((rule for rule in answer["Rules"] if rule["Priority"] == str(PRIORITY)), None)


def is_in_force(rule: dict[str, Any]) -> bool:
    """Whether a rule answers every path that it is paused, if with the words of another version."""
    return _says_that_it_is_paused(rule) and _is_for_every_path(rule)


def _is_own(rule: dict[str, Any], deployment: Deployment) -> bool:
    return rule["RuleArn"] in _recorded(deployment) or _says_that_it_is_paused(rule)


def _recorded(deployment: Deployment) -> set[str]:
    return {made.arn for made in deployment.live(KIND) if made.arn}


def _in_the_way(rule: dict[str, Any]) -> DeploymentFailed:
    return DeploymentFailed(
        FailureCode.INTERNAL,
        f"The listener has a rule with priority {PRIORITY} that is not Slipway's.",
        hint="Delete that rule or give it another priority, then pause again.",
        evidence={"rule": rule["RuleArn"]},
    )


def _says_that_it_is_paused(rule: dict[str, Any]) -> bool:
    answer = _answer(rule)
    return is_its_answer(int(answer.get("StatusCode", 0)), answer.get("MessageBody", ""))


def _is_for_every_path(rule: dict[str, Any]) -> bool:
    (condition, *others) = rule["Conditions"] or [{}]
    # AWS shows one of the two, or both.
    values = condition.get("Values") or condition.get("PathPatternConfig", {}).get("Values")
    return not others and condition.get("Field") == "path-pattern" and values == EVERY_PATH


def _answer(rule: dict[str, Any]) -> dict[str, Any]:
    return dict(rule["Actions"][0].get("FixedResponseConfig", {}))


def delete(deployment: Deployment) -> None:
    """Deletes the rule and asks AWS whether it is gone. Succeeds where there is none.

    One that was made a moment ago may not be shown yet, so the record's is deleted by its ARN.
    """
    known = _recorded(deployment) | _standing(deployment)
    _delete(known)
    if known and _standing(deployment):
        raise NotReady(f"the rule of {deployment.id} is still there")


def _standing(deployment: Deployment) -> set[str]:
    """ARNs of its rules, on any listener."""
    found = (find(deployment, arn) for arn in listener.arns(deployment.id))
    return {rule["RuleArn"] for rule in found if rule}


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
