"""The proxy with real parts: boto3 on one side, MiniStack on the other, and rules between them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from local import processes
from local.emulator import REGION, Emulator, Keys
from tests.support.simulated_aws.aws import Answer, AwsError, Call, ConnectionReset, Rule
from tests.support.simulated_aws.proxy import Proxy

MOMENT = datetime(2026, 11, 24, 9, 30, 15, 250000, tzinfo=UTC)
LOST = (ConnectionClosedError, HTTPClientError)
# No service model has Throttling, so moto logs a warning.
pytestmark = pytest.mark.filterwarnings("ignore:Exception.AwsError. with code")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A MiniStack without Slipway."""
    mark = uuid.uuid4().hex
    with pytest.MonkeyPatch.context() as patch:  # other emulators of the session use their own
        patch.setenv(processes.MARK, mark)
        running = Emulator(tmp_path_factory.mktemp("emulator"), Keys("local", "local", ""), "")
    yield running
    running.stop()
    processes.end_marked(mark, grace=1)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A running proxy without an emulator."""
    running = Proxy()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def connected(proxy: Proxy, emulator: Emulator) -> Proxy:
    """A proxy that forwards to the emulator."""
    proxy.forward_to(emulator.aws.aws_endpoint_url)
    return proxy


@cache
def session() -> Any:
    """Shared, because it caches the service models."""
    return boto3.session.Session("local", "local", region_name=REGION)


def client(proxy: Proxy, service: str) -> Any:
    """A boto3 client that does not retry."""
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return session().client(service, endpoint_url=proxy.url, config=config)


def name() -> str:
    return f"p-{uuid.uuid4().hex[:8]}"


class FixedResponse(Rule):
    """Returns a fixed response for one operation, and records the calls."""

    def __init__(self, operation: str, answer: Answer | Exception) -> None:
        self._operation, self._answer = operation, answer
        self.asked: list[Call] = []

    def before(self, call: Call) -> Answer | None:
        if call.operation != self._operation:
            return None
        self.asked.append(call)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class ChangedResponse(Rule):
    """Changes the emulator's responses to one operation."""

    def __init__(self, operation: str, change: Callable[[Answer], Answer]) -> None:
        self._operation, self._change = operation, change

    def after(self, call: Call, answer: Answer) -> Answer:
        return self._change(answer) if call.operation == self._operation else answer


# (service, operation, parameters, response): nested, with lists, maps, numbers and timestamps.
CALLS: list[tuple[str, str, dict[str, Any], Answer]] = [
    (
        "ecs",
        "DescribeTasks",
        {"cluster": "c", "tasks": ["a", "b"], "include": ["TAGS"]},
        {"tasks": [{"taskArn": "a", "createdAt": MOMENT, "containers": [{"exitCode": 1}]}]},
    ),
    (
        "elbv2",
        "CreateTargetGroup",
        {
            "Name": "t",
            "Port": 80,
            "HealthCheckEnabled": True,
            "Matcher": {"HttpCode": "200-399"},
            "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}],
        },
        {"TargetGroups": [{"TargetGroupArn": "arn", "Port": 80, "LoadBalancerArns": ["x", "y"]}]},
    ),
    (
        "elbv2",
        "DescribeLoadBalancers",
        {"Names": ["n"]},
        {"LoadBalancers": [{"State": {"Code": "provisioning"}, "CreatedTime": MOMENT}]},
    ),
    (
        "ec2",
        "AuthorizeSecurityGroupIngress",
        {
            "GroupId": "sg-1",
            "IpPermissions": [
                {
                    "IpProtocol": "tcp",
                    "FromPort": 80,
                    "ToPort": 81,
                    "UserIdGroupPairs": [{"GroupId": "sg-2", "Description": "front"}],
                }
            ],
        },
        {"Return": True, "SecurityGroupRules": [{"GroupId": "sg-1", "FromPort": 80}]},
    ),
    (
        "ec2",
        "DescribeSecurityGroups",
        {"Filters": [{"Name": "group-name", "Values": ["a", "b"]}]},
        {"SecurityGroups": [{"GroupId": "sg-1", "Tags": [{"Key": "k", "Value": "v"}]}]},
    ),
    (
        "logs",
        "CreateLogGroup",
        {"logGroupName": "g", "tags": {"a": "1"}},
        {},
    ),
    (
        "stepfunctions",
        "StartExecution",
        {"stateMachineArn": "m" * 10, "name": "n", "input": '{"a": "ü"}'},
        {"executionArn": "arn", "startDate": MOMENT},
    ),
    (
        "resourcegroupstaggingapi",
        "GetResources",
        {"TagFilters": [{"Key": "k", "Values": ["v"]}]},
        {"ResourceTagMappingList": [{"ResourceARN": "arn"}]},
    ),
    (
        "ecr",
        "DescribeImages",
        {"repositoryName": "recommend", "imageIds": [{"imageTag": "1"}]},
        {"imageDetails": [{"imageDigest": "sha256:0", "imagePushedAt": MOMENT}]},
    ),
]


