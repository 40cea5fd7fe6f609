"""The order of calls that AWS requires and emulators do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, Rule

Ask = Callable[[Call], Answer]
NAME_LENGTH = 32
LIVE = ("ACTIVE", "DRAINING")
INVALID = "InvalidParameterException"


class Order(Rule):
    """Refuses calls that come too early, too late or twice.

    Args:
        ask: calls the emulator with the other rules applied, so that a refusal depends on the
            resources as AWS would describe them now.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask_for = ask
        # (cluster, service) -> the CreateService call that created it.
        self._created: dict[tuple[str, str], Answer] = {}

    def before(self, call: Call) -> Answer | None:
        handler = getattr(self, f"_{call.service}_{call.operation}", None)
        answer: Answer | None = handler(call.params) if handler else None
        return answer

    def after(self, call: Call, answer: Answer) -> Answer:
        if call.name == "ecs.CreateService":
            self._created[_service_key(call.params, call.params["serviceName"])] = call.params
        return answer

    def _ask(self, service: str, operation: str, **params: Any) -> Answer:
        return self._ask_for(Call(service, operation, params))

    def _find(self, service: str, operation: str, key: str, **params: Any) -> list[Answer]:
        return ask_for_items(self._ask_for, service, operation, key, **params)

    # Services

    def _ecs_CreateService(self, params: Answer) -> Answer | None:
        service = self._find_service(params, params["serviceName"])
        if service and service["status"] == "DRAINING":
            # https://github.com/hashicorp/terraform-provider-aws/issues/9811
            raise AwsError(INVALID, "Unable to Start a service that is still Draining.")
        if service and service["status"] == "ACTIVE":
            created = self._created.get(_service_key(params, params["serviceName"]))
            if created == params and params.get("clientToken"):
                return {"service": service}
            # https://github.com/aws/amazon-ecs-cli/issues/329
            raise AwsError(INVALID, "Creation of service was not idempotent.")
        self._check_definition(params["taskDefinition"])
        for entry in params.get("loadBalancers", []):
            arn = entry.get("targetGroupArn")
            if arn and not self._listeners_of(arn):
                # https://github.com/aws/aws-cdk/issues/1160
                raise AwsError(
                    INVALID,
                    f"The target group with targetGroupArn {arn} does not have an associated load "
                    "balancer.",
                )
        return None

    def _check_definition(self, definition: str) -> None:
        """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeregisterTaskDefinition.html"""
        try:
            description = self._ask("ecs", "DescribeTaskDefinition", taskDefinition=definition)
        except AwsError:
            raise AwsError("ClientException", "TaskDefinition not description.") from None
        if description["taskDefinition"]["status"] != "ACTIVE":
            raise AwsError("ClientException", "TaskDefinition is inactive")

    def _ecs_UpdateService(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html"""
        service = self._find_service(params, params["service"])
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if service["status"] != "ACTIVE":
            raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
        if "taskDefinition" in params:
            self._check_definition(params["taskDefinition"])

    def _ecs_DeleteService(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html"""
        service = self._find_service(params, params["service"])
        if service is None or service["status"] == "INACTIVE":
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if (
            service["status"] == "ACTIVE"
            and service["desiredCount"] > 0
            and not params.get("force")
        ):
            message = "The service cannot be stopped while it is scaled above 0."
            raise AwsError(INVALID, message)

    def _find_service(self, params: Answer, name: str) -> Answer | None:
        cluster = params.get("cluster", "default")
        services = self._find(
            "ecs", "DescribeServices", "services", cluster=cluster, services=[name]
        )
        return services[0] if services else None

    def _ecs_DeleteCluster(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html"""
        cluster = params["cluster"]
        names = [name for (home, name) in self._created if home == _short(cluster)]
        names += self._find("ecs", "ListServices", "serviceArns", cluster=cluster)  # type: ignore[arg-type]
        for name in names:
            service = self._find_service(params, name)
            if service and service["status"] in LIVE:
                message = "The Cluster cannot be deleted while Services are active."
                raise AwsError("ClusterContainsServicesException", message)
        if self._has_tasks(cluster):
            message = "The Cluster cannot be deleted while Tasks are active."
            raise AwsError("ClusterContainsTasksException", message)

    def _has_tasks(self, cluster: str) -> bool:
        arns: list[Any] = []
        for status in ("RUNNING", "STOPPED"):
            arns += self._find(
                "ecs", "ListTasks", "taskArns", cluster=cluster, desiredStatus=status
            )
        if not arns:
            return False
        tasks = self._find("ecs", "DescribeTasks", "tasks", cluster=cluster, tasks=arns)
        return any(task["lastStatus"] != "STOPPED" for task in tasks)

    # Load balancers

    def _elbv2_CreateLoadBalancer(self, params: Answer) -> Answer | None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html"""
        name = params["Name"]
        _check_name("Load balancer", name)
        if name.startswith("internal-"):
            message = f"Load balancer name '{name}' cannot start with 'internal-'"
            raise AwsError("ValidationError", message)
        balancers = self._find("elbv2", "DescribeLoadBalancers", "LoadBalancers", Names=[name])
        if balancers:
            if _same_balancer(params, balancers[0]):
                return {"LoadBalancers": balancers}
            raise AwsError(
                "DuplicateLoadBalancerName",
                f"A load balancer with the same name '{name}' exists, but with different settings",
            )
        self._check_network(params)
        return None

    def _check_network(self, params: Answer) -> None:
        subnets = params.get("Subnets") or [m["SubnetId"] for m in params.get("SubnetMappings", [])]
        shown = self._find("ec2", "DescribeSubnets", "Subnets", SubnetIds=subnets)
        if len({subnet["AvailabilityZone"] for subnet in shown}) < 2:
            raise AwsError(
                "ValidationError",
                "At least two subnets in two different Availability Zones must be specified",
            )
        for group in params.get("SecurityGroups", []):
            if not self._find("ec2", "DescribeSecurityGroups", "SecurityGroups", GroupIds=[group]):
                message = f"Security group '{group}' does not exist"
                raise AwsError("InvalidSecurityGroup", message)

    def _elbv2_CreateTargetGroup(self, params: Answer) -> Answer | None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html"""
        name = params["Name"]
        _check_name("Target group", name)
        groups = self._find("elbv2", "DescribeTargetGroups", "TargetGroups", Names=[name])
        if not groups:
            return None
        asked = {key: value for key, value in params.items() if key not in ("Name", "Tags")}
        if all(groups[0].get(key) == value for key, value in asked.items()):
            return {"TargetGroups": groups}
        raise AwsError(
            "DuplicateTargetGroupName",
            f"A target group with the same name '{name}' exists, but with different settings",
        )

    def _elbv2_CreateListener(self, params: Answer) -> Answer | None:
        """Return the existing listener for the same request; refuse another on its port.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
        """
        arn = params["LoadBalancerArn"]
        balancers = self._find(
            "elbv2", "DescribeLoadBalancers", "LoadBalancers", LoadBalancerArns=[arn]
        )
        if not balancers:
            raise AwsError("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
        groups = groups_in(params["DefaultActions"])
        for listener in self._find("elbv2", "DescribeListeners", "Listeners", LoadBalancerArn=arn):
            if listener["Port"] == params["Port"]:
                same = listener["Protocol"] == params["Protocol"]
                if same and groups_in(listener["DefaultActions"]) == groups:
                    return {"Listeners": [listener]}
                message = f"A listener already exists on this port for this load balancer '{arn}'"
                raise AwsError("DuplicateListener", message)
        for group in groups:
            if not self._find(
                "elbv2", "DescribeTargetGroups", "TargetGroups", TargetGroupArns=[group]
            ):
                raise AwsError("TargetGroupNotFound", f"Target group '{group}' not found")
            if any(owner != arn for owner in self._listeners_of(group)):
                message = (
                    "The following target groups cannot be associated with more than one load "
                    f"balancer: {group}"
                )
                raise AwsError("TargetGroupAssociationLimit", message)
        return None

    def _elbv2_DeleteTargetGroup(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html"""
        arn = params["TargetGroupArn"]
        if self._listeners_of(arn):
            message = f"Target group '{arn}' is currently in use by a listener or a rule"
            raise AwsError("ResourceInUse", message)

    def _listeners_of(self, group: str) -> list[str]:
        """The load balancers with a listener or rule that forwards to a target group."""
        return [
            balancer["LoadBalancerArn"]
            for balancer in self._find("elbv2", "DescribeLoadBalancers", "LoadBalancers")
            if self._forwards(balancer["LoadBalancerArn"], group)
        ]

    def _forwards(self, balancer: str, group: str) -> bool:
        listeners = self._find("elbv2", "DescribeListeners", "Listeners", LoadBalancerArn=balancer)
        if any(group in groups_in(listener.get("DefaultActions", [])) for listener in listeners):
            return True
        for listener in listeners:
            arn = listener["ListenerArn"]
            rules = self._find("elbv2", "DescribeRules", "Rules", ListenerArn=arn)
            if any(group in groups_in(rule.get("Actions", [])) for rule in rules):
                return True
        return False

    # Security groups

    def _ec2_DeleteSecurityGroup(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html"""
        group = params.get("GroupId", "")
        filters = [{"Name": "ip-permission.group-id", "Values": [group]}]
        naming = self._find("ec2", "DescribeSecurityGroups", "SecurityGroups", Filters=filters)
        if any(other["GroupId"] != group for other in naming):
            raise AwsError("DependencyViolation", f"resource {group} has a dependent object")


def ask_for_items(ask: Ask, service: str, operation: str, key: str, **params: Any) -> list[Answer]:
    """The items of a describe call; an empty list if AWS returns not found."""
    try:
        return list(ask(Call(service, operation, params)).get(key, []))
    except AwsError as error:
        if "NotFound" not in error.code:
            raise
        return []


def groups_in(actions: list[dict[str, Any]]) -> set[str]:
    """The target groups that listener or rule actions forward to."""
    groups = {action["TargetGroupArn"] for action in actions if action.get("TargetGroupArn")}
    for action in actions:
        for group in action.get("ForwardConfig", {}).get("TargetGroups", []):
            groups.add(group["TargetGroupArn"])
    return groups


def _short(cluster: str) -> str:
    return cluster.rsplit("/", 1)[-1]


def _service_key(params: Answer, name: str) -> tuple[str, str]:
    return _short(params.get("cluster", "default")), name.rsplit("/", 1)[-1]


def _check_name(what: str, name: str) -> None:
    if len(name) > NAME_LENGTH:
        message = f"{what} name '{name}' cannot be longer than '{NAME_LENGTH}' characters"
        raise AwsError("ValidationError", message)
    if not name.replace("-", "").isalnum() or not name.isascii():
        message = (
            f"{what} name '{name}' can only contain characters that are alphanumeric characters "
            "and hyphens(-)"
        )
        raise AwsError("ValidationError", message)
    if name.startswith("-") or name.endswith("-"):
        raise AwsError("ValidationError", f"{what} name '{name}' cannot begin or end with '-'")


def _same_balancer(params: Answer, balancer: Answer) -> bool:
    subnets = {zone["SubnetId"] for zone in balancer.get("AvailabilityZones", [])}
    return (
        set(params.get("Subnets", [])) == subnets
        and set(params.get("SecurityGroups", [])) == set(balancer.get("SecurityGroups", []))
        and params.get("Scheme", "internet-facing") == balancer.get("Scheme")
        and params.get("Type", "application") == balancer.get("Type")
    )
