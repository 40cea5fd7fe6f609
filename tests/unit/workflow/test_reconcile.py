import json
from typing import Any

import pytest

import app
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import Path
from chalicelib.domain.rates import hourly_rate
from chalicelib.domain.record import Status
from chalicelib.platform import aws
from chalicelib.resources import (
    cluster,
    listener,
    load_balancer,
    log_group,
    network,
    pause_rule,
    scaling,
    security_groups,
    service,
    target_group,
    task_definition,
)
from chalicelib.store import deployments as store
from chalicelib.workflow import drift, executions, orphans, reconcile, traffic
from tests.support import aws_says
from tests.support.builders import (
    ID,
    MOMENT,
    OWNER,
    Clock,
    active,
    deployment_of,
    failed,
    failure_of,
)
from tests.unit.conftest import STATE_MACHINE

pytestmark = pytest.mark.usefixtures("table", "state_machine")

SCHEDULED: dict[str, Any] = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


@pytest.fixture(autouse=True)
def clock(stopped_clock: Clock) -> Clock:
    return stopped_clock


def run(event: dict[str, Any] | None = None) -> dict[str, str]:
    """The findings, by deployment."""
    findings = reconcile.run(event or SCHEDULED)["findings"]
    return {finding["deployment"]: finding["finding"] for finding in findings}


def record(deployment_id: str = ID) -> Deployment:
    deployment = store.get(deployment_id)
    assert deployment is not None
    return deployment


def started() -> list[str]:
    """Names of the executions."""
    states = aws.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=STATE_MACHINE)["executions"]
    return sorted(execution["name"] for execution in listed)


def make_resources(deployment: Deployment) -> None:
    for module in (
        security_groups,
        load_balancer,
        target_group,
        listener,
        cluster,
        log_group,
        task_definition,
        service,
    ):
        module.ensure(deployment)


def serving() -> Deployment:
    deployment = active()
    make_resources(deployment)
    deployment.record_resource(task_definition.ensure(deployment), MOMENT)
    return store.create(deployment)


# --- executions ----------------------------------------------------------------------------


def test_an_execution_that_was_never_started_is_started(clock: Clock) -> None:
    store.create(deployment_of())
    clock.advance(seconds=59)
    assert (run(), started()) == ({}, [])  # the API may be about to start it
    clock.advance(seconds=1)
    assert run() == {ID: "the execution was never started"}
    assert started() == [f"{ID}-1"]


def test_an_operation_within_its_deadline_is_not_changed(clock: Clock) -> None:
    executions.start(store.create(deployment_of()))
    clock.moment = record().operation.deadline
    assert run() == {}
    assert started() == [f"{ID}-1"]


def test_a_dead_execution_is_replaced(clock: Clock) -> None:
    executions.start(store.create(deployment_of()))
    executions.stop(ID, 1)
    assert run() == {ID: f"execution {ID}-1 ABORTED"}
    taken = record()
    assert (taken.generation, taken.operation.path) == (2, Path.CONVERGE)
    assert taken.status is Status.CREATING
    assert started() == [f"{ID}-1", f"{ID}-2"]
    assert run() == {}


def test_an_event_of_step_functions_affects_only_its_deployment() -> None:
    for deployment in (deployment_of(), deployment_of("other-abcdef")):
        executions.start(store.create(deployment))
        executions.stop(deployment.id, 1)
    arn = STATE_MACHINE.replace(":stateMachine:", ":execution:") + f":{ID}-1"
    event = {"source": "aws.states", "detail": {"executionArn": arn, "status": "ABORTED"}}
    assert list(run(event)) == [ID]
    assert record("other-abcdef").generation == 1


def test_a_finished_operation_is_not_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    executions.start(store.create(deployment_of()))
    stale = record()
    store.update(ID, lambda d: d.delete(MOMENT))
    monkeypatch.setattr(store, "all_deployments", lambda: iter([stale]))
    executions.stop(ID, 1)
    assert run() == {}
    assert record().generation == 2


def test_a_dead_create_past_its_deadline_is_torn_down(clock: Clock) -> None:
    executions.start(store.create(deployment_of()))
    executions.stop(ID, 1)
    clock.moment = record().operation.deadline
    clock.advance(seconds=1)
    run()
    assert record().operation.path is Path.DESTROY
    assert record().failure is not None
    assert started() == [f"{ID}-1", f"{ID}-2"]


def test_an_execution_that_hangs_long_past_the_deadline_is_stopped(clock: Clock) -> None:
    executions.start(store.create(deployment_of()))
    clock.moment = record().operation.deadline
    clock.advance(minutes=15)
    assert run() == {ID: f"execution {ID}-1 overdue"}
    assert executions.status(ID, 1) == "ABORTED"


