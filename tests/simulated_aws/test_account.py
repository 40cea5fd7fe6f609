"""The account for Slipway and the tests: clients, calls, remaining resources and serving tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment, Status
from chalicelib.domain.errors import NotReady, Retryable, StillProvisioning, Throttled
from chalicelib.domain.parts import Prediction
from chalicelib.domain.spec import parsing
from chalicelib.platform import aws
from chalicelib.platform.clock import now
from chalicelib.store import deployments as store
from chalicelib.workflow import smoke_test
from tests.support.in_process import STACK, TABLE, make_table
from tests.support.simulated_aws.account import REGISTRY, REPOSITORY, Account, is_mutating
from tests.support.simulated_aws.aws import Call
from tests.support.simulated_aws.clock import START, SimulatedClock
from tests.support.simulated_aws.containers import Behaviour, answers
from tests.support.simulated_aws.site import NAME, SURELY_ACTIVE, Site
from tests.workflow import machine

PASSING = (NotReady, StillProvisioning, Retryable, Throttled)
LONGEST = 3600.0


class Killed(BaseException):
    """AWS ended the function."""


@pytest.fixture
def slipway(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account with Slipway's table, and a smoke test that requests the simulated URL."""
    make_table(account.raw("dynamodb"))
    account.push("1")

    def get(url: str, path: str, *_: object, **__: object) -> tuple[Prediction, bytes]:
        served = account.answers(url.removeprefix("http://").partition("-1.us-east-1")[0])
        status = 200 if served else 503
        return Prediction(path=path, status=status, latency_ms=1, sample="{}"), b"{}"

    monkeypatch.setattr(smoke_test, "_get", get)
    return account


def accept() -> Deployment:
    """The record as `POST /deployments` creates it."""
    body = {"name": "recommender", "image": f"{REGISTRY}/{REPOSITORY}:1"}
    parsed = parsing.parse(body, allowed_registries=(REGISTRY,), max_tasks=10)
    return store.create(
        Deployment.create(naming.new_id(parsed.name), "team-a", parsed, now(), 0.04)
    )


def run_steps(account: Account, deployment: Deployment, way: str) -> Deployment:
    """Run the steps of one path of the state machine in sequence; a wait takes three seconds."""
    for task in machine.tasks_of(way):
        account.caller = task.function
        event = {
            "step": task.step,
            "deployment_id": deployment.id,
            "generation": deployment.generation,
            "path": str(deployment.operation.path),
        }
        while True:
            try:
                machine.call(task.function, event)
                break
            except PASSING as waiting:
                account.clock.advance_to(account.clock.seconds() + 3)
                assert account.clock.seconds() < LONGEST, waiting
    found = store.get(deployment.id)
    assert found
    return found


def test_slipway_deploys_in_realistic_time_and_deletes_everything(slipway: Account) -> None:
    deployment = run_steps(slipway, accept(), "Converge")
    assert deployment.status is Status.ACTIVE
    deployed_after = slipway.clock.seconds()
    assert 90 < deployed_after < 220
    assert slipway.answers(deployment.id).digests == {deployment.image.digest}
    kinds = {line.split()[0] for line in slipway.left(deployment.id)}
    assert kinds == {
        "cluster",
        "load_balancer",
        "log_group",
        "network_interface",
        "security_group",
        "service",
        "target_group",
        "task",
        "task_definition",
    }
    deleting = store.update(deployment.id, lambda record: record.delete(now()))
    deleted = run_steps(slipway, deleting, "Destroy")

    assert deleted.status is Status.DELETED
    assert slipway.left(deployment.id) == slipway.stack_resources(STACK) == []
    assert 15 < slipway.clock.seconds() - deployed_after < 300


def test_every_call_is_recorded_with_its_caller(slipway: Account) -> None:
    slipway.calls.clear()
    run_steps(slipway, accept(), "Converge")
    makers = {
        (made.caller, made.call.name)
        for made in slipway.calls
        if is_mutating(made.call) and made.call.service == "elbv2"
    }

    assert ("load_balancing", "elbv2.CreateLoadBalancer") in makers
    assert {caller for caller, _ in makers} == {"load_balancing"}
    assert {made.outcome for made in slipway.calls} >= {"ok", "LoadBalancerNotFound"}
    assert slipway.calls[-1].seconds == slipway.clock.seconds()


