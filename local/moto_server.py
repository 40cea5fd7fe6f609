"""Runs moto's server beside MiniStack, for the AWS services that MiniStack lacks.

`python -m local.moto_server HTTP UDP` serves on two open sockets, given as file descriptors. The
first serves moto's API. The second replaces the X-Ray daemon that runs on Lambda. The server reads
the stack's endpoint and access key from standard input when it needs them for the first time.
"""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from local import processes
from local.emulator import Aws, EmulatorError, Endpoint, client, open_url

START_SECONDS = 60.0
# The names of the services in the environment variables of botocore.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
SERVICES = ("APPLICATION_AUTO_SCALING", "SERVICE_QUOTAS", "XRAY")
REGISTER = "AnyScaleFrontendService.RegisterScalableTarget"
DATAGRAM = 65536
# The maximum of PutTraceSegments, and the time to collect segments for one call.
SEGMENTS, SEGMENT_SECONDS = 50, 0.5
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class MotoServer:
    """A running moto server.

    Attributes:
        url: its endpoint, e.g. "http://127.0.0.1:40124".
        pid: its process id.
        environment: the variables that make the functions use it.
    """

    def __init__(self, folder: Path) -> None:
        """Start the server with its log in `folder`; it responds a few moments later."""
        self._log = folder / "moto.log"
        with (
            socket.create_server(("127.0.0.1", 0)) as api,
            socket.socket(type=socket.SOCK_DGRAM) as traces,
            self._log.open("ab") as log,
        ):
            traces.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{api.getsockname()[1]}"
            self._daemon = f"127.0.0.1:{traces.getsockname()[1]}"
            sockets = (api.fileno(), traces.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.moto_server", *map(str, sockets)],
                pass_fds=sockets,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Loading moto's EC2 images takes half a second, and Slipway does not use them.
                env=os.environ | {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false"},
            )
        self.pid = self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """The endpoints of its services, and the address for the segments of the X-Ray SDK."""
        endpoints = {f"AWS_ENDPOINT_URL_{name}": self.url for name in SERVICES}
        return {**endpoints, "AWS_XRAY_DAEMON_ADDRESS": self._daemon}

    def connect(self, aws: Endpoint) -> None:
        """Send the stack's endpoint to the server; return when it responds.

        Raises:
            EmulatorError: the server ended or did not respond.
        """
        assert self._process.stdin
        try:
            with self._process.stdin as standard_input:
                parts = (aws.aws_endpoint_url, aws.aws_access_key_id, aws.aws_secret_access_key)
                standard_input.write(json.dumps(parts).encode())
            with open_url(f"{self.url}/moto-api/data.json", timeout=START_SECONDS):
                return
        except OSError as error:
            message = f"The moto server does not respond: {error}\n{processes.tail(self._log)}"
            raise EmulatorError(message) from error

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Stop the server."""
        processes.end(self._process, grace=1)


# --- code that runs in the process of the server -------------------------------------------


class WithServices:
    """moto's application, which first creates the ECS service of a scalable target.

    moto accepts a scalable target only for a service of its own ECS, but the services are in
    MiniStack. This class creates a service of the same name in moto before its registration.
    """

    def __init__(self, moto: Application, own_url: str) -> None:
        self._moto, self._own_url = moto, own_url

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handle one WSGI request (PEP 3333)."""
        if environ.get("HTTP_X_AMZ_TARGET") == REGISTER:
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = BytesIO(body)
            self._copy_service(json.loads(body).get("ResourceId", ""))
        return self._moto(environ, start_response)

    def _copy_service(self, resource_id: str) -> None:
        kind, _, rest = resource_id.partition("/")
        cluster, _, service = rest.partition("/")
        if kind != "service":
            return
        if _is_active(cluster, service):
            own = _own("ecs", self._own_url)
            own.create_cluster(clusterName=cluster)
            own.create_service(cluster=cluster, serviceName=service)


def _is_active(cluster: str, service: str) -> bool:
    ecs = _ecs_of_the_stack()
    try:
        services = ecs.describe_services(cluster=cluster, services=[service])["services"]
    except ecs.exceptions.ClusterNotFoundException:
        return False
    return any(item["status"] == "ACTIVE" for item in services)


@cache
def _ecs_of_the_stack() -> Any:
    return client("ecs", Aws(*json.loads(sys.stdin.read())))


@cache
def _own(service: str, url: str) -> Any:
    """Return a client of this server, which accepts every access key."""
    return client(service, Aws(url, "moto", "moto"))


def _receive(traces: socket.socket, received: "queue.SimpleQueue[str]") -> None:
    """Read datagrams: a header such as {"format": "json", "version": 1}, a newline, a segment.

    https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html
    """
    while True:
        received.put(traces.recv(DATAGRAM).decode().partition("\n")[2])


def _pass_on(received: "queue.SimpleQueue[str]", own_url: str) -> None:
    xray = _own("xray", own_url)
    while True:
        documents = [received.get()]
        time.sleep(SEGMENT_SECONDS)
        while len(documents) < SEGMENTS and not received.empty():
            documents.append(received.get())
        xray.put_trace_segments(TraceSegmentDocuments=documents)


def main() -> None:
    """Serve until SIGTERM."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    api, traces = (int(argument) for argument in sys.argv[1:])
    host, port = socket.socket(fileno=os.dup(api)).getsockname()
    url = f"http://{host}:{port}"
    application = WithServices(DomainDispatcherApplication(create_backend_app), url)
    received: queue.SimpleQueue[str] = queue.SimpleQueue()
    daemon = socket.socket(fileno=traces)
    for work, arguments in ((_receive, (daemon, received)), (_pass_on, (received, url))):
        threading.Thread(target=work, args=arguments, daemon=True).start()
    server = make_server(
        host, port, application, threaded=True, request_handler=MotoRequestHandler, fd=api
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
