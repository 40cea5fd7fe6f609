"""Fixtures: settings, an emulated AWS account, and the template's table."""

import json
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.handlers
import botocore.loaders
import botocore.session
import pytest
from botocore.client import BaseClient
from moto import mock_aws

from chalicelib.platform import aws, clock, shared_secrets
from chalicelib.platform.settings import settings
from chalicelib.store import tokens
from tests.support import fast_aws, subscribers
from tests.support.builders import ACCOUNT, OWNER, REGION, REGISTRY, Clock
from tests.support.gateway import Gateway
from tests.support.in_process import make_table
from tests.support.simulated_aws.clock import SimulatedClock, SimulatedDatetime
from tests.support.subscribers import WEBHOOK_SECRET, Resolver, set_webhook_secrets

TABLE = "slipway-records"
STATE_MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:slipway"
ENVIRONMENT = {
    "TABLE_NAME": TABLE,
    "STACK_NAME": "slipway-test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_XRAY_SDK_ENABLED": "false",
    "STATE_MACHINE_ARN": STATE_MACHINE,
    "TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/slipway-task",
    "EXECUTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/slipway-execution",
    "ALLOWED_REGISTRIES": REGISTRY,
}
# Variables of a developer's shell that tests must not see.
UNSET = (
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "VPC_ID",
    "SUBNET_IDS",
    "ASSIGN_PUBLIC_IP",
    "ALLOWED_SECRETS",
    "ALLOWED_DOMAINS",
    "ALLOWED_TASK_ROLES",
    "LOAD_BALANCER_URL",
    "MAX_TASKS",
    "MAX_DEPLOYMENTS_PER_OWNER",
    "MAX_TASKS_PER_OWNER",
    "MAX_VCPU_PER_OWNER",
    "LOG_RETENTION_DAYS",
    "CALLBACKS_ON_LOOPBACK",
    "SLACK_API_URL",
    "RETRY_TIME_SCALE",
)


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """Load botocore's service models once for all tests."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda search_path=None: loader)
        yield


@pytest.fixture(scope="session")
def clients() -> fast_aws.Clients:
    return fast_aws.Clients(boto3.Session.client)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, clients: fast_aws.Clients) -> Iterator[None]:
    """The environment variables that the template sets on every function."""
    monkeypatch.setattr(
        boto3.Session,
        "client",
        lambda session, *args, **options: clients.get(session, *args, **options),
    )
    # These handlers run last, so that a test's own handlers are called first.
    last = botocore.handlers.REGISTER_LAST
    added = [
        ("before-parameter-build", fast_aws.keep_parameters, last),
        ("before-call", fast_aws.answer, last),
    ]
    monkeypatch.setattr(
        botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, *added]
    )
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    _forget()
    yield
    _forget()


@pytest.fixture
def cloud(environment: None) -> Iterator[None]:
    """An empty AWS account, with its default VPC."""
    with mock_aws():
        yield


@pytest.fixture
def table(cloud: None) -> str:
    make_table(aws.client("dynamodb"), TABLE)
    return TABLE


@pytest.fixture
def image(cloud: None) -> str:
    """`recommend:1` in the account's registry. Returns its digest."""
    return push_image()


@pytest.fixture
def state_machine(cloud: None) -> str:
    aws.client("stepfunctions").create_state_machine(
        name="slipway",
        definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/slipway-states",
    )
    return STATE_MACHINE


@pytest.fixture
def gateway(table: str, state_machine: str) -> Gateway:
    """The API with three callers' tokens: `team-a`, `team-b`, and `reader` with only `read`."""
    scopes = {
        OWNER: (OWNER, ["read", "deploy"]),
        "team-b": ("team-b", ["read", "deploy"]),
        "reader": (OWNER, ["read"]),
        "deployer": (OWNER, ["deploy"]),
        "admin": ("platform", ["admin"]),
    }
    writes: list[dict[str, Any]] = []
    collecting = SimpleNamespace(
        transact_write_items=lambda TransactItems: writes.extend(TransactItems)
    )
    issued = {
        name: tokens.issue(table_name=table, owner=owner, scopes=granted, client=collecting)[1]
        for name, (owner, granted) in scopes.items()
    }
    aws.client("dynamodb").transact_write_items(TransactItems=writes)  # all of them at once
    return Gateway(issued)


@pytest.fixture
def aws_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list of all later AWS calls of any client, such as `dynamodb.GetItem`."""
    calls: list[str] = []
    make_call = BaseClient._make_api_call

    def record(self: Any, operation: str, params: Any) -> Any:
        calls.append(f"{self.meta.service_model.service_id.hyphenize()}.{operation}")
        return make_call(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    return calls


@pytest.fixture
def simulated_time(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """A simulated clock for all of Slipway. It changes only when a test advances it."""
    made = SimulatedClock()
    monkeypatch.setattr(clock, "datetime", SimulatedDatetime(made))
    return made


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for all of Slipway. It changes only when a test advances it."""
    stopped = Clock()
    monkeypatch.setattr(clock, "now", stopped)
    return stopped


@pytest.fixture
def webhook_secret(cloud: None) -> str:
    """The stack's webhook secret, as the platform team sets it."""
    return set_webhook_secrets(WEBHOOK_SECRET)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """A fake DNS that knows only the test's names."""
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


@pytest.fixture
def one_call_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serialize the AWS calls of threads.

    moto copies the table for a transaction. If the transaction fails, moto restores the copy and
    loses the writes of other threads.
    """
    lock, call = threading.RLock(), BaseClient._make_api_call

    def locked(self: Any, *parameters: Any) -> Any:
        with lock:
            return call(self, *parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", locked)


@pytest.fixture
def subscriber(
    monkeypatch: pytest.MonkeyPatch, table: str, webhook_secret: str, one_call_at_a_time: None
) -> Any:
    """A webhook subscriber on loopback, which the local stack allows."""
    monkeypatch.setenv("CALLBACKS_ON_LOOPBACK", "true")
    settings.cache_clear()
    with subscribers.listening() as listening:
        yield listening


def push_image(tag: str = "1", client: Any = None, repository: str = "recommend") -> str:
    """Push an image to the repository and return its digest."""
    ecr = client or aws.client("ecr")
    if not ecr.describe_repositories()["repositories"]:
        ecr.create_repository(repositoryName=repository)
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"mediaType": kind, "size": 1000, "digest": "sha256:" + "0" * 64},
        "layers": [{"mediaType": kind, "size": 64_000_000, "digest": "sha256:" + tag[0] * 64}],
    }
    answer = ecr.put_image(
        repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag
    )
    return answer["image"]["imageId"]["imageDigest"]


def _forget() -> None:
    settings.cache_clear()
    aws.client.cache_clear()  # not the session, which takes as long to create as a client
    shared_secrets.forget()
