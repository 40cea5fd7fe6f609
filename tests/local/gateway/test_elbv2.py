"""ELBv2 through the gateway, as boto3 sees it: what MiniStack drops, and what AWS refuses."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

from local.emulator import Aws, Emulator, client
from local.gateway import wire
from local.gateway.elbv2.handler import Elbv2
from local.gateway.messages import HttpAnswer, HttpRequest
from local.processes import wait_until

TEXT = 'a < b & "c" > d'
FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
PATH = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a/*"]}}


@pytest.fixture(scope="module")
def elbv2(aws: Aws) -> Any:
    """A client of the gateway."""
    return client("elbv2", aws)


class Balancer:
    """A load balancer with a listener that answers 503, and a few target groups."""

    def __init__(self, elbv2: Any) -> None:
        self.elbv2, self.name = elbv2, f"b-{uuid.uuid4().hex[:6]}"
        made = elbv2.create_load_balancer(Name=self.name, Subnets=["subnet-1", "subnet-2"])
        self.arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        self.listener = self.listen(80)
        self.groups: list[str] = []

    def listen(self, port: int, action: dict[str, Any] = FIXED) -> str:
        made = self.elbv2.create_listener(
            LoadBalancerArn=self.arn, Protocol="HTTP", Port=port, DefaultActions=[action]
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def group(self, **settings: Any) -> str:
        name = f"{self.name}-{len(self.groups)}"
        common = {"Protocol": "HTTP", "Port": 80, "VpcId": "vpc-1", "TargetType": "ip"}
        made = self.elbv2.create_target_group(Name=name, **{**common, **settings})
        self.groups.append(made["TargetGroups"][0]["TargetGroupArn"])
        return str(self.groups[-1])

    def rule(self, priority: int, **changes: Any) -> dict[str, Any]:
        settings = {"Conditions": [PATH], "Actions": [FIXED], **changes}
        made = self.elbv2.create_rule(ListenerArn=self.listener, Priority=priority, **settings)
        return dict(made["Rules"][0])

    def rules(self) -> dict[str, dict[str, Any]]:
        """The rules by their priority, as DescribeRules returns them."""
        found = self.elbv2.describe_rules(ListenerArn=self.listener)["Rules"]
        return {rule["Priority"]: rule for rule in found}

    def action(self) -> dict[str, Any]:
        """The default action, as DescribeListeners returns it."""
        found = self.elbv2.describe_listeners(ListenerArns=[self.listener])["Listeners"]
        return dict(found[0]["DefaultActions"][0])

    def set_action(self, action: dict[str, Any]) -> None:
        self.elbv2.modify_listener(ListenerArn=self.listener, DefaultActions=[action])

    def delete(self) -> None:
        self.elbv2.delete_load_balancer(LoadBalancerArn=self.arn)
        for arn in self.groups:
            self.elbv2.delete_target_group(TargetGroupArn=arn)


@pytest.fixture
def balancer(elbv2: Any) -> Iterator[Balancer]:
    made = Balancer(elbv2)
    yield made
    made.delete()


def code_of(call: Any, **arguments: Any) -> str:
    """The code of the error that a call gets."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    assert raised.value.response["Error"]["Message"]
    return str(raised.value.response["Error"]["Code"])


def weighted(*groups: tuple[str, int], **sticky: Any) -> dict[str, Any]:
    config: dict[str, Any] = {
        "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]
    }
    if sticky:
        config["TargetGroupStickinessConfig"] = sticky
    return {"Type": "forward", "ForwardConfig": config}


def test_the_weights_of_a_listener_are_kept(balancer: Balancer) -> None:
    one, other = balancer.group(), balancer.group()
    action = weighted((one, 95), (other, 0), Enabled=True, DurationSeconds=60)

    balancer.set_action(action)

    assert balancer.action() == {**action, "Order": 1}
    assert balancer.rules()["default"]["Actions"] == [{**action, "Order": 1}]
    balancer.set_action(weighted((one, 0), (other, 1)))
    weights = [group["Weight"] for group in balancer.action()["ForwardConfig"]["TargetGroups"]]
    assert weights == [0, 1]


def test_a_single_target_group_is_shown_in_both_ways(balancer: Balancer) -> None:
    arn = balancer.group()
    for action in ({"Type": "forward", "TargetGroupArn": arn}, weighted((arn, 1))):
        balancer.set_action(action)
        shown = balancer.action()
        assert shown["TargetGroupArn"] == arn
        assert shown["ForwardConfig"] == {
            "TargetGroups": [{"TargetGroupArn": arn, "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": False},
        }


def test_a_rule_keeps_its_conditions_actions_and_transforms(balancer: Balancer) -> None:
    arn, other = balancer.group(), balancer.group()
    conditions = [
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["b&c"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "<1>"}]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
    ]
    transform = {
        "Type": "url-rewrite",
        "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a/(.*)$", "Replace": "/$1"}]},
    }

    made = balancer.rule(
        7, Conditions=conditions, Actions=[weighted((arn, 3), (other, 4))], Transforms=[transform]
    )

    rule = balancer.rules()["7"]
    assert rule == made
    assert [{k: v for k, v in c.items() if k != "Values"} for c in rule["Conditions"]] == conditions
    assert rule["Transforms"] == [transform]
    assert [g["Weight"] for g in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]] == [3, 4]
    balancer.elbv2.modify_rule(RuleArn=rule["RuleArn"], Actions=[FIXED])
    assert balancer.rules()["7"]["Conditions"] == rule["Conditions"]
    assert balancer.rules()["7"]["Actions"][0]["Type"] == "fixed-response"


