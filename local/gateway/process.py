"""Starts and stops the gateway's process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from local import processes
from local.emulator import Aws, Emulator, EmulatorError, Keys, time_scale, verifies

STOP_SECONDS = 5.0
# The private networks, from which engines choose those of containers.
CONTAINER_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


class Gateway:
    """A running gateway.

    Attributes:
        aws: the endpoint for all AWS calls.
        load_balancers_url: `<this>/<name>/…` reaches the load balancer `<name>`, after `connect`.
        pid: its process id.
    """

    load_balancers_url: str

    def __init__(self, folder: Path, keys: Keys) -> None:
        """Start the gateway with its log in `folder`; its calls wait until `connect`.

        It listens on a free port, or on LOCAL_AWS_PORT of the environment.

        Raises:
            EmulatorError: the port is in use.
        """
        self._log = folder / "gateway.log"
        self._keys = keys
        port = int(os.environ.get("LOCAL_AWS_PORT") or 0)
        try:
            listening = socket.create_server(("127.0.0.1", port), backlog=512)
        except OSError as error:
            raise EmulatorError(f"Cannot listen on LOCAL_AWS_PORT {port}: {error}") from error
        with listening, self._log.open("ab") as log:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self.aws = Aws(url, keys.access_key_id, keys.secret_access_key)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.gateway", str(listening.fileno())],
                pass_fds=(listening.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.pid = self._process.pid

    def connect(self, emulator: Emulator) -> None:
        """Let the gateway relay to the emulator; return when it serves.

        Raises:
            EmulatorError: the gateway ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        configuration = {
            "upstream": emulator.aws.aws_endpoint_url,
            "keys": asdict(self._keys),
            "verified": verifies(),
            "time_scale": time_scale(),
            "allowed_networks": CONTAINER_NETWORKS if "DOCKER_HOST" in os.environ else (),
        }
        try:
            with self._process.stdin as standard_input:
                standard_input.write(json.dumps(configuration).encode())
            self.load_balancers_url = json.loads(self._process.stdout.readline())["load_balancers"]
        except (OSError, ValueError) as error:
            message = f"The gateway does not start: {error}\n{processes.tail(self._log)}"
            raise EmulatorError(message) from error

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Stop the gateway."""
        processes.end(self._process, grace=STOP_SECONDS)
