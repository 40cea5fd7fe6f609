"""A deployment in moto's AWS that runs through the state machine in process."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import boto3
from moto.elbv2.models import elbv2_backends

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.record import Status
from chalicelib.domain.spec import parsing
from chalicelib.platform.clock import now
from chalicelib.resources import service, tasks
from chalicelib.store import deployments as store
from tests.support import certificates
from tests.support.in_process import ACCOUNT, REGION, REGISTRY
from tests.workflow import machine

OWNER = "team-a"
REPOSITORY = "recommend"
ADDRESS = "172.31.0.10"
LIMITS: parsing.Limits = {
    "allowed_registries": (REGISTRY,),
    "allowed_domains": ("*.example.com",),
    "region": REGION,
    "max_tasks": 10,
}


def fixed_response() -> dict[str, str] | None:
    """The fixed response of the account's listener rule, if there is one.

    It bypasses `Clients`, which counts calls.
    """
    balancers = elbv2_backends[ACCOUNT][REGION].load_balancers.values()
    listeners = [listener for balancer in balancers for listener in balancer.listeners.values()]
    actions = [a.data for each in listeners for r in each.rules.values() for a in r.actions]
    return next((a["FixedResponseConfig"] for a in actions if "FixedResponseConfig" in a), None)


class Clients:
    """boto3 clients for moto, created once because loading their JSON models takes seconds.

    Replaces `chalicelib.aws.client`.
    """

    def __init__(self) -> None:
        self.listener: Callable[[str, str], None] = lambda service, operation: None
        self._session = boto3.Session("test", "test", region_name=REGION)
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of a service. Each call is reported to the listener."""
        if service not in self._made:
            self._made[service] = self._session.client(service)
            self._made[service].meta.events.register("before-call", self._note)
        return self._made[service]

    def _note(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        """A transaction needs the permissions of its operations, not a separate one.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
        """
        names = [model.name]
        if model.name == "TransactWriteItems":
            items = json.loads(params["body"])["TransactItems"]
            names = [f"{kind}Item" for item in items for kind in item]
        for name in names:
            self.listener(model.service_model.signing_name, name)


class World:
    """The account in moto.

    Attributes:
        calls: each Lambda function's AWS calls, as `(service, operation)`.
    """

    def __init__(self, clients: Clients) -> None:
        self.calls: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.client = clients
        self._caller = ""
        self._describe_tasks = tasks.describe
        clients.listener = self._note
        clients("ecr").create_repository(repositoryName=REPOSITORY)
        self.push("1")
        self.push("2")

    def push(self, tag: str) -> None:
        """Push an image to the registry."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "layers": [{"digest": f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"}],
            "config": {"size": 1024},
        }
        self.client("ecr").put_image(
            repositoryName=REPOSITORY, imageTag=tag, imageManifest=json.dumps(manifest)
        )

    def accept(self, **spec: Any) -> Deployment:
        """Create a record as `POST /deployments` does."""
        body = {
            "name": "recommender",
            "image": f"{REGISTRY}/{REPOSITORY}:1",
            "smoke_test": {"path": "/?uid=20", "json_has": ["recommendations"]},
            **spec,
        }
        parsed = parsing.parse(body, **LIMITS)
        deployment = Deployment.create(naming.new_id(parsed.name), OWNER, parsed, now(), 0.04)
        return store.create(deployment)

    def accept_update(self, deployment: Deployment, **changes: Any) -> Deployment:
        """Change the record as PATCH does."""

        def change(record: Deployment) -> None:
            spec = parsing.patched(record.spec, changes, **LIMITS)
            record.update(spec, now(), new_image="image" in changes)

        return store.update(deployment.id, change)

    def accept_pause(self, deployment: Deployment) -> Deployment:
        """Change the record as `POST .../pause` does."""
        return store.update(deployment.id, lambda record: record.pause(now()))

    def accept_resume(self, deployment: Deployment) -> Deployment:
        """Change the record as `POST .../resume` does."""
        return store.update(deployment.id, lambda record: record.resume(now()))

    def pause(self, deployment: Deployment) -> Deployment:
        """Pause the deployment and return its record."""
        self.execute(self.accept_pause(deployment))
        record = self.read(deployment)
        assert record.status is Status.PAUSED, record.failure
        return record

    def accept_delete(self, deployment: Deployment) -> Deployment:
        """Change the record as DELETE does."""
        return store.update(deployment.id, lambda record: record.delete(now()))

    def execute(self, deployment: Deployment) -> machine.Execution:
        """Run the execution of the record's generation to its end."""
        execution = machine.Execution(self._invoke)
        execution.run(
            {
                "deployment_id": deployment.id,
                "generation": deployment.generation,
                "path": str(deployment.operation.path),
            }
        )
        return execution

    def deploy(self, **spec: Any) -> Deployment:
        """Create an ACTIVE deployment."""
        deployment = self.accept(**spec)
        self.execute(deployment)
        record = self.read(deployment)
        assert record.status is Status.ACTIVE, record.failure
        return record

    def make_zone(self) -> str:
        """Create a hosted zone for example.com and return its ID."""
        route53 = self.client("route53")
        return str(
            route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
        )

    def records(self, zone: str) -> dict[str, str]:
        """Name -> target name, of the alias records in a hosted zone."""
        found = self.client("route53").list_resource_record_sets(HostedZoneId=zone)
        return {
            record["Name"].rstrip("."): record["AliasTarget"]["DNSName"].rstrip(".")
            for record in found["ResourceRecordSets"]
            if "AliasTarget" in record
        }

    def make_certificate(self, name: str = "*.example.com") -> str:
        """Create an issued certificate and return its ARN."""
        return certificates.put(self.client("acm"), name)

    def make_state_machine(self) -> None:
        """Create a state machine that does nothing, so that it can be started and stopped."""
        definition = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
        role = f"arn:aws:iam::{ACCOUNT}:role/states"
        self.client("stepfunctions").create_state_machine(
            name="slipway", definition=json.dumps(definition), roleArn=role
        )

    def read(self, deployment: Deployment) -> Deployment:
        """Return the current record."""
        found = store.get(deployment.id)
        assert found
        return found

    def record_as(self, function: str) -> None:
        """Record later calls as calls of `function`, or of no function if it is empty."""
        self._caller = function

    def _invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        self.record_as(function)
        try:
            answer = machine.call(function, event)
        finally:
            self.record_as("")
        if event["step"] == "create_service":
            self._register_target(event["deployment_id"])
        return answer

    def _note(self, service: str, operation: str) -> None:
        if self._caller:
            self.calls[self._caller].add((service, operation))

    def _register_target(self, deployment_id: str) -> None:
        """Register or deregister a task as ECS does, because moto's services have no tasks."""
        elbv2, live = self.client("elbv2"), service.find(deployment_id)
        group = elbv2.describe_target_groups(Names=[deployment_id])["TargetGroups"][0]
        entry = {
            "TargetGroupArn": group["TargetGroupArn"],
            "Targets": [{"Id": ADDRESS, "Port": 80}],
        }
        elbv2.register_targets(**entry)
        if live and not live["desiredCount"]:
            elbv2.deregister_targets(**entry)

    def describe_tasks(
        self, deployment_id: str, *, desired: tuple[str, ...] = ("RUNNING", "STOPPED")
    ) -> list[dict[str, Any]]:
        """moto's tasks, plus the task that its active service should have.

        Replaces `chalicelib.resources.tasks.describe`.
        """
        found = self._describe_tasks(deployment_id, desired=desired)
        live = service.find(deployment_id) if desired == ("RUNNING",) else None
        if live and live["status"] == "ACTIVE" and live["desiredCount"]:
            details = [{"name": "privateIPv4Address", "value": ADDRESS}]
            found.append(
                {
                    "taskArn": f"{live['serviceArn'].replace(':service/', ':task/')}/1",
                    "taskDefinitionArn": live["taskDefinition"],
                    "lastStatus": "RUNNING",
                    "attachments": [{"type": "ElasticNetworkInterface", "details": details}],
                }
            )
        return found

    def left(self, deployment_id: str) -> list[str]:
        """All resources in the account that name the deployment."""
        ecs, elbv2, ec2, logs = map(self.client, ("ecs", "elbv2", "ec2", "logs"))
        names = [
            *self._clusters_and_services(),
            *(
                arn
                for status in ("ACTIVE", "INACTIVE")
                for arn in ecs.list_task_definitions(status=status)["taskDefinitionArns"]
            ),
            *(b["LoadBalancerArn"] for b in elbv2.describe_load_balancers()["LoadBalancers"]),
            *(g["TargetGroupArn"] for g in elbv2.describe_target_groups()["TargetGroups"]),
            *(group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]),
            *(group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]),
        ]
        return [name for name in names if deployment_id in name]

    def _clusters_and_services(self) -> list[str]:
        """ARNs of clusters and services. moto also lists INACTIVE ones."""
        ecs = self.client("ecs")
        found = []
        for cluster in ecs.list_clusters()["clusterArns"]:
            arns = ecs.list_services(cluster=cluster)["serviceArns"]
            found += ecs.describe_clusters(clusters=[cluster])["clusters"]
            if arns:
                found += ecs.describe_services(cluster=cluster, services=arns)["services"]
        live = [item for item in found if item["status"] != "INACTIVE"]
        return [str(item.get("serviceArn") or item["clusterArn"]) for item in live]