def send(proxy: Proxy, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """The response without `ResponseMetadata`."""
    boto = client(proxy, service)
    method = {api: python for python, api in boto.meta.method_to_api_mapping.items()}[operation]
    answer: dict[str, Any] = getattr(boto, method)(**params)
    answer.pop("ResponseMetadata")
    return answer


@pytest.mark.parametrize(("service", "operation", "params", "answer"), CALLS)
def test_a_rule_gets_the_request_and_its_response_arrives(
    proxy: Proxy, service: str, operation: str, params: dict[str, Any], answer: Answer
) -> None:
    rule = FixedResponse(operation, answer)
    with proxy.rule(rule):
        assert send(proxy, service, operation, params) == answer

    assert [call.name for call in rule.asked] == [f"{service}.{operation}"]
    asked = rule.asked[0].params
    assert {key: asked.get(key) for key in params} == params


@pytest.mark.parametrize(("service", "operation", "params"), [case[:3] for case in CALLS])
@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("ServiceUnavailable", 503)]
)
def test_boto3_can_parse_an_error_of_a_rule(
    proxy: Proxy, service: str, operation: str, params: dict[str, Any], code: str, status: int
) -> None:
    rule = FixedResponse(operation, AwsError(code, "Rate exceeded & more", status))
    with proxy.rule(rule), pytest.raises(ClientError) as caught:
        send(proxy, service, operation, params)

    response = caught.value.response
    assert (response["Error"]["Code"], response["Error"]["Message"]) == (
        code,
        "Rate exceeded & more",
    )
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert [(seen.call.operation, seen.outcome) for seen in proxy.calls] == [(operation, code)]


def test_a_modelled_error_has_its_boto3_exception_class(proxy: Proxy) -> None:
    elbv2 = client(proxy, "elbv2")
    rule = FixedResponse("DeleteTargetGroup", AwsError("ResourceInUse", "in use by a listener"))

    with proxy.rule(rule), pytest.raises(elbv2.exceptions.ResourceInUseException):
        elbv2.delete_target_group(TargetGroupArn="arn")


def test_without_rules_the_emulators_responses_arrive(connected: Proxy) -> None:
    ecs, cluster = client(connected, "ecs"), name()
    made = ecs.create_cluster(clusterName=cluster)["cluster"]
    answer = ecs.describe_clusters(clusters=[cluster, "none"])

    assert [found["clusterArn"] for found in answer["clusters"]] == [made["clusterArn"]]
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.describe_services(cluster="none", services=["none"])
    assert [seen.outcome for seen in connected.calls] == [
        "answered",
        "answered",
        "ClusterNotFoundException",
    ]


def test_only_responses_that_a_rule_changed_are_rewritten(
    connected: Proxy, emulator: Emulator
) -> None:
    groups = client(connected, "ec2").describe_security_groups()["SecurityGroups"]
    change: Callable[[Answer], Answer] = lambda answer: {  # noqa: E731
        "SecurityGroups": [
            {**group, "Description": "amended"} for group in answer["SecurityGroups"]
        ]
    }
    with connected.rule(ChangedResponse("DescribeSecurityGroups", change)):
        amended = client(connected, "ec2").describe_security_groups()["SecurityGroups"]
    with connected.rule(ChangedResponse("DescribeSecurityGroups", dict)):
        same = client(connected, "ec2").describe_security_groups()

    assert groups and [{**group, "Description": "amended"} for group in groups] == amended
    # Only MiniStack's own response has its request ID; a rewritten one does not.
    assert same["SecurityGroups"] == groups


def test_a_reset_before_the_emulator_has_no_effect(connected: Proxy) -> None:
    ecs, cluster = client(connected, "ecs"), name()
    with connected.rule(FixedResponse("CreateCluster", ConnectionReset())), pytest.raises(LOST):
        ecs.create_cluster(clusterName=cluster)

    assert ecs.describe_clusters(clusters=[cluster])["clusters"] == []
    assert connected.calls[0].outcome == "reset"


def test_a_call_with_a_lost_response_took_effect(connected: Proxy) -> None:
    def lose(answer: Answer) -> Answer:
        raise ConnectionReset

    ecs, cluster = client(connected, "ecs"), name()
    with connected.rule(ChangedResponse("CreateCluster", lose)), pytest.raises(LOST):
        ecs.create_cluster(clusterName=cluster)

    assert len(ecs.describe_clusters(clusters=[cluster])["clusters"]) == 1


def test_table_calls_are_forwarded_unparsed(connected: Proxy) -> None:
    dynamodb = client(connected, "dynamodb")
    with connected.rule(FixedResponse("ListTables", AwsError("Never", "read"))):
        assert dynamodb.list_tables()["TableNames"] == []

    assert connected.calls == []


def test_calls_do_not_wait_for_a_slow_call_in_the_emulator(proxy: Proxy) -> None:
    """Rules handle one call at a time, but a pending call does not block other calls."""
    entered, release = threading.Event(), threading.Event()

    def describe(connected: Proxy, cluster: str) -> None:
        with pytest.raises(ClientError):  # 503: there is no emulator
            client(connected, "ecs").describe_clusters(clusters=[cluster])

    class Slow(Proxy):
        def _forward(self, request: Any) -> Any:
            if b"slow" in request.body:
                entered.set()
                release.wait(10)
            return super()._forward(request)

    slow = Slow()
    slow.start()
    try:
        waiting = threading.Thread(target=describe, args=(slow, "slow"))
        waiting.start()
        assert entered.wait(10)
        describe(slow, "quick")
        assert waiting.is_alive()
        release.set()
        waiting.join(10)
        assert not waiting.is_alive()
    finally:
        release.set()
        slow.stop()


def test_an_error_in_a_rule_is_reported(proxy: Proxy) -> None:
    rule = FixedResponse("DescribeClusters", ValueError("a typing error"))
    with proxy.rule(rule), pytest.raises(ClientError) as caught:
        client(proxy, "ecs").describe_clusters()

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