def test_host_and_path_are_shown_with_values_and_config(balancer: Balancer) -> None:
    host = {"Field": "host-header", "Values": ["a.example.com"]}
    shown = balancer.rule(1, Conditions=[PATH, host])["Conditions"]
    assert shown == [
        {**PATH, "Values": ["/a/*"]},
        {**host, "HostHeaderConfig": {"Values": ["a.example.com"]}},
    ]


def test_characters_of_xml_arrive_as_they_are(balancer: Balancer) -> None:
    config = {"StatusCode": "503", "ContentType": "text/html", "MessageBody": TEXT}
    balancer.set_action({"Type": "fixed-response", "FixedResponseConfig": config})
    assert balancer.action()["FixedResponseConfig"] == config
    arn = balancer.group(HealthCheckPath="/ready?a=1&b=<2>")
    found = balancer.elbv2.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
    assert found["HealthCheckPath"] == "/ready?a=1&b=<2>"


def test_a_target_group_names_the_load_balancers_that_use_it(balancer: Balancer) -> None:
    arn = balancer.group()

    def users() -> list[str]:
        found = balancer.elbv2.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
        return list(found[0]["LoadBalancerArns"])

    def of_the_balancer() -> list[str]:
        found = balancer.elbv2.describe_target_groups(LoadBalancerArn=balancer.arn)
        return [group["TargetGroupArn"] for group in found["TargetGroups"]]

    assert (users(), of_the_balancer()) == ([], [])
    rule = balancer.rule(1, Actions=[weighted((arn, 1))])
    assert (users(), of_the_balancer()) == ([balancer.arn], [arn])
    assert code_of(balancer.elbv2.delete_target_group, TargetGroupArn=arn) == "ResourceInUse"
    balancer.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    assert (users(), of_the_balancer()) == ([], [])


def test_a_deleted_load_balancer_takes_its_listeners_along(elbv2: Any) -> None:
    balancer = Balancer(elbv2)
    arn = balancer.group()
    balancer.set_action(weighted((arn, 1)))
    balancer.delete()
    assert elbv2.describe_listeners(LoadBalancerArn=balancer.arn)["Listeners"] == []


def test_attributes_have_aws_s_defaults(balancer: Balancer) -> None:
    arn = balancer.group()
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "7"}
    balancer.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
    found = balancer.elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    values = {each["Key"]: each["Value"] for each in found}
    assert values["deregistration_delay.timeout_seconds"] == "7"
    assert values["load_balancing.algorithm.type"] == "round_robin"
    assert values["stickiness.lb_cookie.duration_seconds"] == "86400"


def test_priorities_are_unique_and_can_be_exchanged(balancer: Balancer) -> None:
    one, other = balancer.rule(1)["RuleArn"], balancer.rule(2)["RuleArn"]
    assert code_of(balancer.rule, priority=2) == "PriorityInUse"
    change = balancer.elbv2.set_rule_priorities

    def priorities(**wanted: int) -> list[dict[str, Any]]:
        arns = {"one": one, "other": other, "none": f"{one}0"}
        return [{"RuleArn": arns[name], "Priority": value} for name, value in wanted.items()]

    change(RulePriorities=priorities(one=2, other=1))
    assert {key: rule["RuleArn"] for key, rule in balancer.rules().items() if key != "default"} == {
        "2": one,
        "1": other,
    }
    assert code_of(change, RulePriorities=priorities(one=1)) == "PriorityInUse"
    assert code_of(change, RulePriorities=priorities(one=5, other=5)) == "ValidationError"
    assert code_of(change, RulePriorities=priorities(none=5)) == "RuleNotFound"
    default = {"RuleArn": balancer.rules()["default"]["RuleArn"], "Priority": 9}
    assert code_of(change, RulePriorities=[default]) == "OperationNotPermitted"


def test_a_port_has_one_listener(balancer: Balancer) -> None:
    assert code_of(balancer.listen, port=80) == "DuplicateListener"
    assert balancer.listen(81)


@pytest.mark.parametrize("weight", [-1, 1000])
def test_a_weight_is_from_0_to_999(balancer: Balancer, weight: int) -> None:
    arn = balancer.group()
    assert code_of(balancer.set_action, action=weighted((arn, weight))) == "ValidationError"


