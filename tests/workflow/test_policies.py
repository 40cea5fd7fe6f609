"""Each function's policy allows the calls of the function, and names every action.

test_policies_of_callbacks.py covers the courier, the chat worker and the chat endpoints of the API.
"""

import contextlib
import json
import re
from typing import Any

import pytest

import app
from chalicelib.api import auth, deployments, observation, validation
from chalicelib.api.requests import Request
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.clock import now
from chalicelib.platform.settings import settings
from chalicelib.resources import cluster, log_group, log_lines, pause_rule, service, tasks
from chalicelib.resources.log_lines import Position
from chalicelib.resources.task_definition import log_stream
from chalicelib.store import deployments as store
from chalicelib.store import kept_logs, tokens
from chalicelib.store.tokens import Caller
from chalicelib.workflow import executions, reconcile, steps
from chalicelib.workflow.diagnosis import diagnosis
from chalicelib.workflow.health import health
from chalicelib.workflow.preflight import preflight, quotas
from tests.support.in_process import REGISTRY, TABLE
from tests.workflow.machine import ROOT, TEMPLATE, functions_by_logical_id
from tests.workflow.policies import POLICIES, allowed, check, needed
from tests.workflow.world import OWNER, World


def test_every_function_has_its_own_policy() -> None:
    functions = {f.name for f in app.app.pure_lambda_functions} | {
        "api_handler",
        "authorizer",
        "reconciler",
    }

    files = {path.stem for path in (ROOT / "infra/policies").iterdir()}
    assert set(POLICIES) == functions == files - {"shared"}


@pytest.mark.parametrize("function", POLICIES)
def test_a_policy_names_its_actions(function: str) -> None:
    assert [action for action in allowed(function) if "*" in action] == []
    assert all(action.count(":") == 1 for action in allowed(function))


@pytest.mark.parametrize("function", POLICIES)
def test_a_policy_changes_only_named_resources(function: str) -> None:
    """`Resource: "*"` is only for reads, tagged creates and actions without an alternative."""
    without_resource = {
        "ecs:DeregisterTaskDefinition",  # supports no resource-level permissions
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }
    reading = ("Describe", "List", "Get")
    for statement in POLICIES[function]:
        if statement["Resource"] != "*" or "aws:RequestTag" in str(statement.get("Condition")):
            continue
        changing = {a for a in statement["Action"] if not a.split(":")[1].startswith(reading)}
        assert changing <= without_resource, statement["Sid"]


def test_only_the_roles_of_tasks_can_be_passed_and_only_to_ecs() -> None:
    """By the one function that registers task definitions."""
    passing = [
        (function, statement["Resource"], statement["Condition"])
        for function, statements in POLICIES.items()
        for statement in statements
        if "iam:PassRole" in statement["Action"]
    ]
    own = {"Fn::GetAtt": ["TaskRole", "Arn"]}
    allowed_roles = {"Fn::Split": [",", {"Ref": "AllowedTaskRoles"}]}
    to_ecs = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    assert passing == [
        ("cluster", [own, {"Fn::GetAtt": ["TaskExecutionRole", "Arn"]}], to_ecs),
        ("cluster", {"Fn::If": ["NoTaskRoles", own, allowed_roles]}, to_ecs),
    ]


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [
        ("", True),
        ("arn:aws:iam::123456789012:role/a", True),
        ("arn:aws:iam::123456789012:role/path/a,arn:aws-cn:iam::123456789012:role/b_c", True),
        ("arn:aws:iam::123456789012:role/*", False),
        ("arn:aws:iam::*:role/a", False),
        ("arn:aws:iam::123456789012:role/a, arn:aws:iam::123456789012:role/b", False),
        ("arn:aws:iam::123456789012:role/a,", False),
        ("arn:aws:iam::123456789012:user/a", False),
    ],
)
def test_the_allowed_task_roles_are_literal(value: str, is_allowed: bool) -> None:
    pattern = TEMPLATE["Parameters"]["AllowedTaskRoles"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) is is_allowed


