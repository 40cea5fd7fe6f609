"""Every reason for a failed deploy, as the caller sees it: code, message, hint and evidence.

The deployments of this module run beside the tests, `AT_ONCE` of them. Each test follows its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from local.inspection import leftovers
from tests.stack.client import SAMPLE_PATH, Client, predict, wait_until
from tests.stack.harsh.simulated import OnlyFor, Simulated
from tests.support.simulated_aws.aws import Answer, Call, Rule

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:slipway/nowhere-AbCdEf"
GREEDY = "print('loading', flush=True); data = b'x' * (600 << 20); import time; time.sleep(60)"
SLOW = "echo loading; sleep 2; exec python -u recommend.py"
# More of them would make two cores start new copies of all functions, and take longer in total.
AT_ONCE = 3
CREATE_SECONDS = 300
# Enough for a machine that starts several of these at the same time.
PATIENT = {"path": "/health", "grace": 300}


class Made:
    """The deployments by name."""

    def __init__(self, api: Client, specs: dict[str, dict[str, Any]], pool: Executor) -> None:
        self._api = api
        self._ids: dict[str, Future[str]] = {name: Future() for name in specs}
        for name, changes in specs.items():
            pool.submit(self._run, name, changes)

    def __getitem__(self, name: str) -> str:
        """The deployment's ID, once it is created."""
        return self._ids[name].result(CREATE_SECONDS)

    def _run(self, name: str, changes: dict[str, Any]) -> None:
        try:
            deployment = self._api.create(name, **changes)
        except BaseException as error:
            self._ids[name].set_exception(error)  # raised by the test that asks for the ID
            return
        self._ids[name].set_result(deployment)
        self._api.follow(deployment)


def specs(image: str) -> dict[str, dict[str, Any]]:
    """How each deployment's spec differs from a valid one."""
    repository = image.rsplit(":", 1)[0]
    return {
        "slow-start": {"command": ["sh", "-c", SLOW], "health_check": PATIENT},
        "no-image": {"image": f"{repository}:none"},
        "arm-image": {"image": f"{repository}:arm64"},
        "crash": {"image": f"{repository}:crash"},
        "greedy": {"command": ["python", "-c", GREEDY]},
        "answers-404": {"health_check": {"path": "/nowhere"}},
        "wrong-port": {"environment": {"PORT": "8123"}},
        "no-secret": {"secrets": {"API_KEY": SECRET}},
        "no-smoke": {"smoke_test": {"path": SAMPLE_PATH, "json_has": ["nope"]}},
    }


class Provisioning(Rule):
    """Keeps load balancers in `provisioning` until they are released."""

    def __init__(self) -> None:
        self.released = False

    def after(self, call: Call, answer: Answer) -> Answer:
        if call.name != "elbv2.DescribeLoadBalancers" or self.released:
            return answer
        state = {"Code": "provisioning"}
        return {"LoadBalancers": [{**item, "State": state} for item in answer["LoadBalancers"]]}


@pytest.fixture(scope="module")
def provisioning(simulated: Simulated) -> Iterator[Provisioning]:
    """The load balancer of `slow-start`, while it is provisioning."""
    rule = Provisioning()
    with simulated.proxy.rule(OnlyFor("slow-start-", rule)):
        yield rule


@pytest.fixture(scope="module")
def made(harsh: Client, simulated: Simulated, provisioning: Provisioning) -> Iterator[Made]:
    """Start the creates."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield Made(harsh, specs(simulated.stack.sample_image), pool)


def fails(harsh: Client, simulated: Simulated, made: Made, name: str, code: str) -> dict[str, Any]:
    """Check the failure's fields and that nothing remains; return the failure."""
    ended = harsh.follow(made[name])
    failure: dict[str, Any] = ended["failure"]

    assert (ended["status"], ended["operation"]["status"]) == ("FAILED", "failed")
    assert failure["code"] == code, failure
    assert failure["message"] and failure["hint"]
    assert all(resource["verified_gone"] for resource in ended["resources"])
    assert (ended["leftovers"], ended["url"]) == ([], None)
    assert leftovers(simulated.stack, made[name]) == []
    return failure


def test_the_step_reports_the_provisioning_of_the_load_balancer(
    harsh: Client, made: Made, provisioning: Provisioning
) -> None:
    def is_provisioning_reported() -> bool:
        steps = harsh.get(made["slow-start"])["operation"]["steps"]
        message = next(s["message"] for s in steps if s["name"] == "await_ready")
        return "load balancer is provisioning" in (message or "")

    wait_until(is_provisioning_reported, "the message of await_ready")
    provisioning.released = True