def test_an_action_forwards_to_at_most_five_known_target_groups(balancer: Balancer) -> None:
    groups = [(balancer.group(), 1) for _ in range(6)]
    balancer.set_action(weighted(*groups[:5]))
    assert code_of(balancer.set_action, action=weighted(*groups)) == "TooManyTargetGroups"
    missing = f"{groups[0][0]}0"
    assert code_of(balancer.set_action, action=weighted((missing, 1))) == "TargetGroupNotFound"
    both = {**weighted(groups[0]), "TargetGroupArn": groups[1][0]}
    assert code_of(balancer.set_action, action=both) == "InvalidLoadBalancerAction"
    assert code_of(balancer.set_action, action={"Type": "forward"}) == "ValidationError"
    balancer.set_action(FIXED)


@pytest.mark.parametrize(
    "changes",
    [
        {"Conditions": []},
        {"Conditions": [{"Field": "path-pattern"}]},
        {"Conditions": [{"Field": "weather", "Values": ["a"]}]},
        {"Conditions": [{"Field": "http-header", "HttpHeaderConfig": {"Values": ["a"]}}]},
        {"Conditions": [{"Field": "path-pattern", "Values": [f"/{n}" for n in range(6)]}]},
        {"Conditions": [{"Field": "path-pattern", "Values": ["*******"]}]},
        {"Actions": [FIXED, {**FIXED, "Order": 2}]},
        {"Actions": []},
    ],
)
def test_a_rule_that_aws_refuses_is_refused(balancer: Balancer, changes: dict[str, Any]) -> None:
    assert code_of(balancer.rule, priority=1, **changes) == "ValidationError"
    assert set(balancer.rules()) == {"default"}


@pytest.mark.parametrize("priority", [50001, 99999])
def test_a_priority_is_at_most_50000(balancer: Balancer, priority: int) -> None:
    assert code_of(balancer.rule, priority=priority) == "ValidationError"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deregistration_delay.timeout_seconds", "3601"),
        ("deregistration_delay.timeout_seconds", "soon"),
        ("slow_start.duration_seconds", "10"),
        ("load_balancing.algorithm.type", "fastest"),
        ("stickiness.lb_cookie.duration_seconds", "0"),
    ],
)
def test_an_attribute_out_of_its_range_is_refused(balancer: Balancer, key: str, value: str) -> None:
    arn, change = balancer.group(), balancer.elbv2.modify_target_group_attributes
    attributes = [{"Key": key, "Value": value}]
    assert code_of(change, TargetGroupArn=arn, Attributes=attributes) == "ValidationError"


@pytest.mark.parametrize(
    "settings",
    [
        {"HealthCheckIntervalSeconds": 301},
        {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5},
        {"HealthCheckTimeoutSeconds": 121},
        {"UnhealthyThresholdCount": 11},
        {"Matcher": {"HttpCode": "200-599"}},
        {"Matcher": {"HttpCode": "ok"}},
    ],
)
def test_a_health_check_out_of_its_range_is_refused(
    balancer: Balancer, settings: dict[str, Any]
) -> None:
    assert code_of(balancer.group, **settings) == "ValidationError"


def test_target_health_comes_from_the_load_balancers(balancer: Balancer) -> None:
    arn = balancer.group()
    target = {"Id": "127.0.0.1", "Port": 9}  # nothing listens on the discard port

    def health(**asked: Any) -> tuple[str, str]:
        found = balancer.elbv2.describe_target_health(TargetGroupArn=arn, **asked)
        (described,) = found["TargetHealthDescriptions"]
        assert described["Target"] == target
        return described["TargetHealth"]["State"], described["TargetHealth"]["Reason"]

    balancer.elbv2.register_targets(TargetGroupArn=arn, Targets=[target])
    assert health() == ("unused", "Target.NotInUse")
    balancer.set_action(weighted((arn, 1)))
    wait_until(lambda: health() == ("unhealthy", "Target.FailedHealthChecks"), 20)
    balancer.elbv2.deregister_targets(TargetGroupArn=arn, Targets=[target])
    assert health() == ("draining", "Target.DeregistrationInProgress")
    balancer.set_action(FIXED)
    target = {"Id": "127.0.0.2", "Port": 9}
    assert health(Targets=[target]) == ("unused", "Target.NotRegistered")


class NoTargets:
    """Load balancers without targets."""

    def changed(self) -> None:
        """Nothing changes."""

    def target_health(self, *_: Any) -> list[dict[str, Any]]:
        return []


def test_a_target_group_that_is_deleted_during_a_read_is_not_found(emulator: Emulator) -> None:
    handler = Elbv2(emulator.aws, escapes=False)
    handler.load_balancers = NoTargets()
    gone = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/gone/0123456789abcdef"
    asked = {"Action": "DescribeTargetHealth", "Version": "2015-12-01", "TargetGroupArn": gone}
    body = urlencode({**asked, "Targets.member.1.Id": "127.0.0.1"}).encode()
    scope = "20261129/us-east-1/elasticloadbalancing/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential=key/{scope}"}

    async def forward(request: HttpRequest) -> HttpAnswer:
        """MiniStack's answer of a moment ago, when the target group existed."""
        call = wire.read_request(request)
        assert call
        return wire.write_answer(call, {"TargetHealthDescriptions": []})

    answer = asyncio.run(handler.handle(HttpRequest("POST", "/", signed, body), forward))
    assert (answer.status, b"<Code>TargetGroupNotFound</Code>" in answer.body) == (400, True)