def test_the_policies_allow_the_calls_of_the_steps(world: World) -> None:
    deployment = world.deploy()
    world.execute(world.accept_update(deployment, image=f"{REGISTRY}/recommend:2"))
    world.execute(world.accept_update(deployment, image=f"{REGISTRY}/recommend:none"))
    for tags in ({"team": "a", "stage": "dev"}, {"team": "b"}):
        world.execute(world.accept_update(deployment, tags=tags))
        assert world.read(deployment).status == "ACTIVE"
    rule = next(r.arn for r in world.pause(deployment).resources if r.kind == pause_rule.KIND)
    conditions = [{"Field": "path-pattern", "Values": ["/changed-by-hand"]}]
    world.client("elbv2").modify_rule(RuleArn=rule, Conditions=conditions)
    world.execute(world.accept_update(deployment, environment={"A": "1"}))
    world.execute(world.accept_resume(deployment))
    rules = {f"elasticloadbalancing:{verb}Rule" for verb in ("Create", "Modify", "Delete")}
    assert rules <= needed(world.calls["load_balancing"])
    world.execute(world.accept_delete(deployment))
    world.execute(world.accept(name="failing", smoke_test={"path": "/", "json_has": ["nope"]}))

    check(world, *functions_by_logical_id().values())


def test_the_policies_allow_to_keep_log_lines(world: World) -> None:
    failing = world.accept(smoke_test={"path": "/", "json_has": ["nope"]})
    group, stream = log_group.name_of(failing.id), log_stream("0f" * 16)
    log_group.ensure(failing)
    world.client("logs").create_log_stream(logGroupName=group, logStreamName=stream)
    line = {"timestamp": round(now().timestamp() * 1000), "message": "one"}
    world.client("logs").put_log_events(logGroupName=group, logStreamName=stream, logEvents=[line])
    world.execute(failing)

    assert [event["message"] for event in kept_logs.find(failing.id)] == ["one"]
    reads = {"logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents"}
    assert reads <= needed(world.calls["cluster"])
    check(world, "cluster", "lifecycle")


def test_the_policies_allow_the_calls_of_a_custom_domain(world: World) -> None:
    world.make_zone()
    certificate = world.make_certificate()
    deployment = world.deploy(certificate_arn=certificate, domain="a.example.com")
    world.execute(world.accept_update(deployment, domain="b.example.com"))
    world.execute(world.accept_update(deployment, certificate_arn=None))
    world.execute(world.accept_delete(deployment))

    assert ("route53", "GetChange") in world.calls["load_balancing"]
    check(world, "network", "load_balancing", "verification")


def test_the_policies_allow_the_calls_of_scaling(world: World) -> None:
    scaling = {"min": 1, "max": 3, "metric": "requests_per_target", "target": 600}
    deployment = world.deploy(name="scaled", scaling=scaling)
    world.execute(world.accept_update(deployment, scaling={**scaling, "max": 4}))
    world.record_as("reconciler")
    reconcile.run({"source": "aws.events", "detail": {}})
    world.execute(world.accept_delete(deployment))

    assert "application-autoscaling:DeleteScalingPolicy" in needed(world.calls["service"])
    check(world, "service", "verification", "lifecycle", "reconciler")


