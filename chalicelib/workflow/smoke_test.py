"""One real prediction through the load balancer before a deployment is called ACTIVE."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.domain.operation import StepStatus
from chalicelib.domain.parts import SAMPLE_BYTES, Prediction
from chalicelib.domain.spec import ingress
from chalicelib.domain.spec.spec import Spec
from chalicelib.resources import listener, load_balancer, pause_rule
from chalicelib.workflow import diagnosis, https
from chalicelib.workflow.step import Outcome

TIMEOUT_SECONDS = 25
MOST_BYTES = 1024 * 1024
# What a load balancer says itself while its nodes have not learnt of the targets everywhere.
PASSING = {502, 503, 504}
ATTEMPTS = 5


def run(deployment: Deployment) -> Outcome:
    """Asks `smoke_test.path` once and holds the answer against the spec; while it is paused,
    against what the listener is to answer then.

    It goes to the load balancer by its own name, as a request for the domain where there is one:
    whether the domain leads there yet does not matter. It comes from an address that nobody knows
    before, so where `ingress_cidrs` is not everyone it is skipped, and healthy targets are the
    proof.

    Answers that a load balancer gives for itself are asked again (`NotReady`) a few times. Raises
    `DeploymentFailed` (`SMOKE_TEST_FAILED`) with the answer as evidence.
    """
    if not ingress.is_everyone(deployment.spec.ingress_cidrs):
        message = "ingress_cidrs lets only some callers in, and this one has no fixed address"
        return Outcome(message=message, status=StepStatus.SKIPPED)
    if deployment.paused:
        return _ask_while_paused(deployment)
    if deployment.wanted_tasks == 0:
        return Outcome(message="no task wanted, nothing to ask", status=StepStatus.SKIPPED)
    answer, body, note = _ask(deployment)
    is_passing = answer.status in PASSING and answer.status != deployment.spec.smoke_test.status
    if is_passing or pause_rule.is_its_answer(answer.status, body):
        _ask_again(deployment, f"GET {answer.path} answered {answer.status}")
    fault = _fault(deployment, answer, body)
    if fault:
        raise _failed(deployment, f"GET {answer.path} {fault}", answer)
    message = f"{answer.status} in {answer.latency_ms} ms{note}"
    return Outcome(message=message, prediction=answer)


def _ask_while_paused(deployment: Deployment) -> Outcome:
    """The record keeps the last prediction: this is none."""
    answer, body, note = _ask(deployment)
    told = f"GET {answer.path} answered {answer.status}"
    if pause_rule.is_its_answer(answer.status, body):
        return Outcome(message=f"{told}: it is paused{note}")
    _ask_again(deployment, told)
    raise DeploymentFailed(
        FailureCode.SMOKE_TEST_FAILED,
        f"{told}, and not {pause_rule.STATUS} that it is paused.",
        hint="Pause it again; if it stays so, pass the id of the deployment on to the platform "
        "team.",
        evidence={"answer": answer.model_dump()},
    )


def _ask_again(deployment: Deployment, reason: str) -> None:
    """Raises `NotReady` unless it was asked often enough."""
    attempts = next(
        s.attempts
        for s in deployment.operation.steps[::-1]
        if s.attempts and s.name.endswith("smoke_test")
    )
    if attempts < ATTEMPTS:
        raise NotReady(reason)


def _ask(deployment: Deployment) -> tuple[Prediction, bytes, str]:
    """The answer, its body, and what is to be said of the certificate."""
    spec = deployment.spec
    path = spec.smoke_test.path or "/"
    try:
        return _ask_verified(load_balancer.get(deployment.id).url(spec), path, spec)
    except (OSError, http.client.HTTPException) as error:
        _ask_again(deployment, f"GET {path}: {type(error).__name__}: {error}")
        raise _failed(deployment, f"GET {path} had no answer: {error}", None) from None


def _ask_verified(url: str, path: str, spec: Spec) -> tuple[Prediction, bytes, str]:
    """With a domain the certificate is held against it. An issuer that only the caller's own
    machines trust (a private CA) is told and refused nothing: Slipway does not know whom they
    trust. Without a domain there is no name to hold it against.
    """
    try:
        return *_get(url, path, spec, verified=spec.domain is not None), ""
    except ssl.SSLCertVerificationError as error:
        if not https.is_unknown_issuer(error):
            raise
        note = f" (the certificate's issuer is not known here: {error.verify_message})"
        return *_get(url, path, spec, verified=False), note


def _get(url: str, path: str, spec: Spec, *, verified: bool) -> tuple[Prediction, bytes]:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = https.connection(parts.netloc, spec.domain, TIMEOUT_SECONDS, verified=verified)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    host = _host(parts.scheme, parts.hostname, spec)
    headers = {"User-Agent": "slipway-smoke-test", **({"Host": host} if host else {})}
    started = time.monotonic()
    try:
        connection.request("GET", parts.path + path, headers=headers)
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
    finally:
        connection.close()
    latency_ms = round((time.monotonic() - started) * 1000)
    sample = body[:SAMPLE_BYTES].decode("utf-8", errors="replace")
    return Prediction(path=path, status=response.status, latency_ms=latency_ms, sample=sample), body


def _host(scheme: str, hostname: str | None, spec: Spec) -> str | None:
    """Whom the request is for; None for the host that it goes to.

    With its port where that is not the scheme's own: an emulator serves HTTPS listeners without
    TLS, and tells them apart by that.
    """
    port = listener.serving_port(spec)
    if port == (listener.HTTPS if scheme == "https" else listener.HTTP):
        return spec.domain
    return f"{spec.domain or hostname}:{port}"


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
