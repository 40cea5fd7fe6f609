"""Runs MiniStack, the AWS emulator, as a child process with its own folder and port."""

import json
import os
import secrets
import socket
import string
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from local import processes

# What a call of boto3 can raise. A response that is not AWS's own has an exception of its own.
CALL_FAILED = (BotoCoreError, ClientError, ResponseParserError)
ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
START_SECONDS = 60.0
PORT_ATTEMPTS = 5
# MiniStack reads these variables, so the caller's values are passed on.
HANDED_THROUGH = ("AUTH", "DOCKER_HOST", "LOG_LEVEL")
# The functions must not see the caller's AWS settings and Python path, because on AWS they do not.
NOT_INHERITED = ("AWS_", "LOCALSTACK_", "MINISTACK_", "PYTHON", "S3_", "SFN_")


class EmulatorError(Exception):
    """The emulator or the gateway did not start; the message ends with the end of its log."""


@dataclass(frozen=True)
class Keys:
    """The credentials of one stack, which no other stack has.

    Attributes:
        session_token: what the functions send in addition to their access key. MiniStack gives
            every function the account ID as its access key ID.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str


def new_keys() -> Keys:
    """Return random credentials."""
    letters = string.ascii_uppercase + "234567"
    key_id = "AKIA" + "".join(secrets.choice(letters) for _ in range(16))
    return Keys(key_id, secrets.token_urlsafe(30), secrets.token_urlsafe(30))


class Endpoint(Protocol):
    """Where AWS calls go, and the access key that it accepts: a running stack, for example."""

    @property
    def aws_endpoint_url(self) -> str:
        """The URL for all services."""
        ...

    @property
    def aws_access_key_id(self) -> str:
        """The access key's ID."""
        ...

    @property
    def aws_secret_access_key(self) -> str:
        """The access key's secret."""
        ...


@dataclass(frozen=True)
class Aws:
    """An endpoint without a stack."""

    aws_endpoint_url: str
    aws_access_key_id: str
    aws_secret_access_key: str


class Emulator:
    """A running MiniStack.

    Attributes:
        aws: its own endpoint, which only the stack itself uses. All others use the gateway.
        pid: its process id.
    """

    def __init__(self, folder: Path, keys: Keys, functions_url: str) -> None:
        """Start MiniStack on a free port; return when it responds.

        Args:
            folder: for all of its files.
            keys: its root access key, and the credentials that it gives to functions.
            functions_url: the endpoint that the functions call.

        Raises:
            EmulatorError: MiniStack ended or did not respond.
        """
        self._folder, self._keys, self._functions_url = folder, keys, functions_url
        self._log = folder / "emulator.log"
        for attempt in range(PORT_ATTEMPTS):
            port = free_port()
            self._url = f"http://127.0.0.1:{port}"
            self._process = self._start(port)
            if self._answers():
                break
            processes.end(self._process, grace=1)
            # Another process may have bound the port since it was free.
            if attempt == PORT_ATTEMPTS - 1:
                raise EmulatorError(
                    f"MiniStack did not start on port {port}:\n{processes.tail(self._log)}"
                )
        self.aws = Aws(self._url, keys.access_key_id, keys.secret_access_key)
        self.pid = self._process.pid

    def _start(self, port: int) -> "subprocess.Popen[bytes]":
        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ministack"],
                cwd=temporary,
                env=_environment(port, self._functions_url, self._keys, temporary),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _answers(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with open_url(f"{self._url}/_ministack/health", timeout=2) as response:
                    # The edition is our mark, because another emulator may have taken the port.
                    if json.load(response)["edition"] == os.environ.get(processes.MARK, ""):
                        return True
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        return False

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Stop MiniStack; with a container engine it needs time to remove its containers."""
        processes.end(self._process, grace=30 if "DOCKER_HOST" in os.environ else 5)


def _environment(port: int, functions_url: str, keys: Keys, temporary: Path) -> dict[str, str]:
    """Return the environment of MiniStack, which the functions inherit."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("AWS_ENDPOINT_URL_")
        or name in HANDED_THROUGH
        or not name.startswith(NOT_INHERITED)
    }
    environment.update(
        # By default MiniStack binds all interfaces and also starts an MQTT listener.
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        MINISTACK_ACCOUNT_ID=ACCOUNT_ID,
        MINISTACK_REGION=REGION,
        MINISTACK_EDITION=os.environ.get(processes.MARK, ""),
        TMPDIR=str(temporary),
        STATE_DIR=str(temporary / "state"),
        S3_DATA_DIR=str(temporary / "s3"),
        SFN_WAIT_SCALE=str(time_scale()),
        # MiniStack gives this to the functions; it overrides their own environment.
        AWS_ENDPOINT_URL=os.environ.get("AWS_ENDPOINT_URL_FOR_FUNCTIONS") or functions_url,
        AWS_ACCESS_KEY_ID=keys.access_key_id,
        AWS_SECRET_ACCESS_KEY=keys.secret_access_key,
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        NO_PROXY="127.0.0.1,localhost",
        no_proxy="127.0.0.1,localhost",
    )
    if not verifies():  # otherwise MiniStack would expect this token with the root access key
        environment["AWS_SESSION_TOKEN"] = keys.session_token
    # Without DOCKER_HOST, MiniStack would search for an engine and run tasks beside the agent.
    environment.setdefault("DOCKER_HOST", f"unix://{temporary}/no-container-engine.sock")
    return environment


def verifies() -> bool:
    """Return whether MiniStack verifies signatures and enforces IAM policies."""
    return os.environ.get("AUTH", "").lower() == "true"


def time_scale() -> float:
    """Return the factor on every wait of the state machine and of ECS."""
    return float(os.environ.get("SFN_WAIT_SCALE") or "0.1")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that was free on `host` a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def client(service: str, aws: Endpoint) -> Any:
    """Return a boto3 client for an endpoint, independent of the caller's AWS settings."""
    session = boto3.session.Session(
        aws_access_key_id=aws.aws_access_key_id,
        aws_secret_access_key=aws.aws_secret_access_key,
        region_name=REGION,
    )
    retries = {"mode": "standard", "total_max_attempts": 3}
    config = Config(retries=retries, proxies={}, read_timeout=60)
    return session.client(service, endpoint_url=aws.aws_endpoint_url, config=config)


def open_url(request: str | urllib.request.Request, timeout: float) -> Any:
    """Open a URL on this machine without a proxy; raises like urllib.request.urlopen."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=timeout)