def test_the_policies_allow_the_calls_of_preflight(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = world.client("secretsmanager").create_secret(Name="hub", SecretString="x")["ARN"]
    parameter = secret.replace("secretsmanager", "ssm").partition(":secret:")[0] + ":parameter/hub"
    world.client("ssm").put_parameter(Name="hub", Value="x", Type="SecureString")
    deployment = world.accept()
    kept = deployment.spec.model_dump() | {"secrets": {"A": secret, "B": parameter}}
    deployment.spec = Spec.model_validate(kept)
    deployment.image.digest = f"sha256:{0:064}"
    monkeypatch.setenv("ASSIGN_PUBLIC_IP", "false")
    settings.cache_clear()
    world.record_as("verification")

    with pytest.raises(DeploymentFailed):
        preflight.check(deployment)
    # The calls that do not occur with moto's account.
    quotas._used(quotas.FARGATE_USAGE)
    with contextlib.suppress(NotImplementedError):
        world.client("ecr").get_download_url_for_layer(
            repositoryName="recommend", layerDigest=f"sha256:{0:064}"
        )

    looks = {"cloudwatch:GetMetricStatistics", "servicequotas:GetServiceQuota"}
    looks |= {"ssm:DescribeParameters", "secretsmanager:DescribeSecret"}
    looks |= {"ec2:DescribeRouteTables", "ec2:DescribeVpcEndpoints", "ecr:BatchGetImage"}
    assert looks <= needed(world.calls["verification"])
    check(world, "verification")


def test_the_policies_allow_the_diagnosis_of_a_crash_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = world.deploy()
    found = service.find(deployment.id)
    assert found
    stopped = {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/{deployment.id}/0123",
        "taskDefinitionArn": found["taskDefinition"],
        "createdAt": now(),
        "lastStatus": "STOPPED",
        "stoppedReason": "Essential container in task exited",
    }
    monkeypatch.setattr(tasks, "describe", lambda *_, **__: [stopped] * diagnosis.CRASH_LOOP)
    world.record_as("verification")

    with pytest.raises(DeploymentFailed, match="CONTAINER_EXITED"):
        diagnosis.check_service(deployment, found)

    assert ("logs", "GetLogEvents") in world.calls["verification"]
    check(world, "verification")


def test_the_policies_allow_the_checks_of_health(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = world.deploy()
    stopped = {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/{deployment.id}/0123",
        "clusterArn": f"arn:aws:ecs:us-east-1:123456789012:cluster/{deployment.id}",
        "group": f"service:{deployment.id}",
        "createdAt": now(),
        "desiredStatus": "STOPPED",
        "lastStatus": "STOPPED",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
    }
    read = tasks.describe
    monkeypatch.setattr(tasks, "describe", lambda *args, **more: [*read(*args, **more), stopped])
    world.record_as("health")

    assert health.run({"source": "aws.ecs", "detail": stopped}) == {"checked": [deployment.id]}
    health.run({"source": "aws.events", "detail": {}})

    assert world.read(deployment).health.status == "down"  # type: ignore[union-attr]
    assert {"logs:GetLogEvents", "dynamodb:Query"} <= needed(world.calls["health"])
    assert "elasticloadbalancing:DescribeTargetHealth" in needed(world.calls["health"])
    check(world, "health")


def test_the_policies_allow_the_search_for_leftovers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = world.accept_delete(world.deploy())
    monkeypatch.setitem(steps.WORK, "delete_load_balancer", _refuse)

    world.execute(deployment)

    record = world.read(deployment)
    assert record.status == "DELETE_FAILED"
    assert record.leftovers
    check(world, "lifecycle")


def _refuse(deployment: Deployment) -> Any:
    raise RuntimeError(f"not today, {deployment.id}")


def test_the_policies_allow_the_calls_of_the_api(world: World) -> None:
    world.make_state_machine()
    world.deploy(name="model")
    caller = Caller(OWNER, frozenset({"read", "deploy"}), "tok_1")
    world.record_as("api_handler")

    def send(handler: Any, *args: str, body: Any = None, **headers: str) -> Any:
        return handler(
            Request(
                caller,
                "/deployments",
                {"Content-Type": "application/json", **headers},
                body=json.dumps(body).encode(),
            ),
            *args,
        ).body

    validation.validate(caller, {"name": "model", "image": f"{REGISTRY}/recommend:1"})
    made = send(deployments.create, body={"name": "api", "image": f"{REGISTRY}/recommend:1"})
    # With the digest that runs, which only the registry can tell.
    unchanged = send(deployments.update, "model", body={"image": f"{REGISTRY}/recommend:1"})
    assert unchanged["operation"]["kind"] == "create"
    validation.validate_change(caller, "model", {"count": 2}, None)
    for handler in (deployments.get, deployments.events, deployments.tasks):
        send(handler, made["id"])
    for handler in (observation.logs, observation.metrics):
        send(handler, made["id"])
    # With `task=`, and with a log group that does not exist.
    log_lines.read(made["id"], Position.before(now()), task="01234567", limit=1, moment=now())
    send(deployments.list_all)
    send(deployments.delete, "api")

    assert {"states:StartExecution", "states:StopExecution"} <= needed(world.calls["api_handler"])
    check(world, "api_handler")


def test_the_policies_allow_the_calls_of_the_authorizer(world: World) -> None:
    _, token = tokens.issue(
        table_name=TABLE, owner=OWNER, scopes=["read"], client=world.client("dynamodb")
    )
    world.record_as("authorizer")

    assert auth.authenticate(f"Bearer {token}").owner == OWNER

    check(world, "authorizer")


def test_the_policies_allow_the_calls_of_the_reconciler(world: World) -> None:
    world.make_state_machine()
    drifted = world.deploy(name="drifted")
    dead = world.accept(name="dead")
    executions.start(dead)
    executions.stop(dead.id, dead.generation)
    service.delete(drifted.id)
    stray = world.accept(name="stray")
    cluster.ensure(stray)
    store.discard(stray)
    world.record_as("reconciler")

    found = reconcile.run({"source": "aws.events", "detail": {}})["findings"]

    assert len(found) == 3
    assert {"states:StartExecution", "states:DescribeExecution"} <= needed(
        world.calls["reconciler"]
    )
    check(world, "reconciler")
