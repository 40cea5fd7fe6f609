"""Determines how to run an ECS task: program, environment, address and target groups."""

import os
import sys
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local import processes, sample
from local.addresses import Address, Addresses
from local.emulator import Endpoint, client
from local.fargate_task import STOP_TIMEOUT_SECONDS, Plan, Program

SHORT_ID = 8
RECOMMEND = (sys.executable, "-u", str(sample.CONTAINER / "recommend.py"))
CRASH = "import sys; print('cannot load the model: weights.npz is not there'); sys.exit(1)"
# The programs that replace the sample's images, by tag.
PROGRAMS = {"crash": (sys.executable, "-u", "-c", CRASH)}
PLATFORMS = {"X86_64": "amd64", "ARM64": "arm64"}
# A container must not see the rest of the caller's environment.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "OPENBLAS_NUM_THREADS", processes.MARK)


class CannotStart(Exception):
    """A task cannot start; the message is its stopped reason in the words of ECS."""


def arns_of_running_tasks(ecs: Any) -> dict[str, str]:
    """Return the ARNs of all tasks that ECS wants to run, with the ARNs of their clusters."""
    return {
        arn: cluster
        for cluster in ecs.list_clusters()["clusterArns"]
        for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster)
        for arn in page["taskArns"]
    }


class Planner:
    """Reads the data of a task from ECS and the secret stores."""

    def __init__(self, aws: Endpoint, model: Path) -> None:
        """Args: model: the sample's trained model."""
        names = ("ecs", "secretsmanager", "ssm")
        self._ecs, self._secrets, self._ssm = (client(name, aws) for name in names)
        self._model = model
        self._addresses = Addresses()

    def service(self, cluster: str, name: str) -> dict[str, Any] | None:
        """Return the service as ECS describes it; None if it does not exist."""
        try:
            answer = self._ecs.describe_services(cluster=cluster, services=[name])
        except self._ecs.exceptions.ClusterNotFoundException:
            return None
        return answer["services"][0] if answer["services"] else None

    def container(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return the definition of the task's first container."""
        container: dict[str, Any] = self._definition(task)["containerDefinitions"][0]
        return container

    def _definition(self, task: dict[str, Any]) -> dict[str, Any]:
        arn = task["taskDefinitionArn"]
        answer = self._ecs.describe_task_definition(taskDefinition=arn)
        definition: dict[str, Any] = answer["taskDefinition"]
        return definition

    def plan(self, task: dict[str, Any], service: str) -> Plan:
        """Return how to run `task` of the ECS service `service`, "" if it has no service.

        Raises:
            CannotStart: the image has no program, or a secret cannot be read.
        """
        definition = self._definition(task)
        container = definition["containerDefinitions"][0]
        platform = definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
        arguments = _arguments(container, PLATFORMS[platform])
        ports = [mapping["containerPort"] for mapping in container.get("portMappings", [])]
        address = self._addresses.take(ports[0] if ports else 80)
        described = (self.service(task["clusterArn"], service) if service else None) or {}
        return Plan(
            arn=task["taskArn"],
            cluster=task["clusterArn"],
            service=service,
            program=Program(
                tuple(arguments), self._environment(task, container, address), sample.CONTAINER
            ),
            address=address,
            target_groups=tuple(
                item["targetGroupArn"] for item in described.get("loadBalancers", [])
            ),
            stop_timeout=container.get("stopTimeout", STOP_TIMEOUT_SECONDS),
            memory=float(task["memory"]),
            grace=described.get("healthCheckGracePeriodSeconds", 0),
        )

    def _environment(
        self, task: dict[str, Any], container: dict[str, Any], address: Address
    ) -> dict[str, str]:
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment["PORT"] = str(address.port)
        environment |= {item["name"]: item["value"] for item in container.get("environment", [])}
        environment |= self._secret_values(container)
        ports = [str(mapping["containerPort"]) for mapping in container.get("portMappings", [])]
        if (
            environment["PORT"] in ports
        ):  # the process may not bind it; other values stay as they are
            environment["PORT"] = str(address.port)
        return environment | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}",
            "HOST": address.host,
            "TASK_ID": task["taskArn"].rsplit("/", 1)[-1][:SHORT_ID],
            "MODEL": str(self._model),
        }

    def _secret_values(self, container: dict[str, Any]) -> dict[str, str]:
        try:
            return {
                item["name"]: self._secret_value(item["valueFrom"])
                for item in container.get("secrets", [])
            }
        except ClientError as error:
            raise CannotStart(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution "
                f"resource retrieval failed: unable to retrieve secret: {error}"
            ) from error

    def _secret_value(self, reference: str) -> str:
        if ":secretsmanager:" in reference:
            return str(self._secrets.get_secret_value(SecretId=reference)["SecretString"])
        name = reference.partition(":parameter")[2] or reference
        return str(self._ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])


def _arguments(container: dict[str, Any], architecture: str) -> list[str]:
    """Return the command line that replaces the container's image.

    Raises `CannotStart` with the text of
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
    """
    image = container["image"]
    tag = sample.tag_of(image)
    if tag is None:
        raise CannotStart(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): "
            f"failed to resolve ref {image}: {image}: not found"
        )
    if sample.ARCHITECTURES[tag] != architecture:
        raise CannotStart(
            "CannotPullContainerError: pull image manifest has been retried 7 time(s): image "
            f"Manifest does not contain descriptor matching platform 'linux/{architecture}'"
        )
    own = container.get("entryPoint", []) + container.get("command", [])
    return own or list(PROGRAMS.get(tag, RECOMMEND))
