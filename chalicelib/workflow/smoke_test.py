"""One real prediction through the load balancer before a deployment is called ACTIVE."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.deployments.parts import Prediction
from chalicelib.resources import load_balancer, pause_rule
from chalicelib.workflow import diagnosis
from chalicelib.workflow.step import Outcome

TIMEOUT_SECONDS = 25
SAMPLE_BYTES = 512
MOST_BYTES = 1024 * 1024
# What a load balancer says itself while its nodes have not learnt of the targets everywhere.
PASSING = {502, 503, 504}
ATTEMPTS = 5


def run(deployment: Deployment) -> Outcome:
    """Asks `smoke_test.path` once and holds the answer against the spec; while it is paused,
    against what the listener is to answer then.

    Answers that a load balancer gives for itself are asked again (`NotReady`) a few times. Raises
    `DeploymentFailed` (`SMOKE_TEST_FAILED`) with the answer as evidence.
    """
    test = deployment.spec.smoke_test
    if deployment.paused:
        return _ask_while_paused(deployment)
    if deployment.wanted_tasks == 0:
        return Outcome(message="no task wanted, nothing to ask", status="skipped")
    answer, body = _ask(deployment)
    is_passing = answer.status in PASSING and answer.status != test.status
    if is_passing or pause_rule.is_its_answer(answer.status, body):
        _ask_again(deployment, f"GET {answer.path} answered {answer.status}")
    fault = _fault(deployment, answer, body)
    if fault:
        raise _failed(deployment, f"GET {answer.path} {fault}", answer)
    return Outcome(message=f"{answer.status} in {answer.latency_ms} ms", prediction=answer)


def _ask_while_paused(deployment: Deployment) -> Outcome:
    """The record keeps the last prediction: this is none."""
    answer, body = _ask(deployment)
    told = f"GET {answer.path} answered {answer.status}"
    if pause_rule.is_its_answer(answer.status, body):
        return Outcome(message=f"{told}: it is paused")
    _ask_again(deployment, told)
    raise DeploymentFailed(
        FailureCode.SMOKE_TEST_FAILED,
        f"{told}, and not {pause_rule.STATUS} that it is paused.",
        hint="Pause it again; if it stays so, pass the id of the deployment on to the platform "
        "team.",
        evidence={"answer": answer.model_dump()},
    )


def _ask(deployment: Deployment) -> tuple[Prediction, bytes]:
    path = deployment.spec.smoke_test.path or "/"
    try:
        return _get(load_balancer.get(deployment.id).url, path)
    except (OSError, http.client.HTTPException) as error:
        _ask_again(deployment, f"GET {path}: {type(error).__name__}: {error}")
        raise _failed(deployment, f"GET {path} had no answer: {error}", None) from None


def _ask_again(deployment: Deployment, reason: str) -> None:
    """Raises `NotReady` unless it was asked often enough."""
    attempts = next(
        s.attempts
        for s in deployment.operation.steps[::-1]
        if s.attempts and s.name.endswith("smoke_test")
    )
    if attempts < ATTEMPTS:
        raise NotReady(reason)


def _get(url: str, path: str) -> tuple[Prediction, bytes]:
    parts = urlsplit(url)
    connection_type = (
        http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    )
    connection = connection_type(parts.netloc, timeout=TIMEOUT_SECONDS)
    started = time.monotonic()
    try:
        connection.request("GET", parts.path + path, headers={"User-Agent": "slipway-smoke-test"})
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
    finally:
        connection.close()
    latency_ms = round((time.monotonic() - started) * 1000)
    sample = body[:SAMPLE_BYTES].decode("utf-8", errors="replace")
    return Prediction(path=path, status=response.status, latency_ms=latency_ms, sample=sample), body


def _fault(deployment: Deployment, answer: Prediction, body: bytes) -> str:
    test = deployment.spec.smoke_test
    if answer.status != test.status:
        return f"answered {answer.status}, not {test.status}"
    if test.json_has:
        missing = _missing_keys(body, test.json_has)
        if missing:
            return f"answered without {', '.join(missing)} in its JSON"
    if test.max_latency_ms is not None and answer.latency_ms > test.max_latency_ms:
        return f"took {answer.latency_ms} ms, more than {test.max_latency_ms}"
    return ""


def _missing_keys(body: bytes, wanted: list[str]) -> list[str]:
    try:
        document: Any = json.loads(body)
    except ValueError:
        return wanted
    return [key for key in wanted if not isinstance(document, dict) or key not in document]


def _failed(deployment: Deployment, message: str, answer: Prediction | None) -> DeploymentFailed:
    evidence: dict[str, Any] = {"log_lines": diagnosis.log_lines(deployment.id)}
    if answer:
        evidence["prediction"] = answer.model_dump()
    return DeploymentFailed(
        FailureCode.SMOKE_TEST_FAILED,
        message + ".",
        hint="Ask the container the same path on your own machine; its last log lines are in the "
        "evidence. If the answer is as it should be, mend `smoke_test`.",
        evidence=evidence,
    )
