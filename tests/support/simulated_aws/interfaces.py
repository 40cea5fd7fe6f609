"""Network interfaces of load balancers and tasks. They keep their security groups in use.

The emulator does not store them: neither moto nor MiniStack creates interfaces for ECS and
Elastic Load Balancing. On AWS, interfaces exist for a while after their owner is deleted.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, Rule

# The descriptions of the interfaces of load balancers and tasks, as the console shows them.
LOAD_BALANCER = "ELB app/{name}/{id}"
TASK = "arn:aws:ecs:{region}:{account}:attachment/{id}"


@dataclass(frozen=True)
class Interface:
    """One network interface in use.

    Attributes:
        owner: a task's ID, or a load balancer's ARN.
    """

    id: str
    address: str
    public_address: str | None
    subnet: str
    groups: tuple[str, ...]
    description: str
    owner: str
    made_at: datetime


class NetworkInterfaces(Rule):
    """The interfaces in use. Corrects EC2's responses about interfaces and security groups."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._live: dict[str, Interface] = {}

    def attach(
        self,
        *,
        subnet: str,
        groups: tuple[str, ...],
        description: str,
        owner: str,
        at: datetime,
        public: bool,
    ) -> Interface:
        """A new interface, with IP addresses that no other interface had before."""
        number = next(self._numbers)
        tail = f"{number // 65536 % 16 + 16}.{number // 256 % 256}.{number % 256}"
        interface = Interface(
            id=f"eni-{number:017x}",
            address=f"172.{tail}",
            public_address=f"54.{tail}" if public else None,
            subnet=subnet,
            groups=groups,
            description=description,
            owner=owner,
            made_at=at,
        )
        self._live[interface.id] = interface
        return interface

    def detach(self, owner: str) -> None:
        """Remove all interfaces of an owner."""
        for interface in self.of(owner):
            del self._live[interface.id]

    def of(self, owner: str) -> list[Interface]:
        """The interfaces of an owner."""
        return [interface for interface in self._live.values() if interface.owner == owner]

    def holding(self, group: str) -> list[Interface]:
        """The interfaces that use a security group."""
        return [interface for interface in self._live.values() if group in interface.groups]

    def before(self, call: Call) -> Answer | None:
        """Refuse to delete a security group that an interface uses.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
        """
        group = call.params.get("GroupId", "")
        if call.name == "ec2.DeleteSecurityGroup" and self.holding(group):
            message = f"resource {group} has a dependent object"
            raise AwsError("DependencyViolation", message)
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        if call.name != "ec2.DescribeNetworkInterfaces":
            return answer
        shown = [_described(interface) for interface in self._matching(call.params)]
        return {**answer, "NetworkInterfaces": answer.get("NetworkInterfaces", []) + shown}

    def _matching(self, params: dict[str, Any]) -> Iterator[Interface]:
        wanted_ids = params.get("NetworkInterfaceIds")
        for interface in self._live.values():
            if wanted_ids is not None and interface.id not in wanted_ids:
                continue
            filters = params.get("Filters", [])
            if all(_passes(interface, f["Name"], f["Values"]) for f in filters):
                yield interface


def _passes(interface: Interface, name: str, values: list[str]) -> bool:
    known = {
        "network-interface-id": {interface.id},
        "group-id": set(interface.groups),
        "subnet-id": {interface.subnet},
        "description": {interface.description},
        "status": {"in-use"},
        "addresses.private-ip-address": {interface.address},
        "private-ip-address": {interface.address},
        "requester-managed": {"true"},
    }
    if name == "description":
        return any(_wildcard(value, interface.description) for value in values)
    if name.startswith("tag"):
        return False  # interfaces that AWS creates have no tags
    if name not in known:
        raise NotImplementedError(f"filter {name} of DescribeNetworkInterfaces")
    return bool(known[name] & set(values))


def _wildcard(pattern: str, text: str) -> bool:
    start, star, end = pattern.partition("*")
    return text.startswith(start) and text.endswith(end) if star else text == pattern


def _described(interface: Interface) -> dict[str, Any]:
    described: dict[str, Any] = {
        "NetworkInterfaceId": interface.id,
        "PrivateIpAddress": interface.address,
        "SubnetId": interface.subnet,
        "Groups": [{"GroupId": group, "GroupName": group} for group in interface.groups],
        "Description": interface.description,
        "Status": "in-use",
        "RequesterManaged": True,
        "InterfaceType": "interface",
        "Attachment": {"Status": "attached", "AttachTime": interface.made_at},
        "TagSet": [],
    }
    if interface.public_address:
        described["Association"] = {
            "PublicIp": interface.public_address,
            "IpOwnerId": "amazon",
        }
    return described
