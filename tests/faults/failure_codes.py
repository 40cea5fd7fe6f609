"""Each failure code of the contract, by a cause that produces it on the simulated AWS.

`python -m tests.faults.failure_codes` writes the table in docs/failures.md again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import FailureCode
from chalicelib.platform.settings import settings
from tests.faults.environment import image, opened
from tests.faults.invariants import broken
from tests.faults.world import World
from tests.support.project import ROOT
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.account import ACCOUNT_ID, REGION, REPOSITORY
from tests.support.simulated_aws.containers import Behaviour
from tests.support.simulated_aws.weather import Fault

PAGE = ROOT / "docs" / "failures.md"
MARK = "<!-- made by: python -m tests.faults.failure_codes -->\n"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT_ID}:certificate/0123-abcd"
DOMAIN = "recommend.example.com"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:slipway/api-key-AbCdEf"
FOREIGN = "ghcr.io/team/model:1"
TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/app/serve.py", line 1, in <module>',
    "ModuleNotFoundError: No module named 'torch'",
)
KILLED = "[7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?"
INVALID_HOST = (
    "Invalid HTTP_HOST header: '10.0.0.7'. You may need to add '10.0.0.7' to ALLOWED_HOSTS."
)
EVERYWHERE = "INFO:     Uvicorn running on http://0.0.0.0:8080 (Press CTRL+C to quit)"
LOOPBACK = "INFO:     Uvicorn running on http://127.0.0.1:80 (Press CTRL+C to quit)"
HEADER = """| code | cause | message | hint | reported after | FAILED after |
|---|---|---|---|---|---|"""
ALWAYS = 10**6


@dataclass(frozen=True)
class Cause:
    """A fault, and the failure that it causes.

    Attributes:
        evidence: keys that the failure's evidence must have.
        early: the fault is found before any resource is created.
        prepare: sets the fault up in the world, before the request.
        spec: fields of the request.
    """

    title: str
    code: FailureCode
    evidence: tuple[str, ...] = ()
    early: bool = False
    prepare: Callable[[World], object] = lambda world: None
    spec: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How the create ended.

    Attributes:
        record: the final record.
        reason_after: simulated seconds from the request until the record had the failure.
        failed_after: simulated seconds from the request until FAILED.
        problems: the broken invariants.
    """

    record: Deployment
    reason_after: float
    failed_after: float
    problems: list[str]


def _behaves(behaviour: Behaviour, tag: str = "1") -> Callable[[World], object]:
    return lambda world: world.account.containers.set(_digest(world, tag), behaviour)


def _digest(world: World, tag: str) -> str:
    details = world.account.raw("ecr").describe_images(
        repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}]
    )["imageDetails"]
    return str(details[0]["imageDigest"])


def _behaves_elsewhere(behaviour: Behaviour) -> Callable[[World], object]:
    """An image in a registry that Slipway cannot call before the pull."""
    return lambda world: world.account.containers.set(FOREIGN, behaviour)


def _fails(name: str, kind: Any, **more: str) -> Callable[[World], object]:
    return lambda world: world.account.weather.plan(Fault(name, kind, times=ALWAYS, **more))


def _arm_only(world: World) -> None:
    platform = {"architecture": "arm64", "os": "linux"}
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:" + "a" * 64,
        "size": 1000,
        "platform": platform,
    }
    kind = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}
    world.account.raw("ecr").put_image(
        repositoryName=REPOSITORY,
        imageTag="arm",
        imageManifest=json.dumps(index),
        imageManifestMediaType=kind,
    )


def _bad_label(world: World) -> None:
    labels = {"slipway.smoke_test.path": "https://models.example.com/predict"}
    world.account.push("labelled", execution={"Labels": labels})


def _no_route(world: World) -> None:
    ec2 = world.account.raw("ec2")
    for table in ec2.describe_route_tables()["RouteTables"]:
        if any(r["DestinationCidrBlock"] == "0.0.0.0/0" for r in table["Routes"]):
            ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")


