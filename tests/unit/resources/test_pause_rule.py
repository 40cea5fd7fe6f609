import json
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NotReady
from chalicelib.platform import aws
from chalicelib.resources import listener, load_balancer, pause_rule
from tests.support import aws_says
from tests.support.builders import ID, MOMENT, deployment_of

LONGEST_ID = f"{'a' * 24}-abcdef"
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
MOST_BYTES = 1024


def front() -> dict[str, Any]:
    shown = listener.serving(deployment_of())
    assert shown
    return shown


def rules() -> list[dict[str, Any]]:
    """All rules except the default rule."""
    shown = aws.client("elbv2").describe_rules(ListenerArn=front()["ListenerArn"])["Rules"]
    return [rule for rule in shown if not rule["IsDefault"]]


def test_the_body_says_that_it_is_paused_and_when_to_retry() -> None:
    answer = json.loads(pause_rule.body(ID))
    assert (answer["status"], answer["code"], answer["retry_after"]) == (503, "PAUSED", 60)
    assert f"POST /deployments/{ID}/resume" in answer["detail"]
    assert len(pause_rule.body(LONGEST_ID).encode()) <= MOST_BYTES


def test_repeated_ensure_creates_one_rule_for_every_path_with_the_stacks_tags(
    deployed: Deployment,
) -> None:
    first, second = pause_rule.ensure(deployed), pause_rule.ensure(deployed)
    assert first == second
    [rule] = rules()
    assert (rule["Priority"], rule["Conditions"][0]["Values"]) == ("1", ["/*"])
    answer = rule["Actions"][0]["FixedResponseConfig"]
    assert (answer["StatusCode"], answer["ContentType"]) == ("503", "application/json")
    assert answer["MessageBody"] == pause_rule.body(ID)
    assert pause_rule.is_in_force(rule)
    tags = aws.client("elbv2").describe_tags(ResourceArns=[first.arn])["TagDescriptions"][0]["Tags"]
    assert {"Key": "slipway:deployment", "Value": ID} in tags
    assert {"Key": "team", "Value": "a"} in tags


@pytest.mark.parametrize(
    "change",
    [
        {
            "Actions": [
                {
                    "Type": "fixed-response",
                    "FixedResponseConfig": {
                        "StatusCode": "200",
                        "ContentType": "text/plain",
                        "MessageBody": "hello",
                    },
                }
            ]
        },
        {"Conditions": [{"Field": "path-pattern", "Values": ["/health"]}]},
        {"Conditions": [{"Field": "host-header", "Values": ["example.com"]}]},
    ],
)
def test_a_manually_changed_rule_is_restored(deployed: Deployment, change: dict[str, Any]) -> None:
    arn = pause_rule.ensure(deployed).arn
    deployed.record_resource(pause_rule.ensure(deployed), MOMENT)
    aws.client("elbv2").modify_rule(RuleArn=arn, **change)
    assert not pause_rule.is_in_force(rules()[0])
    assert pause_rule.ensure(deployed).arn == arn
    assert pause_rule.is_in_force(rules()[0])


def test_a_foreign_rule_is_kept_and_reported(deployed: Deployment) -> None:
    maintenance = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "back soon"}
    aws.client("elbv2").create_rule(
        ListenerArn=front()["ListenerArn"],
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": maintenance}],
    )
    with pytest.raises(DeploymentFailed, match="priority 1 that Slipway did not create"):
        pause_rule.ensure(deployed)
    pause_rule.delete(deployed)
    assert len(rules()) == 1
    assert pause_rule.find(deployed, front()["ListenerArn"]) is None


def test_a_rule_with_older_tags_is_updated(deployed: Deployment) -> None:
    arn = pause_rule.ensure(deployed).arn
    deployed.activate(MOMENT, 0.03)
    changed = deployed.spec.model_copy(update={"tags": {"team": "b"}})
    deployed.update(changed, MOMENT, new_image=False)
    pause_rule.ensure(deployed)
    tags = aws.client("elbv2").describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    assert {"Key": "team", "Value": "b"} in tags


def test_a_response_text_of_another_version_is_accepted(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause_rule.ensure(deployed)
    with monkeypatch.context() as before:
        before.setattr(pause_rule, "RETRY_AFTER_SECONDS", 30)
        assert pause_rule.is_in_force(rules()[0])


def test_ensure_waits_for_the_listener(deployment: Deployment) -> None:
    with pytest.raises(NotReady, match="listener"):
        pause_rule.ensure(deployment)


@pytest.mark.parametrize("code", ["PriorityInUse", "ListenerNotFound"])
def test_ensure_waits_for_resources_that_are_not_visible_yet(
    deployed: Deployment, code: str
) -> None:
    aws_says.refuse("elbv2", "CreateRule", code)
    with pytest.raises(NotReady, match="not visible yet"):
        pause_rule.ensure(deployed)


def test_delete_keeps_the_listener_unchanged(deployed: Deployment) -> None:
    before = front()
    pause_rule.ensure(deployed)
    pause_rule.delete(deployed)
    assert rules() == []
    assert front() == before


def test_deleting_a_missing_rule_succeeds(deployed: Deployment) -> None:
    pause_rule.delete(deployed)
    load_balancer.delete(ID)
    pause_rule.delete(deployed)


def test_a_rule_that_is_not_visible_yet_is_deleted_by_the_recorded_arn(
    deployed: Deployment,
) -> None:
    deployed.record_resource(pause_rule.ensure(deployed), MOMENT)
    deleted = aws_says.watch("elbv2", "DeleteRule")
    aws_says.answer("elbv2", "DescribeRules", {"Rules": []})
    pause_rule.delete(deployed)
    assert [call["RuleArn"] for call in deleted] == [deployed.resources[-1].arn]


def test_a_rule_that_another_run_deleted_is_gone(deployed: Deployment) -> None:
    deployed.record_resource(pause_rule.ensure(deployed), MOMENT)
    pause_rule.delete(deployed)
    aws_says.refuse("elbv2", "DeleteRule", "RuleNotFound")
    pause_rule.delete(deployed)


def test_delete_waits_until_the_rule_is_gone(deployed: Deployment) -> None:
    pause_rule.ensure(deployed)
    aws_says.answer("elbv2", "DeleteRule", {})
    with pytest.raises(NotReady, match="still exists"):
        pause_rule.delete(deployed)


@pytest.mark.parametrize(
    ("status", "text", "is_it"),
    [
        (503, pause_rule.body(ID), True),
        (200, pause_rule.body(ID), False),
        (503, '{"code": "OTHER"}', False),
        (503, "<html>503 Service Temporarily Unavailable</html>", False),
        (503, "[]", False),
        (503, b"\xff", False),
    ],
)
def test_the_pause_response_is_recognized(status: int, text: str | bytes, is_it: bool) -> None:
    assert pause_rule.is_its_answer(status, text) is is_it
