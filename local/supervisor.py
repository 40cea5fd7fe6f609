"""`python -m local.supervisor STATE LIFELINE REPORT`: owns all processes of one local stack.

LIFELINE is the read end of a pipe: its end without a word means that the owner died. REPORT is the
write end of another one: JSON lines [kind, text] with the kinds "phase", "ready" and "failed".
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
from pathlib import Path
from typing import IO, Any, NoReturn

from botocore.exceptions import ClientError

from infra.package import PackagingError
from local import callbacks, processes, sample
from local.deploy import STACK_NAME, Deployed, DeployError, deploy
from local.emulator import ACCOUNT_ID, REGION, Emulator, EmulatorError, client, open_url
from local.fargate_agent import Agent
from local.moto_server import MotoServer
from local.network import open_default_vpc
from local.packaging import package_locally
from local.stack import DETACH

STAGE = "dev"
HEALTH_SECONDS = 60.0
READABLE_LENGTH = 1000  # an AWS error can quote the whole template
READABLE = (DeployError, EmulatorError, PackagingError, sample.TrainingError)


class Stopped(BaseException):
    """SIGTERM came, or the owner died."""


class Supervisor:
    """One stack, from the first process to the last file."""

    def __init__(self, state: Path, report: IO[str]) -> None:
        self._state = state
        self._report = report
        self._emulator: Emulator | None = None
        self._moto: MotoServer | None = None
        self._agent: Agent | None = None

    def run(self) -> None:
        """Start everything, say so, and hold until the emulator ends or `Stopped` is raised."""
        with ThreadPoolExecutor() as pool:
            self._say("phase", "starting the emulators, packaging, training the sample model")
            self._moto = MotoServer(self._state)
            emulator = pool.submit(Emulator, self._state)
            packaged = pool.submit(package_locally, Path.cwd(), STAGE, self._state / "package")
            model = pool.submit(sample.train)
            self._emulator = emulator.result()
            pushed = pool.submit(sample.push_images, self._emulator.url)
            connected = pool.submit(self._moto.connect, self._emulator.url)
            opened = pool.submit(open_default_vpc, client("ec2", self._emulator.url))
            template = packaged.result()
            self._say("phase", "creating the CloudFormation stack")
            archive = self._state / "package" / "deployment.zip"
            # Before the functions are, for they keep for a while what they have read.
            shared = callbacks.put_secrets(client("ssm", self._emulator.url), STACK_NAME)
            environment = {**self._moto.environment, **callbacks.environment()}
            deployed = deploy(template, archive, self._emulator.url, environment)
            pushed.result()
            connected.result()
            opened.result()
            if "DOCKER_HOST" not in os.environ:  # with an engine MiniStack runs the real images
                self._agent = Agent(self._emulator.url, model.result(), self._state / "agent.log")
                self._agent.start()
        self._say("phase", "waiting for the API")
        self._await_api(deployed)
        self._write_stack_file(deployed, *shared)
        self._say("ready", "")
        while not self._emulator.ended and not self._moto.ended:
            time.sleep(0.5)
        name = "emulator" if self._emulator.ended else "moto"
        print(f"{name} ended by itself", processes.tail(self._state / f"{name}.log"))

    def _await_api(self, deployed: Deployed) -> None:
        deadline = time.monotonic() + HEALTH_SECONDS
        while True:
            try:
                with open_url(f"{deployed.api_url}/health", timeout=30):
                    return
            except OSError as error:  # an answer of 4xx or 5xx is one too
                body = getattr(error, "read", lambda: b"")().decode(errors="replace")
                failure = f"GET /health: {error} {body}"
            if time.monotonic() > deadline:
                raise DeployError(f"{failure}\n{processes.tail(self._state / 'emulator.log')}")
            time.sleep(0.2)

    def _write_stack_file(self, deployed: Deployed, signing: str, webhook: str) -> None:
        from chalicelib.store import tokens

        assert self._emulator and self._moto
        dynamodb = client("dynamodb", self._emulator.url)

        def issue(owner: str, *scopes: str) -> str:
            _, token = tokens.issue(
                table_name=deployed.table_name, owner=owner, scopes=list(scopes), client=dynamodb
            )
            return str(token)

        content: dict[str, Any] = {
            "api_url": deployed.api_url,
            "token": issue("demo", "read", "deploy"),
            "admin_token": issue("admin", "read", "deploy", "admin"),
            "aws_endpoint_url": self._emulator.url,
            "region": REGION,
            "account_id": ACCOUNT_ID,
            "sample_image": sample.IMAGE,
            "slack_signing_secret": signing,
            "webhook_secret": webhook,
            "pids": {
                "supervisor": os.getpid(),
                "emulator": self._emulator.pid,
                "moto": self._moto.pid,
            },
        }
        unfinished = self._state / "stack.json.unfinished"
        unfinished.touch(mode=0o600)  # it holds tokens
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
        unfinished.replace(self._state / "stack.json")

    def fail(self, message: str) -> None:
        """Tell the owner why the stack does not start."""
        self._say("failed", message)

    def _say(self, kind: str, text: str) -> None:
        with contextlib.suppress(OSError):  # the owner may have stopped listening
            print(json.dumps([kind, text]), file=self._report, flush=True)

    def close(self) -> None:
        """End all processes of the stack and remove its files."""
        if self._agent:
            self._agent.stop()
        if self._emulator:
            self._emulator.stop()
        if self._moto:
            self._moto.stop()
        processes.end_marked(os.environ[processes.MARK], grace=5)
        shutil.rmtree(self._state, ignore_errors=True)


def _watch(lifeline: int) -> None:
    """Wait for the owner's word or end; without a word stop this process as SIGTERM does."""
    with contextlib.suppress(OSError):
        if os.read(lifeline, len(DETACH)) == DETACH:
            return
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the end must not be cut short
    raise Stopped


def main() -> None:
    """Run the supervisor as the command line says."""
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