def test_a_missing_image_fails_the_deploy(harsh: Client, simulated: Simulated, made: Made) -> None:
    failure = fails(harsh, simulated, made, "no-image", "IMAGE_NOT_FOUND")

    assert failure["step"] == "resolve_image"
    assert "recommend:none" in failure["message"]
    assert "tag" in failure["hint"]
    assert failure["evidence"]["aws_message"]
    assert harsh.get(made["no-image"])["resources"] == []


def test_an_image_for_another_architecture_fails_the_deploy(
    harsh: Client, simulated: Simulated, made: Made
) -> None:
    failure = fails(harsh, simulated, made, "arm-image", "ARCHITECTURE_MISMATCH")

    assert "ARM64" in failure["message"]
    assert "--platform linux/amd64" in failure["hint"]
    assert failure["evidence"]["image_platforms"] == ["linux/arm64"]
    assert harsh.get(made["arm-image"])["resources"] == []


def test_a_missing_secret_fails_the_deploy(harsh: Client, simulated: Simulated, made: Made) -> None:
    failure = fails(harsh, simulated, made, "no-secret", "SECRET_UNAVAILABLE")

    assert SECRET in str(failure)
    assert harsh.get(made["no-secret"])["resources"] == []


def test_a_crash_loop_fails_the_deploy(harsh: Client, simulated: Simulated, made: Made) -> None:
    failure = fails(harsh, simulated, made, "crash", "CONTAINER_EXITED")
    evidence = failure["evidence"]

    assert failure["step"] == "await_ready"
    assert "exit code 1" in failure["message"]
    assert "weights.npz is not there" in failure["message"]
    assert (evidence["stop_code"], evidence["exit_code"]) == ("EssentialContainerExited", 1)
    assert evidence["stopped_reason"] == "Essential container in task exited"
    assert evidence["log_lines"][-1] == "cannot load the model: weights.npz is not there"
    assert any("has started 1 tasks" in event for event in evidence["service_events"])
    # The step does not wait after the third exit, but a fourth task may have been starting.
    assert evidence["stopped_tasks"] in (3, 4)


def test_a_container_with_too_much_memory_fails_the_deploy(
    harsh: Client, simulated: Simulated, made: Made
) -> None:
    failure = fails(harsh, simulated, made, "greedy", "OUT_OF_MEMORY")
    evidence = failure["evidence"]

    assert "512 MiB" in failure["message"]
    assert '"memory": 1024' in failure["hint"]
    assert evidence["exit_code"] == 137
    assert evidence["container_reason"].startswith("OutOfMemoryError")
    assert "loading" in evidence["log_lines"]


def test_a_health_check_with_404_fails_the_deploy(
    harsh: Client, simulated: Simulated, made: Made
) -> None:
    failure = fails(harsh, simulated, made, "answers-404", "HEALTH_CHECK_FAILED")

    assert "GET /nowhere on port 80" in failure["message"]
    assert "404" in failure["message"]
    assert "health_check.path" in failure["hint"]
    assert "Task failed ELB health checks" in failure["evidence"]["stopped_reason"]
    assert any("/nowhere" in line for line in failure["evidence"]["log_lines"])


def test_a_container_on_another_port_fails_the_deploy(
    harsh: Client, simulated: Simulated, made: Made
) -> None:
    failure = fails(harsh, simulated, made, "wrong-port", "HEALTH_CHECK_FAILED")

    assert "the connection failed, or the answer was not HTTP/1.1" in failure["message"]
    assert "`port`" in failure["hint"]
    assert any("8123" in line for line in failure["evidence"]["log_lines"])


def test_a_prediction_without_the_expected_keys_fails_the_deploy(
    harsh: Client, simulated: Simulated, made: Made
) -> None:
    failure = fails(harsh, simulated, made, "no-smoke", "SMOKE_TEST_FAILED")

    assert failure["step"] == "smoke_test"
    assert "nope" in failure["message"]
    assert failure["evidence"]["prediction"]["status"] == 200
    assert "recommendations" in failure["evidence"]["prediction"]["sample"]


def test_a_slow_start_within_the_grace_period_is_not_a_failure(
    harsh: Client, simulated: Simulated, made: Made, provisioning: Provisioning
) -> None:
    provisioning.released = True
    ended = harsh.follow(made["slow-start"])

    assert (ended["status"], ended["failure"]) == ("ACTIVE", None)
    assert predict(ended["url"]).status == 200
    assert harsh.delete(made["slow-start"])["status"] == "DELETED"
    assert leftovers(simulated.stack, made["slow-start"]) == []
