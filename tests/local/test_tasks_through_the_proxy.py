"""Tasks that are processes, read through the proxy: with the agent, MiniStack and boto3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator import Aws, client
from local.gateway.process import Gateway
from local.processes import wait_until
from tests.local.service import SECONDS, Service
from tests.support.simulated_aws.ministack import FARGATE_VCPU, Ministack
from tests.support.simulated_aws.proxy import Proxy
from tests.support.simulated_aws.real_tasks import RealTasks

CRASH = ["python", "-c", "print('boom'); raise SystemExit(3)"]
STUBBORN = "import signal, time; signal.signal(15, lambda *_: time.sleep(2)); "
SERVE = (
    "import http.server as h, os; h.HTTPServer((os.environ['HOST'], 80), h.BaseHTTPRequestHandler)"
)


@pytest.fixture
def proxy(aws: Aws) -> Iterator[Proxy]:
    """A proxy with the rules about MiniStack and real tasks."""

    @cache
    def raw(service: str) -> Any:
        return client(service, aws)

    running = Proxy([RealTasks(raw), Ministack(raw)])
    running.start()
    running.forward_to(aws.aws_endpoint_url)
    yield running
    running.stop()


@pytest.fixture
def service(proxy: Proxy, gateway: Gateway, agent: object) -> Iterator[Service]:
    """A service that is created and read through the proxy, without tasks."""
    made = Service(through(proxy, gateway.aws), gateway.load_balancers_url)
    yield made
    # Ask MiniStack directly, because through the proxy a running target remains a target.
    made.ecs.delete_service(cluster=made.name, service=made.name, force=True)
    wait_until(lambda: status(made) == "INACTIVE", SECONDS)
    made.ecs.delete_cluster(cluster=made.name)


def through(proxy: Proxy, aws: Aws) -> Aws:
    """The proxy's endpoint."""
    return replace(aws, aws_endpoint_url=proxy.url)


def described(service: Service) -> dict[str, Any]:
    """Return the service as DescribeServices describes it."""
    answer = service.ecs.describe_services(cluster=service.name, services=[service.name])
    return dict(answer["services"][0])


def status(service: Service) -> str:
    return str(described(service)["status"])


def stopped(service: Service, count: int) -> list[dict[str, Any]]:
    """Wait for `count` stopped tasks and return them."""

    def seen() -> list[dict[str, Any]]:
        return [task for task in service.tasks("STOPPED") if task["lastStatus"] == "STOPPED"]

    wait_until(lambda: len(seen()) >= count, SECONDS)
    return seen()


def test_a_task_that_exits_is_reported_as_on_aws_and_trips_the_circuit_breaker(
    service: Service,
) -> None:
    definition = service.register_task_definition(command=CRASH)
    service.create(definition)
    task = stopped(service, 3)[0]

    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert task["containers"][0]["exitCode"] == 3
    service.update(
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    )
    # The third failure trips the circuit breaker. The agent restarts a task with a growing delay.
    wait_until(lambda: described(service)["deployments"][0]["rolloutState"] == "FAILED", SECONDS)


def test_a_task_that_fails_its_health_check_is_a_target_nevertheless(
    service: Service,
) -> None:
    service.elbv2.modify_target_group(
        TargetGroupArn=service.target_group, Matcher={"HttpCode": "204"}
    )
    service.create(service.register_task_definition())
    (address,) = service.wait_for_targets(1)
    assert service.get()[0] == 503  # no request goes there

    (task,) = stopped(service, 1)
    assert "failed ELB health checks" in task["stoppedReason"]
    assert task["stopCode"] == "ServiceSchedulerInitiated"
    messages = [event["message"] for event in described(service)["events"]]
    assert any("failed ELB health checks" in message for message in messages)
    assert address.startswith("127.")


def test_a_deleted_service_drains_until_its_processes_have_ended(service: Service) -> None:
    code = f"{STUBBORN}{SERVE}.serve_forever()"
    service.create(service.register_task_definition(command=["python", "-c", code]))
    wait_until(lambda: described(service)["runningCount"] == 1, SECONDS)

    gone = service.ecs.delete_service(cluster=service.name, service=service.name, force=True)

    assert gone["service"]["status"] == "DRAINING"
    (task,) = service.tasks("STOPPED")
    assert task["lastStatus"] == "DEPROVISIONING"
    assert service.task_ids("RUNNING") == []
    wait_until(lambda: status(service) == "INACTIVE", SECONDS)
    assert [task["lastStatus"] for task in service.tasks("STOPPED")] == ["STOPPED"]


def test_in_a_rollout_the_old_task_runs_until_the_new_task_serves(service: Service) -> None:
    old = service.register_task_definition()
    service.create(old)
    service.wait_for_targets(1)
    wait_until(lambda: service.get()[0] == 200, SECONDS)
    service.update(taskDefinition=service.register_task_definition(command=CRASH))
    stopped(service, 1)

    running = {task["taskDefinitionArn"] for task in service.tasks() if _is_up(task)}
    definitions = [d["taskDefinition"] for d in described(service)["deployments"]]
    assert old in running and old in definitions[1:]
    assert service.get()[0] == 200


def _is_up(task: dict[str, Any]) -> bool:
    return bool(task["lastStatus"] == "RUNNING")


def test_a_rule_that_names_another_group_can_be_revoked_and_found(
    proxy: Proxy, aws: Aws, service: Service
) -> None:
    service.create(service.register_task_definition(), count=0)
    ec2 = client("ec2", through(proxy, aws))
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    front, back = (
        ec2.create_security_group(GroupName=f"{service.name}-{n}", Description=n, VpcId=vpc)[
            "GroupId"
        ]
        for n in ("front", "back")
    )
    pair = [{"GroupId": front, "Description": "front"}]
    ec2.authorize_security_group_ingress(
        GroupId=back,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": pair}
        ],
    )
    naming = [{"Name": "ip-permission.group-id", "Values": [front]}]

    (found,) = ec2.describe_security_groups(Filters=naming)["SecurityGroups"]
    ec2.revoke_security_group_ingress(GroupId=back, IpPermissions=found["IpPermissions"])

    assert found["GroupId"] == back
    assert ec2.describe_security_groups(Filters=naming)["SecurityGroups"] == []


def test_a_missing_image_is_an_error_and_quotas_have_aws_s_defaults(
    proxy: Proxy, aws: Aws, service: Service
) -> None:
    service.create(service.register_task_definition(), count=0)
    ecr = client("ecr", through(proxy, aws))
    ecr.create_repository(repositoryName=service.name)
    with pytest.raises(ecr.exceptions.ImageNotFoundException):
        ecr.describe_images(repositoryName=service.name, imageIds=[{"imageTag": "none"}])

    limits = service.elbv2.describe_account_limits()["Limits"]
    assert {"Name": "application-load-balancers", "Max": "50"} in limits
    quotas = client("service-quotas", through(proxy, aws))
    quota = quotas.get_service_quota(ServiceCode="fargate", QuotaCode="L-3032A538")["Quota"]
    assert quota["Value"] == FARGATE_VCPU
    with pytest.raises(ClientError):
        ecr.describe_images(repositoryName="none", imageIds=[{"imageTag": "none"}])
