"""A simulated AWS account: moto behind the layer, in one process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import ClientError, ConnectionClosedError, ParamValidationError
from botocore.validate import ParamValidator

from tests.support import certificates
from tests.support.simulated_aws.addresses import Addresses
from tests.support.simulated_aws.aws import Answer, AwsError, Call, ConnectionReset, Layer
from tests.support.simulated_aws.clock import SimulatedClock
from tests.support.simulated_aws.containers import Behaviour, Containers
from tests.support.simulated_aws.emulator import (
    ACCOUNT_ID,
    REGION,
    Emulator,
    is_mutating,
    raw_client,
    table_items,
)
from tests.support.simulated_aws.eventual import Eventual
from tests.support.simulated_aws.fargate import Fargate
from tests.support.simulated_aws.image_configs import ImageConfigs
from tests.support.simulated_aws.interfaces import NetworkInterfaces
from tests.support.simulated_aws.inventory import Inventory, Serving
from tests.support.simulated_aws.listener_rules import ListenerRules
from tests.support.simulated_aws.load_balancers import LoadBalancers
from tests.support.simulated_aws.order import Order
from tests.support.simulated_aws.scaling import Scaling
from tests.support.simulated_aws.throttling import Throttling
from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import Times
from tests.support.simulated_aws.weather import Weather

__all__ = ["ACCOUNT_ID", "REGION", "REGISTRY", "REPOSITORY", "Account", "Made", "is_mutating"]
REPOSITORY = "recommend"
REGISTRY = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com"
When = Literal["before", "after"]


@dataclass(frozen=True)
class Made:
    """A recorded call: its time, its caller and its outcome ("ok", an error code, "reset")."""

    seconds: float
    caller: str
    call: Call
    outcome: str


@dataclass
class Account:
    """An AWS account that behaves like AWS. Use it inside `mock_aws()`.

    Attributes:
        clock: the test advances it. AWS's background actions are due on this clock.
        seed: the same seed gives the same times and faults.
        eventual: whether a new resource can be invisible for a short time.
        furnish: whether to add a route to the internet and an image repository, once per account.
        caller: the caller that `calls` records; the test sets it.
        listeners: called around each call, outermost. Their exceptions reach the caller, for
            example to kill a function just before or just after a call.
        weather, throttling, containers: see their modules. Throttling is off by default.
    """

    clock: SimulatedClock
    seed: int = 0
    eventual: bool = True
    furnish: bool = True
    caller: str = ""
    listeners: list[Callable[[Call, When], None]] = field(default_factory=list)
    calls: list[Made] = field(default_factory=list)

    def __post_init__(self) -> None:
        times = Times(self.seed)
        self._moto = Emulator()
        self._raw: dict[tuple[str, str], Any] = {}
        self._layered: dict[tuple[str, str], Any] = {}
        self.timeline = Timeline(self.clock)
        self.containers = Containers()
        self.interfaces = NetworkInterfaces()
        self.fargate = Fargate(
            self.raw,
            self.timeline,
            times,
            self.interfaces,
            self.containers,
            seed=self.seed,
            region=REGION,
            account=ACCOUNT_ID,
        )
        self.load_balancers = LoadBalancers(
            self.raw, self.timeline, times, self.interfaces, self.fargate.probe
        )
        self.fargate.use(self.load_balancers.targets)
        self.weather = Weather(self.seed)
        self.throttling = Throttling(self.clock)
        self.addresses = Addresses(self.raw, self.timeline, times)
        self.image_configs = ImageConfigs()
        running = [
            self.image_configs,
            self.interfaces,
            self.load_balancers,
            self.fargate,
            self.addresses,
        ]
        within = Layer(running)
        order = Order(lambda call: within.handle(call, self._ask_emulator))
        rules = ListenerRules(lambda call: within.handle(call, self._ask_emulator))
        self.scaling = Scaling(lambda call: within.handle(call, self._ask_emulator))
        before = [self.weather, self.throttling]
        if self.eventual:
            self.visibility = Eventual(self.clock, times)
            before.append(self.visibility)
        self.layer = Layer([*before, order, rules, self.scaling, *running])
        self._validator = ParamValidator()
        self.inventory = Inventory(
            self.raw,
            self.interfaces,
            self.load_balancers,
            self.fargate,
            self.addresses,
            self.scaling,
        )
        if self.furnish:
            self._furnish()

    def _furnish(self) -> None:
        """Add what moto's account does not have: a route to the internet, and the images."""
        ec2 = self.raw("ec2")
        vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc["VpcId"])
        main = ec2.describe_route_tables(
            Filters=[
                {"Name": "vpc-id", "Values": [vpc["VpcId"]]},
                {"Name": "association.main", "Values": ["true"]},
            ]
        )["RouteTables"][0]
        ec2.create_route(
            RouteTableId=main["RouteTableId"],
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=gateway,
        )
        self.raw("ecr").create_repository(repositoryName=REPOSITORY)

    def furnish_address(self) -> str:
        """Add a hosted zone for example.com and an issued wildcard certificate; return its ARN."""
        self.raw("route53").create_hosted_zone(Name="example.com", CallerReference="furnished")
        return certificates.put(self.raw("acm"), "*.example.com", self.clock.now())

    def push(
        self,
        tag: str,
        behaviour: Behaviour | None = None,
        execution: dict[str, Any] | None = None,
    ) -> str:
        """Push an image whose tasks have this behaviour, and return its digest.

        Args:
            execution: what its config says about running it; None if it has no config.
        """
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "layers": [{"digest": f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"}],
            "config": {"size": 1024},
        }
        if execution is not None:
            manifest = self.image_configs.manifest(tag, execution)
        answer = self.raw("ecr").put_image(
            repositoryName=REPOSITORY, imageTag=tag, imageManifest=json.dumps(manifest)
        )
        digest = str(answer["image"]["imageId"]["imageDigest"])
        if behaviour is not None:
            self.containers.set(digest, behaviour)
        return digest

    def raw(self, service: str, region: str = REGION) -> Any:
        """A boto3 client that calls moto directly, without the layer."""
        key = (service, region)
        if key not in self._raw:
            self._raw[key] = _redirected(
                raw_client(*key),
                lambda operation, params: self._ask_moto(Call(service, operation, params), region),
            )
        return self._raw[key]

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client that goes through the layer; replaces `chalicelib.aws.client`."""
        key = (service, region or REGION)
        if key not in self._layered:
            self._layered[key] = _redirected(
                raw_client(*key),
                lambda operation, params: self._call(Call(service, operation, params), key[1]),
            )
        return self._layered[key]

    def _ask_moto(self, call: Call, region: str) -> Answer:
        try:
            return self._moto.call(call, region)
        except AwsError as error:
            raise self._raised(call, region, error) from None

    def _call(self, call: Call, region: str) -> Answer:
        for listener in self.listeners:
            listener(call, "before")
        outcome = "ok"
        try:
            self._validate(call, region)
            return self.layer.handle(call, lambda made: self._moto.call(made, region))
        except AwsError as error:
            outcome = error.code
            raise self._raised(call, region, error) from None
        except ConnectionReset:
            outcome = "reset"
            url = raw_client(call.service, region).meta.endpoint_url
            raise ConnectionClosedError(endpoint_url=url) from None
        finally:
            self.calls.append(Made(self.clock.seconds(), self.caller, call, outcome))
            for listener in self.listeners:
                listener(call, "after")

    def _validate(self, call: Call, region: str) -> None:
        """Validate the parameters as boto3 does, because not every call reaches the emulator."""
        model = raw_client(call.service, region).meta.service_model
        shape = model.operation_model(call.operation).input_shape
        report = self._validator.validate(call.params, shape) if shape else None
        if report and report.has_errors():
            raise ParamValidationError(report=report.generate_report())

    def _ask_emulator(self, call: Call) -> Answer:
        return self._moto.call(call)

    @staticmethod
    def _raised(call: Call, region: str, error: AwsError) -> Exception:
        if isinstance(error.__cause__, ClientError):
            return error.__cause__  # with every field of the emulator's response
        response = {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": error.status, "RetryAttempts": 0},
        }
        raw = raw_client(call.service, region)
        raised: Exception = raw.exceptions.from_code(error.code)(response, call.operation)
        return raised

    def left(self, deployment_id: str) -> list[str]:
        """A deployment's remaining resources in AWS, as "kind name"."""
        self.timeline.catch_up()
        return self.inventory.left(deployment_id)

    def stack_resources(self, stack: str) -> list[str]:
        """ARNs and IDs of all existing resources with the stack's tag."""
        self.timeline.catch_up()
        return self.inventory.of_stack(stack)

    def items(self, table: str) -> Iterator[dict[str, Any]]:
        """All items of a DynamoDB table, in Python types."""
        return table_items(table)

    def desired_tasks(self, deployment_id: str) -> int:
        """The desired count of the deployment's service; 0 if there is no service."""
        services = self.fargate.scheduler.services
        live = (s for s in services if s.name == deployment_id and s.status == "ACTIVE")
        return next((s.desired for s in live), 0)

    def answers(self, deployment_id: str) -> Serving:
        """Whether the deployment's URL responds now, and which images serve it."""
        self.timeline.catch_up()
        return self.inventory.serving(deployment_id)


def _redirected(client: Any, call: Callable[[str, dict[str, Any]], Answer]) -> Any:
    """The client, with `call` instead of the one method that every operation uses."""
    redirected = object.__new__(type(client))
    redirected.__dict__.update(client.__dict__)
    redirected._make_api_call = call
    return redirected
