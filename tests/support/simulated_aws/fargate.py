"""ECS on Fargate, in process.

The emulator stores clusters and task definitions; services and tasks are simulated here. The
local stack does not use this rule, because its tasks are real processes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, ServiceRule
from tests.support.simulated_aws.containers import LIMIT, Containers
from tests.support.simulated_aws.interfaces import NetworkInterfaces
from tests.support.simulated_aws.scheduler import Scheduler
from tests.support.simulated_aws.services import Rollout, Service
from tests.support.simulated_aws.targets import Met, Targets
from tests.support.simulated_aws.tasks import Task, Tasks
from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import Times

CLUSTER_NOT_FOUND = ("ClusterNotFoundException", "Cluster not found.")
SERVICE_NOT_FOUND = ("ServiceNotFoundException", "Service not found.")
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
DEFAULT_DESIRED_STATUS = "RUNNING"


class Fargate(ServiceRule):
    """Answers all calls about services and tasks.

    Args:
        raw: service -> a boto3 client straight to the emulator.
    """

    service = "ecs"

    def __init__(
        self,
        raw: Callable[[str], Any],
        timeline: Timeline,
        times: Times,
        interfaces: NetworkInterfaces,
        containers: Containers,
        *,
        seed: int,
        region: str,
        account: str,
    ) -> None:
        self._raw, self._timeline, self._containers = raw, timeline, containers
        self._random = random.Random(seed)
        self._clusters: dict[str, bool] = {}
        self._definitions: dict[str, dict[str, Any]] = {}
        self._zones: dict[str, str] = {}
        self.tasks = Tasks(
            timeline, times, interfaces, self._log, self._random, region=region, account=account
        )
        self.scheduler: Scheduler

    def use(self, targets: Targets) -> None:
        """Set the target groups in which tasks are registered."""
        self.scheduler = Scheduler(self._timeline, self.tasks, targets, self._launch)

    def probe(self, address: str, port: int, path: str) -> Met:
        """The result of a request to a task's address now."""
        for task in self.tasks.all.values():
            if task.interface.address == address:
                return task.answer(self._timeline.now, port, path)
        return "timeout"

    def before(self, call: Call) -> Answer | None:
        self._timeline.catch_up()
        return super().before(call)

    # Clusters

    def _cluster(self, params: Answer) -> str:
        """The short name. Raises `ClusterNotFoundException` if it is missing or INACTIVE."""
        name = str(params.get("cluster", "default")).rsplit("/", 1)[-1]
        if name not in self._clusters:
            clusters = self._raw("ecs").describe_clusters(clusters=[name])["clusters"]
            if not clusters:
                raise AwsError(*CLUSTER_NOT_FOUND)
            self._clusters[name] = clusters[0]["status"] == "ACTIVE"
        if not self._clusters[name]:
            raise AwsError(*CLUSTER_NOT_FOUND)
        return name

    def _after_CreateCluster(self, params: Answer, answer: Answer) -> None:
        self._clusters[answer["cluster"]["clusterName"]] = True

    def _after_DeleteCluster(self, params: Answer, answer: Answer) -> None:
        self._clusters[answer["cluster"]["clusterName"]] = False

    def _after_DescribeClusters(self, params: Answer, answer: Answer) -> Answer:
        return {**answer, "clusters": [self._counted(c) for c in answer["clusters"]]}

    def _counted(self, cluster: Answer) -> Answer:
        name = cluster["clusterName"]
        statuses = [task.status for task in self.tasks.in_cluster(name)]
        services = [s for s in self.scheduler.services if s.cluster == name]
        return {
            **cluster,
            "runningTasksCount": statuses.count("RUNNING"),
            "pendingTasksCount": statuses.count("PROVISIONING") + statuses.count("PENDING"),
            "activeServicesCount": sum(s.status == "ACTIVE" for s in services),
        }

    # Services

    def _find(self, params: Answer, reference: str) -> Service | None:
        cluster, name = self._cluster(params), reference.rsplit("/", 1)[-1]
        of_name = (s for s in self.scheduler.services if (s.cluster, s.name) == (cluster, name))
        return next(of_name, None)

    def _described(self, service: Service, *, tags: bool = True) -> Answer:
        tasks = self.scheduler.tasks_of(service)
        return service.described(self._timeline, tasks, tags=tags)

    def _new_rollout(self, definition: str, params: Answer) -> Rollout:
        number = self._random.randrange(10**18, 10**19)
        now = self._timeline.now
        return Rollout(
            f"ecs-svc/{number}",
            definition,
            created=now,
            updated=now,
            load_balancers=list(params.get("loadBalancers", [])),
        )

    def _after_CreateService(self, params: Answer, answer: Answer) -> Answer:
        shown = answer["service"]
        service = Service(
            cluster=self._cluster(params),
            name=shown["serviceName"],
            arn=shown["serviceArn"],
            params=params,
            desired=params.get("desiredCount", 1),
            created=self._timeline.now,
            rollouts=[self._new_rollout(shown["taskDefinition"], params)],
            grace=float(params.get("healthCheckGracePeriodSeconds", 0)),
        )
        # The new service replaces an INACTIVE service of the same name.
        self.scheduler.services = [
            s
            for s in self.scheduler.services
            if (s.cluster, s.name) != (service.cluster, service.name)
        ]
        self.scheduler.services.append(service)
        self.scheduler.look_soon(service)
        return {**answer, "service": self._described(service)}

    def _after_UpdateService(self, params: Answer, answer: Answer) -> Answer | None:
        service = self._find(params, params["service"])
        if service is None:
            return None
        service.desired = params.get("desiredCount", service.desired)
        if "healthCheckGracePeriodSeconds" in params:
            service.grace = float(params["healthCheckGracePeriodSeconds"])
        changed = ("deploymentConfiguration", "networkConfiguration", "loadBalancers")
        is_moved = params.get("loadBalancers", service.load_balancers) != service.load_balancers
        service.params = {**service.params, **{k: params[k] for k in changed if k in params}}
        definition_arn = self._full_arn(params.get("taskDefinition", service.primary.definition))
        is_new = definition_arn != service.primary.definition or is_moved
        if is_new or params.get("forceNewDeployment"):
            service.rollouts.insert(0, self._new_rollout(definition_arn, service.params))
        self.scheduler.look_soon(service)
        return {**answer, "service": self._described(service)}

    def _full_arn(self, definition: str) -> str:
        if definition.startswith("arn:") and definition.rpartition(":")[2].isdigit():
            return definition
        description = self._raw("ecs").describe_task_definition(taskDefinition=definition)
        return str(description["taskDefinition"]["taskDefinitionArn"])

    def _after_DeleteService(self, params: Answer, answer: Answer) -> Answer | None:
        service = self._find(params, params["service"])
        if service is None:
            return None
        if service.status == "ACTIVE":
            service.status, service.desired = "DRAINING", 0
            self.scheduler.look_soon(service, 0.0)
        return {**answer, "service": self._described(service)}

    def _after_TagResource(self, params: Answer, answer: Answer) -> None:
        """Tag a service. New tasks get the tags; running tasks keep their own.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html
        """
        put = {tag["key"] for tag in params["tags"]}
        for service in self.scheduler.services:
            if service.arn == params["resourceArn"]:
                kept = [t for t in service.params.get("tags", []) if t["key"] not in put]
                service.params = {**service.params, "tags": kept + params["tags"]}

    def _after_UntagResource(self, params: Answer, answer: Answer) -> None:
        for service in self.scheduler.services:
            if service.arn == params["resourceArn"]:
                tags = service.params.get("tags", [])
                kept = [tag for tag in tags if tag["key"] not in params["tagKeys"]]
                service.params = {**service.params, "tags": kept}

    def _before_DescribeServices(self, params: Answer) -> Answer:
        tags = "TAGS" in params.get("include", [])
        shown, failures = [], []
        for reference in params["services"]:
            service = self._find(params, reference)
            if service:
                shown.append(self._described(service, tags=tags))
            else:
                arn = self.tasks_prefix("service") + reference.rsplit("/", 1)[-1]
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"services": shown, "failures": failures}

    def _before_ListServices(self, params: Answer) -> Answer:
        cluster = self._cluster(params)
        live = [s for s in self.scheduler.services if s.cluster == cluster]
        # Draining services are not in the list, but DescribeServices returns them.
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html
        return {"serviceArns": [s.arn for s in live if s.status == "ACTIVE"]}

    def tasks_prefix(self, kind: str) -> str:
        """The prefix of an ECS ARN."""
        return f"arn:aws:ecs:{self.tasks.region}:{self.tasks.account}:{kind}/"

    # Tasks

    def _before_ListTasks(self, params: Answer) -> Answer:
        tasks = self.tasks.in_cluster(self._cluster(params))
        status = params.get("desiredStatus", DEFAULT_DESIRED_STATUS)
        if "serviceName" in params:
            group = "service:" + params["serviceName"].rsplit("/", 1)[-1]
            tasks = [task for task in tasks if task.group == group]
        if "family" in params:
            tasks = [t for t in tasks if t.definition["family"] == params["family"]]
        return {"taskArns": [task.arn for task in tasks if task.wanted == status]}

    def _before_DescribeTasks(self, params: Answer) -> Answer:
        cluster, tags = self._cluster(params), "TAGS" in params.get("include", [])
        known = {task.id: task for task in self.tasks.in_cluster(cluster)}
        shown, failures = [], []
        for reference in params["tasks"]:
            task = known.get(reference.rsplit("/", 1)[-1])
            if task:
                shown.append(self.tasks.described(task, tags=tags))
            else:
                failures.append({"arn": reference, "reason": "MISSING"})
        return {"tasks": shown, "failures": failures}

    def _before_StopTask(self, params: Answer) -> Answer:
        cluster = self._cluster(params)
        known = {task.id: task for task in self.tasks.in_cluster(cluster)}
        task = known.get(params["task"].rsplit("/", 1)[-1])
        if task is None:
            # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
            raise AwsError("InvalidParameterException", "The referenced task was not found.")
        self.scheduler.stop_by_user(task, params.get("reason", "Task stopped by user"))
        return {"task": self.tasks.described(task, tags=True)}

    def _launch(self, service: Service, rollout: Rollout) -> Task | str:
        """A new task of a service, or why it cannot be placed."""
        definition = self._definition(rollout.definition)
        behaviour = self._containers.of(definition)
        limit = self._containers.vcpus
        running = [task for task in self.tasks.all.values() if task.status != "STOPPED"]
        used = sum(task.vcpus for task in running)
        if limit is not None and used + int(definition.get("cpu") or 256) / 1024 > limit:
            return LIMIT
        if behaviour.not_placed:
            return behaviour.not_placed
        propagated = service.params.get("propagateTags") == "SERVICE"
        return self.tasks.launch(
            cluster=service.cluster,
            group=f"service:{service.name}",
            started_by=rollout.id,
            definition=definition,
            behaviour=behaviour,
            network=service.params["networkConfiguration"]["awsvpcConfiguration"],
            zones=self._subnet_zones(),
            tags=list(service.params.get("tags", [])) if propagated else [],
        )

    def _definition(self, arn: str) -> dict[str, Any]:
        if arn not in self._definitions:
            description = self._raw("ecs").describe_task_definition(taskDefinition=arn)
            self._definitions[arn] = description["taskDefinition"]
        return self._definitions[arn]

    def _after_RegisterTaskDefinition(self, params: Answer, answer: Answer) -> None:
        definition = answer["taskDefinition"]
        self._definitions[definition["taskDefinitionArn"]] = {**params, **definition}

    def _subnet_zones(self) -> dict[str, str]:
        if not self._zones:
            subnets = self._raw("ec2").describe_subnets()["Subnets"]
            self._zones = {s["SubnetId"]: s["AvailabilityZone"] for s in subnets}
        return self._zones

    def _log(self, task: Task, lines: tuple[str, ...]) -> None:
        """Write lines to the task definition's log group in CloudWatch Logs."""
        container = task.definition["containerDefinitions"][0]
        options = container.get("logConfiguration", {}).get("options", {})
        if "awslogs-group" not in options:
            return
        logs, group = self._raw("logs"), options["awslogs-group"]
        stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{task.id}"
        stamp = int(self._timeline.moment().timestamp() * 1000)
        events = [{"timestamp": stamp, "message": line} for line in lines]
        try:
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except logs.exceptions.ResourceNotFoundException:
            return  # the log group was deleted while the task started, so the lines are lost
