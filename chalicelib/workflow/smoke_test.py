"""Send one real request through the load balancer before a deployment becomes ACTIVE."""

from __future__ import annotations

import http.client
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.operation import StepStatus
from chalicelib.domain.parts import IN_EVIDENCE, SAMPLE_BYTES, Prediction
from chalicelib.domain.spec import ingress
from chalicelib.domain.spec.spec import Spec
from chalicelib.resources import listener, load_balancer, pause_rule
from chalicelib.workflow import https, patience, probe_request
from chalicelib.workflow.diagnosis import diagnosis
from chalicelib.workflow.step import Outcome

TIMEOUT_SECONDS = 25
MOST_BYTES = 1024 * 1024
SERVER_ERROR = 500
NO_PREDICTION = (
    "No prediction was proven, because neither the spec nor an image label sets `smoke_test`"
)


def run(deployment: Deployment) -> Outcome:
    """Sends the request of `smoke_test` once and checks the response against the spec.

    If the deployment is paused, the response must be the pause response of the listener.

    The request goes to the load balancer's own DNS name, with the domain (if any) as its host. So
    the domain need not point to the load balancer yet. The request comes from an IP address that
    cannot be known in advance. If `ingress_cidrs` does not allow everyone, the test is therefore
    skipped, and healthy targets are the proof.

    One cold answer decides nothing. A server error or a failed connection is repeated while the
    model may still load, and `max_latency_ms` applies to a warm answer (see `patience`). Any other
    unexpected status is certain at once.

    Raises `NotReady` if another attempt may help, and `DeploymentFailed` (`SMOKE_TEST_FAILED`) with
    the response as evidence.
    """
    if not ingress.is_everyone(deployment.spec.ingress_cidrs):
        message = "ingress_cidrs restricts callers, and Slipway's IP address is not fixed"
        return Outcome(message=message, status=StepStatus.SKIPPED)
    if deployment.paused:
        return _check_pause(deployment)
    if deployment.wanted_tasks == 0:
        return Outcome(message="the deployment runs no tasks", status=StepStatus.SKIPPED)
    prediction, body, note = _request(deployment)
    status, test = prediction.status, deployment.spec.smoke_test
    request = probe_request.build(test)
    reason = f"{request} returned {status}"
    if pause_rule.is_its_answer(status, body):
        patience.retry_briefly(deployment, reason)
    elif status >= SERVER_ERROR and not probe_request.expects(test, status):
        patience.retry_failing(deployment, reason)
    if fault := probe_request.fault(test, status, body):
        raise _failed(deployment, f"{request} {fault}", prediction)
    cold, *warm = patience.judge_latency(deployment, prediction.latency_ms)
    took, limit = f"{prediction.latency_ms} ms", test.max_latency_ms
    if warm:
        took += f" (first answer: {cold} ms)"
    if limit is not None and prediction.latency_ms > limit:
        slow = f"{request} took {took}, and at most {limit} ms are allowed"
        raise _failed(deployment, slow, prediction)
    message = f"{status} in {took}{note}"
    if not deployment.proves_prediction:
        message += f". {NO_PREDICTION}"
    return Outcome(message=message, prediction=prediction)


def _check_pause(deployment: Deployment) -> Outcome:
    """The outcome has no prediction, so that the record keeps the last real one."""
    response, body, note = _request(deployment)
    request = probe_request.build(deployment.spec.smoke_test)
    summary = f"{request} returned {response.status}"
    if pause_rule.is_its_answer(response.status, body):
        return Outcome(message=f"{summary}: the deployment is paused{note}")
    patience.retry_briefly(deployment, summary)
    raise DeploymentFailed(
        FailureCode.SMOKE_TEST_FAILED,
        f"{summary}, not the pause response ({pause_rule.STATUS}).",
        hint="Pause the deployment again. If it fails again, give the deployment ID to your "
        "platform team.",
        evidence={"answer": response.model_dump()},
    )


def _request(deployment: Deployment) -> tuple[Prediction, bytes, str]:
    """The response, its body, and a note about the certificate (or "")."""
    spec = deployment.spec
    request = probe_request.build(spec.smoke_test)
    try:
        return _get_verified(load_balancer.get(deployment.id).url(spec), request.path, spec)
    except (OSError, http.client.HTTPException) as error:
        reason = f"{request}: {type(error).__name__}: {error}"
        patience.retry_unreachable(deployment, error, reason)
        raise _failed(deployment, f"{request} had no response: {error}", None) from None


def _get_verified(url: str, path: str, spec: Spec) -> tuple[Prediction, bytes, str]:
    """With a domain, the certificate must be valid for it.

    An issuer that Slipway does not know only adds a note. It may be a private CA that the callers
    trust. Without a domain there is no name to verify the certificate against.
    """
    try:
        return *_get(url, path, spec, verified=spec.domain is not None), ""
    except ssl.SSLCertVerificationError as error:
        if not https.is_unknown_issuer(error):
            raise
        note = f" (Slipway does not know the certificate's issuer: {error.verify_message})"
        return *_get(url, path, spec, verified=False), note


def _get(url: str, path: str, spec: Spec, *, verified: bool) -> tuple[Prediction, bytes]:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = https.connection(parts.netloc, spec.domain, TIMEOUT_SECONDS, verified=verified)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    request = probe_request.build(spec.smoke_test, _host(parts.scheme, parts.hostname, spec))
    started = time.monotonic()
    try:
        connection.request(
            request.method, parts.path + path, body=request.body, headers=request.headers
        )
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
    finally:
        connection.close()
    latency_ms = round((time.monotonic() - started) * 1000)
    sample = body[:SAMPLE_BYTES].decode("utf-8", errors="replace")
    return Prediction(path=path, status=response.status, latency_ms=latency_ms, sample=sample), body


def _host(scheme: str, hostname: str | None, spec: Spec) -> str | None:
    """The Host header; None for the default.

    Contains the port if it is not the scheme's default port. An emulator serves HTTPS listeners
    without TLS, and identifies them by this port.
    """
    port = listener.serving_port(spec)
    if port == (listener.HTTPS if scheme == "https" else listener.HTTP):
        return spec.domain
    return f"{spec.domain or hostname}:{port}"


def _failed(
    deployment: Deployment, message: str, prediction: Prediction | None
) -> DeploymentFailed:
    lines = diagnosis.log_lines(deployment.id)
    evidence: dict[str, Any] = {"log_lines": lines}
    if prediction:
        evidence["prediction"] = prediction.model_dump()
    read = f"Read the last log lines {IN_EVIDENCE}. " if lines else ""
    return DeploymentFailed(
        FailureCode.SMOKE_TEST_FAILED,
        f"{message}.",
        hint=f"{read}Run the image on your own machine and request the same path. If the response "
        "is correct, change `smoke_test`.",
        evidence=evidence,
    )
