"""The contents of an account: a deployment's resources, and what serves its URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.naming import TAG_DEPLOYMENT, TAG_STACK
from tests.support.simulated_aws.addresses import Addresses
from tests.support.simulated_aws.fargate import Fargate
from tests.support.simulated_aws.interfaces import NetworkInterfaces
from tests.support.simulated_aws.load_balancers import ACTIVE, LoadBalancers
from tests.support.simulated_aws.scaling import Scaling

Tags = dict[str, str]
OWN = "slipway:"
TAGGED = {
    "cluster",
    "service",
    "scalable_target",
    "load_balancer",
    "target_group",
    "security_group",
    "log_group",
}


@dataclass(frozen=True)
class Serving:
    """The result of a request to a deployment's URL now; true if the request gets a response.

    Attributes:
        up: the load balancer is active and its listener has a healthy target.
        digests: image digests (or references) of the tasks in rotation that respond.
        failing: targets in rotation that do not return 2xx or 3xx, so requests to them fail.
        fixed: the FixedResponseConfig of a listener rule that responds instead of the targets.
    """

    up: bool
    digests: frozenset[str]
    failing: int
    fixed: dict[str, str] | None = None

    def __bool__(self) -> bool:
        return self.up and not self.failing and not self.fixed


@dataclass(frozen=True)
class Item:
    """One resource in the account."""

    kind: str
    name: str
    tags: Tags

    def belongs_to(self, deployment_id: str) -> bool:
        """Whether its tag, or a name derived from the ID, says so."""
        if self.tags.get(TAG_DEPLOYMENT) == deployment_id:
            return True
        parts = self.name.replace(":", "/").split("/")
        return any(
            part in (deployment_id, f"slipway-{deployment_id}-lb", f"slipway-{deployment_id}-task")
            for part in parts
        )


class Inventory:
    """Reads the account directly: its calls are not throttled, delayed or counted."""

    def __init__(
        self,
        raw: Callable[[str], Any],
        interfaces: NetworkInterfaces,
        load_balancers: LoadBalancers,
        fargate: Fargate,
        addresses: Addresses,
        scaling: Scaling,
    ) -> None:
        self._raw, self._interfaces = raw, interfaces
        self._balancers, self._fargate = load_balancers, fargate
        self._addresses, self._scaling = addresses, scaling

    def left(self, deployment_id: str) -> list[str]:
        """A deployment's remaining resources, as "kind name"."""
        return sorted(
            f"{item.kind} {item.name}" for item in self._items() if item.belongs_to(deployment_id)
        )

    def of_stack(self, stack: str) -> list[str]:
        """All resources with a stack's tag, as "kind name"."""
        return sorted(
            f"{item.kind} {item.name}"
            for item in self._items()
            if item.tags.get(TAG_STACK) == stack
        )

    def own_tags(self, deployment_id: str) -> dict[str, Tags]:
        """Return "kind name" -> tags, without the stack's own, of a deployment's resources.

        Only resources that were created with tags are included, because tasks keep the tags that
        they started with.
        """
        return {
            f"{item.kind} {item.name}": {
                key: value
                for key, value in item.tags.items()
                if not key.startswith(OWN) and key != "Name"
            }
            for item in self._items()
            if item.belongs_to(deployment_id) and item.kind in TAGGED
        }

    def serving(self, deployment_id: str) -> Serving:
        """What responds on the deployment's URL now."""
        balancers = [
            balancer
            for balancer in self._balancers.balancers.values()
            if balancer.name == deployment_id and balancer.state in ACTIVE
        ]
        arns = {arn for b in balancers for groups in b.forwards.values() for arn in groups}
        digests, failing, up = set(), 0, False
        for group in (self._balancers.targets.groups[arn] for arn in arns):
            path = group.settings.get("HealthCheckPath", "/")
            for target in group.targets.values():
                if target.health.state != "healthy":
                    continue
                up = True
                outcome = self._fargate.probe(target.address, target.port, path)
                if isinstance(outcome, int) and 200 <= outcome < 400:
                    digests.add(self._image(target.address))
                else:
                    failing += 1
        fixed = next((answer for b in balancers for answer in b.fixed.values()), None)
        return Serving(up, frozenset(digests), failing, fixed)

    def _image(self, address: str) -> str:
        tasks = self._fargate.tasks.all.values()
        task = next(task for task in tasks if task.interface.address == address)
        image = str(task.definition["containerDefinitions"][0]["image"])
        return image.rpartition("@")[2]

    def _items(self) -> Iterator[Item]:
        yield from self._of_ecs()
        yield from self._of_load_balancing()
        yield from self._of_network()
        yield from self._of_logs()
        for name, arn_target in self.aliases().items():
            yield Item(
                "dns_record", f"{name} {arn_target}", {TAG_DEPLOYMENT: _deployment(arn_target)}
            )
        for name, target in self._scaling.targets.items():
            yield Item("scalable_target", name, target.tags)

    def aliases(self) -> dict[str, str]:
        """Domain -> the DNS name of the load balancer that it points to."""
        return dict(self._addresses.aliases())

    def listeners(self, deployment_id: str) -> dict[int, str]:
        """Port -> the listener's action, of the deployment's load balancer."""
        elbv2 = self._raw("elbv2")
        arn = next(b.arn for b in self._balancers.balancers.values() if b.name == deployment_id)
        listeners = elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        return {entry["Port"]: entry["DefaultActions"][0]["Type"] for entry in listeners}

    def _of_ecs(self) -> Iterator[Item]:
        ecs = self._raw("ecs")
        arns = ecs.list_clusters()["clusterArns"]
        clusters = ecs.describe_clusters(clusters=arns, include=["TAGS"])["clusters"]
        for cluster in clusters if arns else []:
            if cluster["status"] != "INACTIVE":
                yield Item("cluster", cluster["clusterName"], _tags(cluster.get("tags", [])))
        for service in self._fargate.scheduler.services:
            if service.status != "INACTIVE":
                name = f"{service.cluster}/{service.name} {service.status}"
                yield Item("service", name, _tags(service.params.get("tags", [])))
        for task in self._fargate.tasks.all.values():
            if task.status != "STOPPED":
                yield Item("task", f"{task.cluster}/{task.id} {task.status}", _tags(task.tags))
        for status in ("ACTIVE", "INACTIVE"):
            for arn in ecs.list_task_definitions(status=status)["taskDefinitionArns"]:
                yield Item("task_definition", arn.rsplit("/", 1)[-1], {})

    def _of_load_balancing(self) -> Iterator[Item]:
        elbv2 = self._raw("elbv2")
        for kind, resources, arn, name in (
            (
                "load_balancer",
                elbv2.describe_load_balancers()["LoadBalancers"],
                "LoadBalancerArn",
                "LoadBalancerName",
            ),
            (
                "target_group",
                elbv2.describe_target_groups()["TargetGroups"],
                "TargetGroupArn",
                "TargetGroupName",
            ),
        ):
            for item in resources:
                descriptions = elbv2.describe_tags(ResourceArns=[item[arn]])["TagDescriptions"]
                yield Item(kind, item[name], _tags(descriptions[0]["Tags"]))

    def _of_network(self) -> Iterator[Item]:
        groups = self._raw("ec2").describe_security_groups()["SecurityGroups"]
        for group in groups:
            tags = _tags(group.get("Tags", []))
            yield Item("security_group", group["GroupName"], tags)
            for interface in self._interfaces.holding(group["GroupId"]):
                yield Item("network_interface", f"{interface.id}/{group['GroupName']}", tags)

    def _of_logs(self) -> Iterator[Item]:
        logs = self._raw("logs")
        for group in logs.describe_log_groups()["logGroups"]:
            name = group["logGroupName"]
            tags = logs.list_tags_log_group(logGroupName=name).get("tags", {})
            yield Item("log_group", name, tags)


def _deployment(target: str) -> str:
    """The ID in a load balancer's DNS name, which starts with its name and a number."""
    return target.partition(".")[0].rpartition("-")[0]


def _tags(listed: list[dict[str, str]]) -> Tags:
    return {
        tag.get("Key", tag.get("key", "")): tag.get("Value", tag.get("value", "")) for tag in listed
    }