@pytest.mark.parametrize(
    ("name", "mutating"),
    [
        ("ecs.CreateService", True),
        ("ecs.UpdateService", True),
        ("ec2.RevokeSecurityGroupIngress", True),
        ("dynamodb.TransactWriteItems", True),
        ("dynamodb.GetItem", False),
        ("dynamodb.TransactGetItems", False),
        ("ecs.ListTasks", False),
        ("elbv2.DescribeTargetHealth", False),
    ],
)
def test_mutating_calls_are_recognized(name: str, mutating: bool) -> None:
    service, _, operation = name.partition(".")

    assert is_mutating(Call(service, operation, {})) is mutating


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_listener_can_kill_the_function(account: Account, when: str, made: int) -> None:
    def kill(call: Call, at: str) -> None:
        if at == when:
            raise Killed

    account.listeners.append(kill)
    with pytest.raises(Killed):
        account.client("ecs").create_cluster(clusterName="one")
    account.listeners.clear()

    assert len(account.client("ecs").list_clusters()["clusterArns"]) == made


def test_a_listener_also_gets_failed_calls(account: Account) -> None:
    heard: list[tuple[str, str]] = []
    account.listeners.append(lambda call, when: heard.append((call.operation, when)))
    ecs = account.client("ecs")
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.list_tasks(cluster="nowhere")

    assert heard == [("ListTasks", "before"), ("ListTasks", "after")]


def test_errors_keep_every_field_of_the_emulators_response(slipway: Account) -> None:
    dynamodb = slipway.client("dynamodb")
    item = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    put = {"TableName": TABLE, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
    dynamodb.transact_write_items(TransactItems=[{"Put": put}])

    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as error:
        dynamodb.transact_write_items(TransactItems=[{"Put": put}])
    reasons = error.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ConditionalCheckFailed"]


def test_paginators_go_through_the_layer(account: Account) -> None:
    account.calls.clear()
    pages = account.client("ecs").get_paginator("list_task_definitions").paginate()

    assert list(pages)
    assert [made.call.name for made in account.calls] == ["ecs.ListTaskDefinitions"]


def test_regions_are_separate(account: Account) -> None:
    account.client("ecr", "eu-west-1").create_repository(repositoryName="there")
    here = account.client("ecr").describe_repositories()["repositories"]

    assert [repository["repositoryName"] for repository in here] == [REPOSITORY]


def test_the_default_vpc_routes_to_the_internet(account: Account) -> None:
    tables = account.client("ec2").describe_route_tables()["RouteTables"]
    routes = [route for table in tables for route in table["Routes"]]

    assert any(
        route.get("DestinationCidrBlock") == "0.0.0.0/0" and route["GatewayId"].startswith("igw-")
        for route in routes
    )


def test_slipways_clock_is_the_simulated_one(
    account: Account, simulated_clock: SimulatedClock
) -> None:
    assert now() == START
    simulated_clock.advance_to(90.5)

    assert (now() - START).total_seconds() == 90.5
    assert aws.client == account.client


def task_fails(site: Site) -> None:
    """From now on, the only task responds with 500."""
    (task,) = site.account.fargate.tasks.all.values()
    task.behaviour = Behaviour(status=500)


@pytest.mark.parametrize(
    ("happens", "up", "failing"),
    [
        (lambda site: None, True, 0),
        (lambda site: task_fails(site), True, 1),
        (
            lambda site: site.client("elbv2").delete_listener(ListenerArn=site.listener),
            False,
            0,
        ),
    ],
    ids=["healthy", "in rotation but failing", "no listener"],
)
def test_the_url_responds_if_all_targets_in_rotation_respond(
    account: Account, happens: Callable[[Site], Any], up: bool, failing: int
) -> None:
    digest = account.push("1")
    site = Site(account).make(f"1@{digest}")
    site.create_service()
    assert not account.answers(NAME)
    site.pass_time(SURELY_ACTIVE + 30)
    assert account.answers(NAME).digests == {digest}
    happens(site)

    serving = account.answers(NAME)
    assert (serving.up, serving.failing, bool(serving)) == (up, failing, up and not failing)


def test_a_target_that_fails_its_checks_is_not_in_rotation(account: Account) -> None:
    account.containers.everywhere = lambda behaviour: answers(500)
    site = Site(account).make()
    site.create_service()
    site.pass_time(SURELY_ACTIVE + 30)

    assert not account.answers(NAME).up


def test_remaining_resources_are_listed_until_they_are_deleted(account: Account) -> None:
    site = Site(account).make()
    site.create_service()
    site.pass_time(SURELY_ACTIVE + 30)
    site.client("ecs").delete_service(cluster=NAME, service=NAME, force=True)
    site.client("elbv2").delete_load_balancer(LoadBalancerArn=site.balancer)
    left = json.dumps(account.left(NAME))
    assert "DRAINING" in left and "network_interface" in left and "load_balancer" not in left
    site.pass_time(LONGEST)
    left = json.dumps(account.left(NAME))

    assert "service" not in left and '"task ' not in left and "network_interface" not in left
    assert "target_group" in left and "task_definition" in left


def test_resources_of_other_deployments_are_not_listed(account: Account) -> None:
    Site(account).make()

    assert account.left("site-abcdeg") == account.left("site") == []