def test_repeatedly_dying_executions_end_the_operation() -> None:
    serving()
    executions.start(store.update(ID, lambda d: d.delete(MOMENT)))
    for _ in range(reconcile.MOST_TAKEOVERS + 1):
        executions.stop(ID, record().generation)
        run()
    assert record().status is Status.DELETE_FAILED
    assert record().failure is not None
    assert record().leftovers
    assert run() == {}


def test_a_dead_teardown_that_removed_everything_succeeded(clock: Clock) -> None:
    store.create(active())
    executions.start(store.update(ID, lambda d: d.delete(MOMENT)))
    executions.stop(ID, 2)
    clock.moment = record().operation.deadline
    clock.advance(seconds=1)
    run()
    assert (record().status, record().leftovers) == (Status.DELETED, [])


def test_a_reported_failure_is_not_retried(clock: Clock) -> None:
    executions.start(store.create(deployment_of()))
    failure = failure_of("resolve_image")
    store.update(ID, lambda d: d.fail("resolve_image", failure, MOMENT))
    executions.stop(ID, 1)
    run()
    assert record().operation.path is Path.DESTROY
    assert record().failure == failure


def test_the_recovery_path_has_its_own_count_of_executions(clock: Clock) -> None:
    executions.start(store.create(deployment_of()))
    for _ in range(reconcile.MOST_TAKEOVERS + 1):
        executions.stop(ID, record().generation)
        run()
    assert (record().operation.path, record().operation.takeovers) == (Path.DESTROY, 1)


# --- time to live --------------------------------------------------------------------------


def test_an_expiring_deployment_is_announced_and_then_torn_down(clock: Clock) -> None:
    deployment = active(ttl="8h")
    make_resources(deployment)
    deployment.record_resource(task_definition.ensure(deployment), MOMENT)
    store.create(deployment)
    clock.advance(hours=7, seconds=-1)
    run()
    assert not record().expiry_told
    clock.advance(seconds=1)
    run()
    run()
    events, _ = store.list_events(ID, limit=1000, after=0)
    assert [event.type for event in events].count("deployment.expiring") == 1
    clock.advance(hours=1)
    assert run() == {ID: reconcile.EXPIRED}
    assert (record().status, started()) == (Status.DELETING, [f"{ID}-2"])
    assert run() == {}


