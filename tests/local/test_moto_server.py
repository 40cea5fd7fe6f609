"""moto's server beside MiniStack: it scales MiniStack's services and stores traces."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator import Aws, EmulatorError, client
from local.moto_server import MotoServer
from local.processes import wait_until

SECONDS = 20.0


@pytest.fixture(scope="module")
def moto(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """A moto server that is connected to MiniStack."""
    running = MotoServer(tmp_path_factory.mktemp("moto"))
    running.connect(aws)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def service(aws: Aws) -> str:
    """An ECS service without tasks in MiniStack; service and cluster have this name."""
    ecs, name = client("ecs", aws), "scaled"
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(
        family=name, containerDefinitions=[{"name": "app", "image": "a", "memory": 64}]
    )
    ecs.create_service(cluster=name, serviceName=name, taskDefinition=name, desiredCount=0)
    return name


def own(moto: MotoServer) -> Aws:
    """moto's endpoint. It accepts every access key."""
    return Aws(moto.url, "moto", "moto")


def register(moto: MotoServer, name: str) -> Any:
    return client("application-autoscaling", own(moto)).register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=f"service/{name}/{name}",
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=1,
        MaxCapacity=3,
    )


def test_a_service_of_the_emulator_can_be_scaled(moto: MotoServer, service: str) -> None:
    assert register(moto, service)["ScalableTargetARN"]


def test_an_unknown_service_cannot_be_scaled(moto: MotoServer, service: str) -> None:
    for name in ("missing", f"{service}-not"):
        with pytest.raises(ClientError):
            register(moto, name)


def test_the_traces_of_the_functions_are_stored(moto: MotoServer) -> None:
    """A datagram of the X-Ray SDK."""
    host, port = moto.environment["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    moment = datetime.now(UTC)
    segment = {
        "id": "53995c3f42cd8ad8",
        "trace_id": f"1-{int(moment.timestamp()):08x}-3faa8d9c4dfbd4f4a2f0aa1e",
        "name": "slipway",
        "start_time": moment.timestamp(),
        "end_time": moment.timestamp() + 1,
    }
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        text = f"{json.dumps({'format': 'json', 'version': 1})}\n{json.dumps(segment)}"
        sender.sendto(text.encode(), (host, int(port)))
    xray, span = client("xray", own(moto)), timedelta(minutes=5)

    def kept() -> list[str]:
        found = xray.get_trace_summaries(StartTime=moment - span, EndTime=moment + span)
        return [summary["Id"] for summary in found["TraceSummaries"]]

    wait_until(lambda: kept() == [segment["trace_id"]], SECONDS, "no trace")


def test_a_server_that_has_ended_is_reported(tmp_path: Path) -> None:
    dead = MotoServer(tmp_path)
    dead.stop()
    with pytest.raises(EmulatorError, match="The moto server does not respond"):
        dead.connect(Aws("http://127.0.0.1:1", "", ""))
    assert dead.ended
