"""`python -m local.supervisor STATE LIFELINE REPORT` owns all processes of one local stack.

LIFELINE is the read end of a pipe: if it closes without `DETACH`, the owner died. REPORT is the
write end of another pipe, for JSON lines [kind, text] of the kinds "phase", "ready" and "failed".
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

from botocore.exceptions import ClientError

from infra.package import PackagingError
from local import callbacks, processes, sample
from local.deploy import STACK_NAME, Deployed, DeployError, deploy
from local.emulator import (
    ACCOUNT_ID,
    REGION,
    Emulator,
    EmulatorError,
    client,
    new_keys,
    open_url,
    time_scale,
)
from local.fargate_agent import Agent
from local.gateway.process import Gateway
from local.moto_server import MotoServer
from local.network import open_default_vpc
from local.packaging import package_locally
from local.stack import DETACH
from local.task_events import TaskEvents

STAGE = "dev"
HEALTH_SECONDS = 60.0
READABLE_LENGTH = 1000  # an AWS error can contain the whole template
READABLE = (DeployError, EmulatorError, PackagingError, sample.TrainingError)


class Stopped(BaseException):
    """SIGTERM arrived, or the owner died."""


class Supervisor:
    """Starts and stops one stack: all its processes and files."""

    def __init__(self, state: Path, report: IO[str]) -> None:
        self._state = state
        self._report = report
        self._gateway: Gateway | None = None
        self._emulator: Emulator | None = None
        self._moto: MotoServer | None = None
        self._agent: Agent | None = None
        self._events: TaskEvents | None = None

    def run(self) -> None:
        """Start everything, report it, and wait until a process ends or `Stopped` is raised."""
        deployed, shared = self._start()
        self._say("phase", "Waiting for the API ...")
        self._await_api(deployed)
        self._write_stack_file(deployed, *shared)
        self._say("ready", "")
        name = self._await_end()
        print(
            f"The process {name} ended unexpectedly:", processes.tail(self._state / f"{name}.log")
        )

    def _start(self) -> tuple[Deployed, tuple[str, str]]:
        """Start all processes and deploy; return the outputs, and the secrets of `callbacks`."""
        with ThreadPoolExecutor() as pool:
            self._say(
                "phase",
                "Starting the emulators, packaging Slipway and training the sample model ...",
            )
            keys = new_keys()
            self._gateway = gateway = Gateway(self._state, keys)
            self._moto = MotoServer(self._state)
            aws = gateway.aws
            emulator = pool.submit(Emulator, self._state, keys, aws.aws_endpoint_url)
            packaged = pool.submit(package_locally, Path.cwd(), STAGE, self._state / "package")
            model = pool.submit(sample.train)
            self._emulator = emulator.result()
            gateway.connect(self._emulator)
            prepared = [
                pool.submit(sample.push_images, aws),
                pool.submit(self._moto.connect, aws),
                pool.submit(open_default_vpc, client("ec2", aws)),
            ]
            template = packaged.result()
            self._say("phase", "Creating the CloudFormation stack ...")
            archive = self._state / "package" / "deployment.zip"
            # Write the secrets before the functions exist, because functions cache what they read.
            shared = callbacks.put_secrets(client("ssm", aws), STACK_NAME)
            scale = {"TIME_SCALE": str(time_scale())}
            environment = {**self._moto.environment, **callbacks.environment(), **scale}
            balancer = f"{gateway.load_balancers_url}/{{name}}"
            deployed = deploy(template, archive, aws, balancer, environment)
            for each in prepared:
                each.result()
            if "DOCKER_HOST" not in os.environ:  # otherwise MiniStack runs the real images
                log = self._state / "agent.log"
                self._agent = Agent(self._emulator.aws, aws, model.result(), log)
                self._agent.start()
            self._events = TaskEvents(aws)
            self._events.start()
        return deployed, shared

    def _await_end(self) -> str:
        """Return the name of the first process that ends by itself."""
        assert self._gateway and self._emulator and self._moto
        children: dict[str, Gateway | Emulator | MotoServer] = {
            "gateway": self._gateway,
            "emulator": self._emulator,
            "moto": self._moto,
        }
        while not (ended := [name for name, child in children.items() if child.ended]):
            time.sleep(0.5)
        return ended[0]

    def _await_api(self, deployed: Deployed) -> None:
        deadline = time.monotonic() + HEALTH_SECONDS
        while True:
            try:
                with open_url(f"{deployed.api_url}/health", timeout=30):
                    return
            except OSError as error:  # a 4xx or 5xx response raises HTTPError, an OSError
                body = getattr(error, "read", lambda: b"")().decode(errors="replace")
                failure = f"GET /health failed for {HEALTH_SECONDS:g} s: {error} {body}"
            if time.monotonic() > deadline:
                raise DeployError(f"{failure}\n{processes.tail(self._state / 'emulator.log')}")
            time.sleep(0.2)

    def _write_stack_file(self, deployed: Deployed, signing: str, webhook: str) -> None:
        from chalicelib.store import tokens

        assert self._gateway and self._emulator and self._moto
        aws = self._gateway.aws
        dynamodb = client("dynamodb", aws)

        def issue(owner: str, *scopes: str) -> str:
            _, token = tokens.issue(
                table_name=deployed.table_name, owner=owner, scopes=list(scopes), client=dynamodb
            )
            return str(token)

        content: dict[str, Any] = {
            "api_url": deployed.api_url,
            "token": issue("demo", "read", "deploy"),
            "admin_token": issue("admin", "read", "deploy", "admin"),
            **asdict(aws),
            "region": REGION,
            "account_id": ACCOUNT_ID,
            "sample_image": sample.IMAGE,
            "slack_signing_secret": signing,
            "webhook_secret": webhook,
            "pids": {
                "supervisor": os.getpid(),
                "gateway": self._gateway.pid,
                "emulator": self._emulator.pid,
                "moto": self._moto.pid,
            },
        }
        unfinished = self._state / "stack.json.unfinished"
        unfinished.touch(mode=0o600)  # it contains tokens
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
        unfinished.replace(self._state / "stack.json")

    def fail(self, message: str) -> None:
        """Report to the owner why the stack does not start."""
        self._say("failed", message)

    def _say(self, kind: str, text: str) -> None:
        with contextlib.suppress(OSError):  # the owner may have closed the pipe
            print(json.dumps([kind, text]), file=self._report, flush=True)

    def close(self) -> None:
        """Stop all processes of the stack and remove its files."""
        if self._events:
            self._events.stop()
        if self._agent:
            self._agent.stop()
        if self._gateway:
            self._gateway.stop()
        if self._emulator:
            self._emulator.stop()
        if self._moto:
            self._moto.stop()
        processes.end_marked(os.environ[processes.MARK], grace=5)
        shutil.rmtree(self._state, ignore_errors=True)


def _watch(lifeline: int) -> None:
    """Wait until the owner detaches or dies; if it dies, send SIGTERM to this process."""
    with contextlib.suppress(OSError):
        if os.read(lifeline, len(DETACH)) == DETACH:
            return
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(*_: object) -> NoReturn:
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # a second SIGTERM must not interrupt the shutdown
    raise Stopped


def main() -> None:
    """Run the supervisor with the arguments of the command line."""
    state, lifeline, report = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with open(report, "w") as reports:
        supervisor = Supervisor(state, reports)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _stop)
        threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()
        try:
            supervisor.run()
        except Stopped:
            pass
        except READABLE as error:
            supervisor.fail(str(error))
        except ClientError as error:
            traceback.print_exc()
            supervisor.fail(str(error)[:READABLE_LENGTH])
        except Exception:
            supervisor.fail(traceback.format_exc())
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            supervisor.close()


if __name__ == "__main__":
    main()
