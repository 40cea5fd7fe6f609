import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws, clock
from chalicelib.resources import listener, load_balancer, pause_rule, security_groups, target_group
from chalicelib.workflow import traffic
from chalicelib.workflow.step import Outcome
from tests.support.builders import MOMENT, Clock, active


@pytest.fixture
def deployment(cloud: None) -> Deployment:
    """A deployment whose pause has just started."""
    deployment = active()
    for module in (security_groups, load_balancer, target_group, listener):
        module.ensure(deployment)
    deployment.pause(MOMENT)
    return deployment


def rule_stands() -> bool:
    front = listener.serving(active())
    return front is not None and pause_rule.find(active(), front["ListenerArn"]) is not None


def apply(deployment: Deployment, outcome: Outcome) -> None:
    """Apply the outcome to the record, as the step frame does."""
    for resource in outcome.resources:
        deployment.record_resource(resource, MOMENT)
    if outcome.change:
        outcome.change(deployment)


def test_a_serving_listener_has_no_rule(deployment: Deployment) -> None:
    deployment.paused = False
    outcome = traffic.create_listener(deployment)
    assert [resource.kind for resource in outcome.resources] == ["listener"]
    assert not rule_stands()


def test_the_rule_exists_before_the_service_changes(deployment: Deployment) -> None:
    outcome = traffic.create_listener(deployment)
    assert [resource.kind for resource in outcome.resources] == ["listener", "listener_rule"]
    assert rule_stands()


def test_the_rule_stays_during_a_pause(deployment: Deployment) -> None:
    traffic.create_listener(deployment)
    assert traffic.route_traffic(deployment).status == "skipped"
    assert rule_stands()


def test_a_resume_deletes_the_rule_at_the_end(deployment: Deployment) -> None:
    apply(deployment, traffic.create_listener(deployment))
    deployment.paused = False
    apply(deployment, traffic.create_listener(deployment))
    assert rule_stands()
    apply(deployment, traffic.route_traffic(deployment))
    assert not rule_stands()
    [rule] = [resource for resource in deployment.resources if resource.kind == "listener_rule"]
    assert rule.verified_gone and rule.deleted_at
    assert not any(r.verified_gone for r in deployment.resources if r is not rule)


def test_repeated_pauses_do_not_grow_the_record(deployment: Deployment) -> None:
    for _ in range(2):
        deployment.paused = True
        apply(deployment, traffic.create_listener(deployment))
        deployment.paused = False
        apply(deployment, traffic.route_traffic(deployment))
    rules = [resource for resource in deployment.resources if resource.kind == "listener_rule"]
    assert [rule.verified_gone for rule in rules] == [True]


def timeouts(deployment: Deployment) -> tuple[str, str]:
    """The idle timeout of the load balancer, and the deregistration delay of the target group."""
    elbv2 = aws.client("elbv2")
    balancer = load_balancer.get(deployment.id).arn
    group = target_group.find_arn(deployment.id)
    answers = (
        elbv2.describe_load_balancer_attributes(LoadBalancerArn=balancer),
        elbv2.describe_target_group_attributes(TargetGroupArn=group),
    )
    values = {each["Key"]: each["Value"] for answer in answers for each in answer["Attributes"]}
    return values[load_balancer.IDLE_TIMEOUT], values[target_group.DELAY]


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_shorter_request_timeout_counts_when_the_previous_tasks_are_gone(
    deployment: Deployment, is_paused: bool
) -> None:
    deployment.paused = is_paused
    deployment.spec = deployment.spec.model_copy(update={"request_timeout": 20})
    for module in (load_balancer, target_group):
        module.ensure(deployment)
    traffic.create_listener(deployment)
    assert timeouts(deployment) == ("60", "60")
    traffic.route_traffic(deployment)
    assert timeouts(deployment) == ("20", "20")


def test_the_tasks_stop_when_every_node_knows_the_pause_rule(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Clock()
    monkeypatch.setattr(clock, "now", time)
    deployment.operation.step("create_listener").started_at = time()
    with pytest.raises(NotReady, match="learn the pause rule"):
        traffic.create_listener(deployment)
    assert rule_stands()
    time.advance(seconds=15)
    assert len(traffic.create_listener(deployment).resources) == 2
