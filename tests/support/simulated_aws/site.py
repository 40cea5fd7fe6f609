"""A service with all the resources that it needs, created through an account's clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.simulated_aws.account import REGISTRY, REPOSITORY, Account
from tests.support.simulated_aws.times import LOAD_BALANCER_ACTIVE, TASK_RUNNING

NAME = "site-abcdef"
PORT = 8080
LOG_GROUP = f"/slipway/{NAME}"
# By then a load balancer is active and a task runs, for any random times; and a while later.
SURELY_ACTIVE = max(LOAD_BALANCER_ACTIVE) + 1
SURELY_RUNNING = max(TASK_RUNNING) + 3


@dataclass
class Site:
    """The created resources, by ID or ARN. `make` creates all of them except the service."""

    account: Account
    front: str = ""
    back: str = ""
    subnets: tuple[str, ...] = ()
    vpc: str = ""
    balancer: str = ""
    group: str = ""
    listener: str = ""
    definition: str = ""

    def client(self, service: str) -> Any:
        """A client whose calls go through the layer."""
        return self.account.client(service)

    def make(self, image: str = "1", **container: Any) -> Site:
        """Create everything that CreateService needs."""
        self.make_network()
        self.make_balancer()
        self.make_group()
        self.make_listener()
        self.make_cluster()
        self.register(image, **container)
        return self

    def make_network(self) -> None:
        """Create two security groups: the tasks' group allows traffic from the load balancer's."""
        ec2 = self.client("ec2")
        subnets = ec2.describe_subnets()["Subnets"]
        self.vpc, self.subnets = subnets[0]["VpcId"], tuple(s["SubnetId"] for s in subnets[:2])
        self.front, self.back = (
            ec2.create_security_group(
                GroupName=f"slipway-{NAME}-{end}", Description=end, VpcId=self.vpc
            )["GroupId"]
            for end in ("lb", "task")
        )
        ec2.authorize_security_group_ingress(
            GroupId=self.back,
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": PORT,
                    "ToPort": PORT,
                    "UserIdGroupPairs": [{"GroupId": self.front}],
                }
            ],
        )

    def make_balancer(self, name: str = NAME, **changes: Any) -> str:
        """Create a load balancer. Calls use the same parameters, except for `changes`."""
        params = {
            "Name": name,
            "Subnets": list(self.subnets),
            "SecurityGroups": [self.front],
            "Scheme": "internet-facing",
            "Type": "application",
            **changes,
        }
        answer = self.client("elbv2").create_load_balancer(**params)
        self.balancer = answer["LoadBalancers"][0]["LoadBalancerArn"]
        return self.balancer

    def make_group(self, name: str = NAME, **changes: Any) -> str:
        """Create a target group: a check every 5 s, unhealthy after two failed checks."""
        params = {
            "Name": name,
            "Protocol": "HTTP",
            "Port": PORT,
            "VpcId": self.vpc,
            "TargetType": "ip",
            "HealthCheckPath": "/health",
            "HealthCheckIntervalSeconds": 5,
            "HealthCheckTimeoutSeconds": 4,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2,
            "Matcher": {"HttpCode": "200-299"},
            **changes,
        }
        elbv2 = self.client("elbv2")
        self.group = elbv2.create_target_group(**params)["TargetGroups"][0]["TargetGroupArn"]
        elbv2.modify_target_group_attributes(
            TargetGroupArn=self.group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
        )
        return self.group

    def make_listener(self, port: int = 80) -> str:
        """Create a listener that forwards to the target group."""
        answer = self.client("elbv2").create_listener(
            LoadBalancerArn=self.balancer,
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )
        self.listener = answer["Listeners"][0]["ListenerArn"]
        return self.listener

    def make_cluster(self) -> None:
        """Create the cluster and the log group."""
        self.client("ecs").create_cluster(clusterName=NAME)
        self.client("logs").create_log_group(logGroupName=LOG_GROUP)

    def register(self, image: str = "1", **container: Any) -> str:
        """Register a task definition revision."""
        options = {
            "awslogs-group": LOG_GROUP,
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "task",
        }
        answer = self.client("ecs").register_task_definition(
            family=NAME,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            runtimePlatform={"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
            containerDefinitions=[
                {
                    "name": "app",
                    "image": f"{REGISTRY}/{REPOSITORY}:{image}",
                    "essential": True,
                    "portMappings": [{"containerPort": PORT}],
                    "logConfiguration": {"logDriver": "awslogs", "options": options},
                    "stopTimeout": 10,
                    **container,
                }
            ],
        )
        self.definition = answer["taskDefinition"]["taskDefinitionArn"]
        return self.definition

    def create_service(self, **changes: Any) -> dict[str, Any]:
        """Create the service: one task, a circuit breaker at three, a grace period of 60 s."""
        params = {
            "cluster": NAME,
            "serviceName": NAME,
            "clientToken": NAME,
            "taskDefinition": self.definition,
            "desiredCount": 1,
            "launchType": "FARGATE",
            "deploymentConfiguration": {
                "maximumPercent": 200,
                "minimumHealthyPercent": 100,
                "deploymentCircuitBreaker": {
                    "enable": True,
                    "rollback": False,
                    "thresholdConfiguration": {"type": "COUNT", "value": 3},
                },
            },
            "healthCheckGracePeriodSeconds": 60,
            "loadBalancers": [
                {"targetGroupArn": self.group, "containerName": "app", "containerPort": PORT}
            ],
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": list(self.subnets),
                    "securityGroups": [self.back],
                    "assignPublicIp": "ENABLED",
                }
            },
            **changes,
        }
        return dict(self.client("ecs").create_service(**params)["service"])

    def update(self, **changes: Any) -> dict[str, Any]:
        """Call UpdateService."""
        answer = self.client("ecs").update_service(cluster=NAME, service=NAME, **changes)
        return dict(answer["service"])

    def delete_service(self, *, force: bool = True) -> None:
        """Call DeleteService."""
        self.client("ecs").delete_service(cluster=NAME, service=NAME, force=force)

    def delete_balancer(self) -> None:
        """Call DeleteLoadBalancer."""
        self.client("elbv2").delete_load_balancer(LoadBalancerArn=self.balancer)

    def delete_cluster(self) -> None:
        """Call DeleteCluster."""
        self.client("ecs").delete_cluster(cluster=NAME)

    def end_service(self) -> None:
        """Create, run and delete the service, until it is INACTIVE."""
        self.create_service()
        self.pass_time(SURELY_RUNNING)
        self.delete_service()
        self.pass_time(60)

    def pass_time(self, seconds: float) -> None:
        """Advance the clock by `seconds`."""
        clock = self.account.clock
        clock.advance_to(clock.seconds() + seconds)

    def service(self) -> dict[str, Any]:
        """The service as DescribeServices shows it."""
        answer = self.client("ecs").describe_services(cluster=NAME, services=[NAME])
        return dict(answer["services"][0])

    def events(self) -> list[str]:
        """The service's events, oldest first."""
        return [event["message"] for event in reversed(self.service()["events"])]

    def tasks(self, status: str = "RUNNING") -> list[dict[str, Any]]:
        """Tasks with this desired status, oldest first."""
        ecs = self.client("ecs")
        arns = ecs.list_tasks(cluster=NAME, desiredStatus=status)["taskArns"]
        if not arns:
            return []
        return list(ecs.describe_tasks(cluster=NAME, tasks=arns)["tasks"])

    def health(self) -> list[dict[str, str]]:
        """The health of each target."""
        answer = self.client("elbv2").describe_target_health(TargetGroupArn=self.group)
        return [entry["TargetHealth"] for entry in answer["TargetHealthDescriptions"]]

    def state(self) -> str:
        """The load balancer's state."""
        description = self.client("elbv2").describe_load_balancers(LoadBalancerArns=[self.balancer])
        return str(description["LoadBalancers"][0]["State"]["Code"])


def code_of(error: Any) -> str:
    """The code of a `ClientError` that pytest caught."""
    return str(error.value.response["Error"]["Code"])


def message_of(error: Any) -> str:
    """The message of a `ClientError` that pytest caught."""
    return str(error.value.response["Error"]["Message"])