def test_an_extended_deployment_is_kept(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = store.create(active(ttl="8h"))
    store.update(ID, lambda d: d.extend("3d", MOMENT))
    monkeypatch.setattr(store, "all_deployments", lambda: iter([stale]))
    clock.advance(hours=8)
    run()
    assert record().status is Status.ACTIVE


def test_a_kept_failed_create_is_torn_down_at_its_expiry(clock: Clock) -> None:
    deployment = deployment_of(ttl="10m", on_failure="keep")
    deployment.end_failed(MOMENT)
    store.create(deployment)
    clock.advance(minutes=10)
    assert run() == {ID: reconcile.EXPIRED}


# --- serving deployments -------------------------------------------------------------------


def test_a_healthy_deployment_is_not_changed() -> None:
    serving()
    assert run() == {}
    assert started() == []


def _delete_service() -> None:
    service.delete(ID)


def _scale_by_hand() -> None:
    aws.client("ecs").update_service(cluster=ID, service=ID, desiredCount=5)


def _roll_by_hand() -> None:
    other = deployment_of(environment={"A": "1"})
    revision = task_definition.ensure(other).arn
    aws.client("ecs").update_service(cluster=ID, service=ID, taskDefinition=revision)


def _delete_load_balancer() -> None:
    load_balancer.delete(ID)


def _delete_listener() -> None:
    front = listener.serving(deployment_of())
    assert front
    aws.client("elbv2").delete_listener(ListenerArn=front["ListenerArn"])


def _delete_target_group() -> None:
    _delete_listener()
    target_group.delete(ID)


def _forward_elsewhere() -> None:
    elbv2 = aws.client("elbv2")
    other = elbv2.create_target_group(
        Name="other", Protocol="HTTP", Port=1, VpcId=network.find().vpc_id
    )
    front = listener.serving(deployment_of())
    assert front
    arn = other["TargetGroups"][0]["TargetGroupArn"]
    elbv2.modify_listener(
        ListenerArn=front["ListenerArn"],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )


@pytest.mark.parametrize(
    ("by_hand", "words"),
    [
        (_delete_service, "service was deleted"),
        (_scale_by_hand, "the desired count of the service is 5, not 1"),
        (_roll_by_hand, f"the service runs another task definition revision: {ID}:2"),
        (_delete_load_balancer, "load balancer was deleted"),
        (_delete_listener, "listener was deleted"),
        (_forward_elsewhere, "the listener has another default action"),
        (_delete_target_group, "target group was deleted"),
    ],
)
def test_manual_changes_are_repaired(by_hand: Any, words: str) -> None:
    deployment = serving()
    by_hand()
    assert words in run()[ID]
    repairing = record()
    assert (repairing.status, repairing.operation.kind) == (Status.UPDATING, "repair")
    assert (repairing.spec, repairing.image) == (deployment.spec, deployment.image)
    assert started() == [f"{ID}-2"]
    rolled = aws_says.watch("ecs", "UpdateService")
    make_resources(repairing)  # as the steps of the repair do
    if by_hand is _delete_target_group:
        # moto does not execute this call.
        group = target_group.get_arn(ID)
        assert [entry["targetGroupArn"] for entry in rolled[0]["loadBalancers"]] == [group]
    else:
        assert drift.find(repairing, service.find(ID)) == ""


def paused() -> Deployment:
    """A PAUSED deployment with its AWS resources."""
    serving()
    deployment = store.update(ID, lambda d: (d.pause(MOMENT), d.activate(MOMENT, 0.03)))
    service.ensure(deployment)
    pause_rule.ensure(deployment)
    return deployment


def _delete_rule() -> None:
    pause_rule.delete(record())


def _let_some_through() -> None:
    rule = pause_rule.ensure(record()).arn
    conditions = [{"Field": "path-pattern", "Values": ["/health"]}]
    aws.client("elbv2").modify_rule(RuleArn=rule, Conditions=conditions)


def test_a_healthy_paused_deployment_is_not_changed() -> None:
    paused()
    assert run() == {}


@pytest.mark.parametrize(
    ("by_hand", "words"),
    [
        (_delete_rule, "does not return 503, although the deployment is paused"),
        (_let_some_through, "does not return 503, although the deployment is paused"),
        (_scale_by_hand, "the desired count of the service is 5, not 0"),
        (_delete_service, "service was deleted"),
        (_delete_listener, "listener was deleted"),
    ],
)
def test_a_paused_deployment_is_repaired_and_stays_paused(by_hand: Any, words: str) -> None:
    paused()
    by_hand()
    assert words in run()[ID]
    repairing = record()
    assert (repairing.status, repairing.operation.kind) == (Status.UPDATING, "repair")
    assert repairing.wanted_tasks == 0
    make_resources(repairing)  # as the steps of the repair do
    traffic.create_listener(repairing)
    assert drift.find(repairing, service.find(ID)) == ""


def test_a_leftover_pause_rule_is_removed() -> None:
    pause_rule.ensure(serving())
    assert run() == {ID: "the listener returns 503, although the deployment is not paused"}
    traffic.route_traffic(record())
    assert drift.find(record(), service.find(ID)) == ""


def test_a_paused_deployment_is_torn_down_at_its_expiry(clock: Clock) -> None:
    store.create(active(ttl="10m"))
    store.update(ID, lambda d: (d.pause(MOMENT), d.activate(MOMENT, 0.03)))
    clock.advance(minutes=10)
    assert run() == {ID: reconcile.EXPIRED}


def test_a_new_version_of_slipway_does_not_roll_services(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serving()
    monkeypatch.setattr(task_definition, "LOG_STREAM_PREFIX", "container")
    assert run() == {}


SCALING = {"min": 2, "max": 4, "metric": "cpu", "target": 60}


def scaled() -> Deployment:
    """An ACTIVE deployment that scales from 2 to 4 tasks, and is metered with 2."""
    deployment = active(scaling=SCALING)
    make_resources(deployment)
    scaling.ensure(deployment)
    deployment.record_resource(task_definition.ensure(deployment), MOMENT)
    deployment.meter.set_rate(hourly_rate(deployment.spec), MOMENT)
    return store.create(deployment)


def scale_to(count: int) -> None:
    """Change the desired count as Application Auto Scaling does."""
    aws.client("ecs").update_service(cluster=ID, service=ID, desiredCount=count)


def test_the_cost_meter_follows_autoscaling_within_the_bounds(clock: Clock) -> None:
    before = scaled()
    scale_to(4)
    clock.advance(hours=1)

    assert run() == {}

    after = record()
    assert after.meter.usd_per_hour == hourly_rate(after.spec, 4)
    assert after.meter.accrued_usd == pytest.approx(before.meter.usd_per_hour)
    assert (started(), after.events_written) == ([], before.events_written)
    assert run() == {}
    assert record().version == after.version  # nothing is written while nothing changes


@pytest.mark.parametrize("count", [1, 5])
def test_a_count_outside_the_bounds_is_repaired(count: int) -> None:
    deployment = scaled()
    scale_to(count)
    assert run() == {ID: f"the desired count of the service is {count}, not 2 to 4"}
    assert record().meter == deployment.meter


def test_a_scalable_target_that_was_deleted_is_repaired() -> None:
    scaled()
    scaling.delete(ID)
    assert run() == {ID: "the scalable target was deleted"}
    repairing = record()
    make_resources(repairing)
    scaling.ensure(repairing)
    assert drift.find(repairing, service.find(ID)) == ""


def test_the_cost_meter_of_a_running_operation_is_not_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = scaled()
    scale_to(4)
    changed = store.update(ID, lambda d: d.update(seen.spec, MOMENT, new_image=False))
    monkeypatch.setattr(store, "all_deployments", lambda: iter([seen]))
    assert run() == {}
    assert record().meter == changed.meter


# --- resources without a record ------------------------------------------------------------


def test_resources_without_a_record_are_reported_in_one_record(clock: Clock) -> None:
    stray = deployment_of("stray-abcdef")
    cluster.ensure(stray)
    log_group.ensure(stray)
    assert "but the table has no record" in run()["stray-abcdef"]
    adopted = record("stray-abcdef")
    assert (adopted.owner, adopted.status) == (OWNER, Status.DELETE_FAILED)
    assert {item.kind for item in adopted.leftovers} == {"cluster", "log_group"}
    assert cluster.exists("stray-abcdef")  # reported, not touched
    assert run() == {}


def test_event_numbers_of_a_purged_record_continue() -> None:
    made = store.create(active(now=MOMENT))
    key = {"pk": {"S": f"DEPLOYMENT#{ID}"}, "sk": {"S": "RECORD"}}
    aws.client("dynamodb").delete_item(TableName="slipway-records", Key=key)
    cluster.ensure(deployment_of())
    assert "but the table has no record" in run()[ID]
    events, _ = store.list_events(ID, limit=100, after=0)
    assert [event.sequence for event in events] == list(range(1, record().events_written + 1))
    assert len(events) > made.events_written


def test_findings_are_reported_even_if_the_search_for_strays_fails(clock: Clock) -> None:
    store.create(deployment_of())
    clock.advance(seconds=60)
    aws_says.refuse("resourcegroupstaggingapi", "GetResources", "ThrottlingException")
    assert run() == {ID: "the execution was never started"}


def test_a_record_for_strays_leaves_the_name_to_others() -> None:
    cluster.ensure(deployment_of("stray-abcdef"))
    run()
    store.create(deployment_of("stray-zzzzzz"))
    store.update("stray-abcdef", lambda d: d.retry(MOMENT, 0.04))
    store.update("stray-abcdef", lambda d: d.end_torn_down(MOMENT))
    assert store.id_of_name(OWNER, "stray") == "stray-zzzzzz"


def test_resources_that_appear_after_a_teardown_are_torn_down(clock: Clock) -> None:
    store.create(active())
    store.update(ID, lambda d: (d.delete(MOMENT), d.end_torn_down(MOMENT)))
    cluster.ensure(deployment_of())
    assert run() == {}  # a tag is listed for a while after its resource has gone
    clock.advance(minutes=10)
    assert "after the teardown" in run()[ID]
    assert record().status is Status.DELETING
    assert started() == [f"{ID}-3"]


def test_resources_that_appear_after_a_failed_create_are_reported(clock: Clock) -> None:
    store.create(failed())
    cluster.ensure(deployment_of())
    clock.advance(minutes=10)
    run()
    assert record().status is Status.DELETE_FAILED
    assert [item.kind for item in record().leftovers] == ["cluster"]


def test_resources_of_another_stack_are_not_read() -> None:
    tags = [
        {"key": "slipway:stack", "value": "other"},
        {"key": "slipway:deployment", "value": "theirs-abcdef"},
    ]
    aws.client("ecs").create_cluster(clusterName="theirs-abcdef", tags=tags)
    assert orphans.find() == []
    assert run() == {}


def test_a_deployment_that_cannot_be_checked_blocks_no_other() -> None:
    serving()
    executions.start(store.create(deployment_of("other-abcdef")))
    executions.stop("other-abcdef", 1)
    aws_says.refuse("ecs", "DescribeServices", "ServerException", status=500)
    findings = run()
    assert "could not be checked" in findings[ID]
    assert findings["other-abcdef"] == "execution other-abcdef-1 ABORTED"


def test_the_function_returns_its_findings() -> None:
    event = {
        "version": "0",
        "account": "123456789012",
        "region": "us-east-1",
        "detail": {},
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "time": "2026-11-24T09:30:00Z",
        "id": "1",
        "resources": [],
    }
    assert json.loads(json.dumps(app.reconciler(event, None))) == {"checked": 0, "findings": []}