def _taken_name(world: World) -> None:
    route53 = world.account.raw("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    values = [{"Value": "shop.example.net"}]
    record = {"Name": DOMAIN, "Type": "CNAME", "TTL": 300, "ResourceRecords": values}
    changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def _never_active(world: World) -> None:
    _behaves(Behaviour(logs=("listening on 80",)))(world)
    world.account.load_balancers.hang_next()


CAUSES: tuple[Cause, ...] = (
    Cause(
        "the repository does not have the tag",
        FailureCode.IMAGE_NOT_FOUND,
        early=True,
        spec={"image": image("nope")},
    ),
    Cause(
        "the image is not in its registry, which is not Amazon ECR",
        FailureCode.IMAGE_NOT_FOUND,
        ("stopped_reason", "stop_code", "service_events"),
        prepare=_behaves_elsewhere(containers.missing_image()),
        spec={"image": FOREIGN},
    ),
    Cause(
        "Slipway is not allowed to read the repository",
        FailureCode.IMAGE_ACCESS_DENIED,
        ("aws_message",),
        early=True,
        prepare=_fails("ecr.DescribeImages", "denied"),
    ),
    Cause(
        "ECS is not allowed to pull the image",
        FailureCode.IMAGE_ACCESS_DENIED,
        ("stopped_reason", "stop_code", "service_events"),
        prepare=_behaves(containers.pull_denied()),
    ),
    Cause(
        "a label of the image is not valid",
        FailureCode.IMAGE_INVALID,
        early=True,
        prepare=_bad_label,
        spec={"image": image("labelled"), "smoke_test": {}},
    ),
    Cause(
        "the image is built only for ARM64",
        FailureCode.ARCHITECTURE_MISMATCH,
        early=True,
        prepare=_arm_only,
        spec={"image": image("arm")},
    ),
    Cause(
        "the image is built for another architecture, and only its log shows that",
        FailureCode.ARCHITECTURE_MISMATCH,
        ("exit_code", "log_lines"),
        prepare=_behaves(containers.exec_format_error()),
    ),
    Cause(
        "the image's config does not match its layers",
        FailureCode.IMAGE_INVALID,
        ("stopped_reason", "stop_code", "service_events"),
        prepare=_behaves(containers.damaged_image()),
    ),
    Cause(
        "the secret does not exist",
        FailureCode.SECRET_UNAVAILABLE,
        early=True,
        spec={"secrets": {"API_KEY": SECRET}},
        environment={"ALLOWED_SECRETS": SECRET},
    ),
    Cause(
        "the subnets have no route to the internet",
        FailureCode.NETWORK_MISCONFIGURED,
        early=True,
        prepare=_no_route,
    ),
    Cause(
        "the certificate does not exist",
        FailureCode.NETWORK_MISCONFIGURED,
        early=True,
        spec={"certificate_arn": CERTIFICATE},
    ),
    Cause(
        "the domain already has a DNS record that Slipway did not create",
        FailureCode.NETWORK_MISCONFIGURED,
        early=True,
        prepare=_taken_name,
        spec={"domain": DOMAIN},
    ),
    Cause(
        "the task cannot reach the registry",
        FailureCode.NETWORK_MISCONFIGURED,
        ("stopped_reason", "stop_code", "service_events"),
        prepare=_behaves(containers.no_route_to_registry()),
    ),
    Cause(
        "the quota of load balancers is used up",
        FailureCode.AWS_QUOTA_EXCEEDED,
        ("aws_message", "aws_operation"),
        prepare=_fails(
            "elbv2.CreateLoadBalancer",
            "refused",
            code="TooManyLoadBalancers",
            message="The maximum number of load balancers has been reached",
        ),
    ),
    Cause(
        "the quota of Fargate vCPUs is used up",
        FailureCode.AWS_QUOTA_EXCEEDED,
        ("service_events",),
        prepare=_behaves(containers.vcpu_limit()),
    ),
    Cause(
        "the account may not run more tasks",
        FailureCode.AWS_QUOTA_EXCEEDED,
        ("service_events",),
        prepare=_behaves(containers.task_limit()),
    ),
    Cause(
        "AWS has not enabled load balancers in the account",
        FailureCode.AWS_QUOTA_EXCEEDED,
        ("aws_message", "aws_operation"),
        prepare=_fails(
            "elbv2.CreateLoadBalancer",
            "refused",
            code="OperationNotPermitted",
            message="This AWS account currently does not support creating load balancers.",
        ),
    ),
    Cause(
        "the task execution role is not allowed to create log streams",
        FailureCode.AWS_ACCESS_DENIED,
        ("stopped_reason", "stop_code", "service_events"),
        prepare=_behaves(containers.logs_denied()),
    ),
    Cause(
        "Slipway's role is not allowed to create a cluster",
        FailureCode.AWS_ACCESS_DENIED,
        ("aws_message", "aws_operation"),
        prepare=_fails("ecs.CreateCluster", "denied"),
    ),
    Cause(
        "Fargate has no capacity",
        FailureCode.CAPACITY_UNAVAILABLE,
        ("service_events",),
        prepare=_behaves(containers.no_capacity()),
    ),
    Cause(
        "AWS cannot provision the load balancer",
        FailureCode.CAPACITY_UNAVAILABLE,
        ("reason",),
        prepare=lambda world: world.account.load_balancers.fail_next(
            "Insufficient capacity in the zone"
        ),
    ),
    Cause(
        "`command` names a program that the image does not have",
        FailureCode.CONTAINER_CANNOT_START,
        ("stopped_reason", "stop_code", "service_events"),
        prepare=_behaves(containers.program_missing()),
    ),
    Cause(
        "the program exits with code 1",
        FailureCode.CONTAINER_EXITED,
        ("stopped_reason", "exit_code", "log_lines", "service_events"),
        prepare=_behaves(containers.exits(1.0, 1, TRACEBACK)),
    ),
    Cause(
        "the model needs more memory than its task has",
        FailureCode.OUT_OF_MEMORY,
        ("stopped_reason", "exit_code", "container_reason"),
        prepare=_behaves(containers.out_of_memory()),
    ),
    Cause(
        "gunicorn starts workers that need more memory than the task has",
        FailureCode.OUT_OF_MEMORY,
        ("target_health", "service_events", "log_lines"),
        prepare=_behaves(replace(containers.hangs(), logs=(KILLED,))),
    ),
    Cause(
        "the program rejects the Host header of the health check",
        FailureCode.HEALTH_CHECK_FAILED,
        ("target_health", "service_events", "log_lines"),
        prepare=_behaves(replace(containers.answers(400), logs=(INVALID_HOST,))),
        spec={"health_check": {"status": "200"}},
    ),
    Cause(
        "the program listens on 127.0.0.1 only",
        FailureCode.HEALTH_CHECK_FAILED,
        ("target_health", "service_events", "log_lines"),
        prepare=_behaves(replace(containers.listens_on(8080), logs=(LOOPBACK,))),
    ),
    Cause(
        "the path of the health check does not exist",
        FailureCode.HEALTH_CHECK_FAILED,
        ("target_health", "service_events", "log_lines"),
        prepare=_behaves(replace(containers.answers(200, health=404), logs=("serving",))),
        spec={"health_check": {"path": "/health"}},
    ),
    Cause(
        "the program listens on another port",
        FailureCode.HEALTH_CHECK_FAILED,
        ("target_health", "service_events", "log_lines"),
        prepare=_behaves(replace(containers.listens_on(8080), logs=(EVERYWHERE,))),
    ),
    Cause(
        "the model starts more slowly than `grace` allows",
        FailureCode.HEALTH_CHECK_FAILED,
        ("target_health", "service_events", "log_lines"),
        prepare=_behaves(replace(containers.slow_start(300), logs=("loading the model",))),
        spec={"health_check": {"grace": 30}},
    ),
    Cause(
        "the response does not have a key of `json_has`",
        FailureCode.SMOKE_TEST_FAILED,
        ("prediction", "log_lines"),
        prepare=_behaves(Behaviour(logs=("listening on 80",))),
        spec={"smoke_test": {"path": "/?uid=20", "json_has": ["titles"]}},
    ),
    Cause(
        "the load balancer does not become active",
        FailureCode.DEADLINE_EXCEEDED,
        ("waiting_for", "service_events", "log_lines"),
        prepare=_never_active,
    ),
    Cause(
        "the log group was deleted after Slipway created it",
        FailureCode.INTERNAL,
        ("stopped_reason", "stop_code", "service_events"),
        prepare=_behaves(containers.log_group_missing()),
    ),
    Cause(
        "AWS refuses a call for an unknown reason",
        FailureCode.AWS_REFUSED,
        ("aws_message", "aws_operation"),
        prepare=_fails(
            "ecs.CreateService", "refused", code="InvalidParameterException", message="No."
        ),
    ),
)


def cause(each: Cause) -> Outcome:
    """Run one create with this cause, from the request to the end."""
    with pytest.MonkeyPatch.context() as patch, opened() as world:
        for name, value in each.environment.items():
            patch.setenv(name, value)
        patch.setenv("ALLOWED_REGISTRIES", f"{image('').partition('/')[0]},ghcr.io")
        settings.cache_clear()
        each.prepare(world)
        spec = {"smoke_test": {"path": "/?uid=20"}, "image": image("1"), **each.spec}
        reply = world.create(name="model", **spec)
        assert reply.status == 202, reply
        made, reason_after = reply.body["id"], None
        while (record := _record(world, made)).operation.status == "running":
            if reason_after is None and record.failure:
                reason_after = world.clock.seconds()
            world.schedule.step()
        failed_after = world.clock.seconds()
        assert reason_after is not None, _record(world, made)
        assert world.run_until_idle()
        return Outcome(_record(world, made), reason_after, failed_after, broken(world))


def _record(world: World, deployment_id: str) -> Deployment:
    """Read the record without the layer, because a read must not count as a call."""
    key = {"pk": {"S": f"DEPLOYMENT#{deployment_id}"}, "sk": {"S": "RECORD"}}
    table = settings().table_name
    item = world.account.raw("dynamodb").get_item(TableName=table, Key=key)["Item"]
    return Deployment.model_validate_json(item["document"]["S"])


def row(each: Cause, outcome: Outcome) -> str:
    """The line of docs/failures.md for one cause, without random IDs."""
    failure = outcome.record.failure
    assert failure
    cells = (
        f"`{failure.code}`",
        each.title,
        failure.message,
        failure.hint,
        f"{outcome.reason_after:.0f} s",
        f"{outcome.failed_after:.0f} s",
    )
    line = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    line = re.sub(r"\([0-9A-Z]{14,32}\)", "(Z...)", line)
    return re.sub(r"\b(subnet|rtb|sg)-[0-9a-f]+(, (subnet|rtb|sg)-[0-9a-f]+)*", r"\1-...", line)


def main() -> int:
    """Write the table below the marker."""
    head = PAGE.read_text().partition(MARK)[0]
    rows = [row(each, cause(each)) for each in CAUSES]
    PAGE.write_text("\n".join([head + MARK + HEADER, *rows]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
