"""Explain why the load balancer reports a task as unhealthy.

Reasons and descriptions of target health:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/check-target-health.html
A health check sends the task's address as its Host header, and does not follow redirects:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from __future__ import annotations

import re
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.spec.spec import Spec
from chalicelib.workflow.diagnosis import log_evidence, redirect
from chalicelib.workflow.diagnosis.known_texts import listening
from chalicelib.workflow.diagnosis.known_texts.log_signs import Kind
from chalicelib.workflow.diagnosis.redirect import Redirect
from chalicelib.workflow.diagnosis.verdict import Verdict

MISMATCH, TIMEOUT = "Target.ResponseCodeMismatch", "Target.Timeout"
NO_ANSWER = "Target.FailedHealthChecks"
# Of frameworks that reject a host: 400 of Django, Starlette and Werkzeug, 403 of Rails and Vite.
REJECTIONS = (400, 403, 421)
_CODES = re.compile(r"\[([\d, ]+)\]")


def judge_unhealthy(
    spec: Spec,
    target_health: list[dict[str, Any]],
    log_lines: list[str],
    redirected: Redirect | None = None,
) -> Verdict:
    """Why a running task is unhealthy.

    A certain sign in the log counts before the target health, if the two can have one cause.

    Args:
        target_health: the targets as the load balancer describes them: `state`, `reason` and
            `description`. The first with a reason counts.
        log_lines: the last log lines of the task, oldest first.
        redirected: where the path of the health check redirects to, if `redirect.find` found it.
    """
    target = next((each for each in target_health if each.get("reason")), {})
    reason, description = str(target.get("reason", "")), str(target.get("description", ""))
    codes = codes_of(description) if reason == MISMATCH else []
    return (
        _from_sign(spec, reason, codes, log_lines)
        or _from_port(spec, reason, codes, log_lines)
        or _from_target(spec, reason, codes, redirected)
    )


def examine(
    deployment: Deployment, target_health: list[dict[str, Any]], log_lines: list[str]
) -> tuple[Verdict, dict[str, Any]]:
    """The verdict of `judge_unhealthy` for tasks that run, and evidence that belongs to it.

    If the container answers with a redirect, a request through the load balancer shows where to.
    """
    codes = [code for each in target_health for code in codes_of(each.get("description") or "")]
    found = redirect.find(deployment) if redirect.REDIRECTS.intersection(codes) else None
    verdict = judge_unhealthy(deployment.spec, target_health, log_lines, found)
    location = found.location if found else ""
    return verdict, {"redirect_location": location} if location else {}


def codes_of(description: str) -> list[int]:
    """The codes in `Health checks failed with these codes: [301, 404]`."""
    found = _CODES.search(description)
    return [int(code) for code in re.findall(r"\d+", found[1])] if found else []


def _request(spec: Spec) -> str:
    return f"GET {spec.health_check.path} on port {spec.container_port}"


def _failed(message: str, hint: str, *, final: bool = False) -> Verdict:
    return Verdict(FailureCode.HEALTH_CHECK_FAILED, message, hint, final)


def _from_sign(spec: Spec, reason: str, codes: list[int], lines: list[str]) -> Verdict | None:
    seen = log_evidence.certain_sign(lines, spec)
    if seen is None or not _can_be_the_cause(seen.kind, reason, codes):
        return None
    if seen.kind is Kind.MEMORY:
        message = f"The container used up its {spec.memory} MiB of memory."
        return Verdict(FailureCode.OUT_OF_MEMORY, message, log_evidence.more_memory(spec))
    cause, hint = log_evidence.words(seen, spec)
    message = f"{_request(spec)} does not pass the health check: {cause}."
    return _failed(message, hint, final=seen.kind is not Kind.SLOW_WORKER)


def _can_be_the_cause(kind: Kind, reason: str, codes: list[int]) -> bool:
    """Whether a sign fits what the load balancer saw.

    If the container answered, something listens. Then its code shows whether the sign matters.
    """
    if kind is Kind.HOST_REJECTED:
        return not reason or any(code in REJECTIONS for code in codes)
    if reason == MISMATCH:
        return kind is Kind.MEMORY and any(code >= 500 for code in codes)
    return kind not in (Kind.EXEC_FORMAT, Kind.NO_PROGRAM, Kind.NOT_EXECUTABLE)


def _from_port(spec: Spec, reason: str, codes: list[int], lines: list[str]) -> Verdict | None:
    """What the log says about where the servers of the container listen."""
    places, port = listening.announced(lines), spec.container_port
    here = [place for place in places if place.port == port]
    # Many TLS servers answer 400 in plain HTTP.
    if here and all(place.is_tls for place in here) and codes == [400]:
        return _speaks_tls(spec)
    if reason not in (NO_ANSWER, "") or not places:
        return None
    is_loopback = all(place.is_loopback for place in here or places)
    everywhere = "Listen on 0.0.0.0, not on 127.0.0.1."
    if not here:
        other = places[-1].port
        return _failed(
            f"The container listens on port {other}, but `port` is {port}.",
            f'Deploy with "port": {other}, or let the program listen on port {port}.'
            + (f" {everywhere}" if is_loopback else ""),
            final=True,
        )
    if is_loopback:
        return _failed(
            f"The container listens on port {port} only for programs inside the container "
            f"({here[-1].host}).",
            f"{everywhere} Most servers have an option such as `--host 0.0.0.0`.",
            final=True,
        )
    if all(place.is_tls for place in here):
        return _speaks_tls(spec)
    if reason == NO_ANSWER:
        return _failed(
            f"{_request(spec)}: the connection failed, or the answer was not HTTP/1.1.",
            f"The log says that a server listens on port {port}. Check that it still runs, and "
            "that it answers plain HTTP/1.1 (not TLS or HTTP/2) without closing the connection.",
        )
    return None


def _speaks_tls(spec: Spec) -> Verdict:
    return _failed(
        f"The container speaks TLS on port {spec.container_port}, but the load balancer sends "
        "plain HTTP to it.",
        "Serve plain HTTP in the container. Set `certificate_arn` if callers need HTTPS.",
        final=True,
    )


def _from_target(spec: Spec, reason: str, codes: list[int], redirected: Redirect | None) -> Verdict:
    check = spec.health_check
    slow = f"If the model starts slowly, raise `health_check.grace` (now {check.grace} s)."
    if reason == MISMATCH:
        return _from_codes(spec, codes, redirected)
    if reason == TIMEOUT:
        return _failed(
            f"{_request(spec)} had no response within {check.timeout} s.",
            f"Raise `health_check.timeout`, or set `health_check.path` to a faster path. {slow}",
        )
    if reason == NO_ANSWER:
        return _failed(
            f"{_request(spec)}: the connection failed, or the answer was not HTTP/1.1.",
            "Set `port` to the container's port, listen on 0.0.0.0, and serve plain HTTP/1.1 "
            f"(not TLS or HTTP/2). {slow}",
        )
    return _failed(
        f"{_request(spec)} does not pass the health check.",
        f"Check `health_check` and `port`. {slow}",
    )


def _from_codes(spec: Spec, codes: list[int], redirected: Redirect | None) -> Verdict:
    check = spec.health_check
    returned = f"returned {', '.join(map(str, codes)) or 'another status'}"
    expected = f"but the health check expects {check.status}"
    choose = f"Set `health_check.path` to a path that returns {check.status}"
    if redirects := [code for code in codes if code in redirect.REDIRECTS]:
        known = redirected.location if redirected else ""
        where = f" (a redirect to {known})" if known else " (a redirect)"
        return _failed(
            f"{_request(spec)} {returned}{where}, {expected}.",
            redirected.hint(spec) if redirected else _any_redirect(spec, redirects[0]),
        )
    if 401 in codes or 403 in codes:
        hint = f"{choose} without credentials. A health check sends none."
    elif any(code >= 500 for code in codes):
        hint = f"Read the last log lines for the error. {choose} if the error is expected."
    else:
        hint = f"{choose}."
    return _failed(f"{_request(spec)} {returned}, {expected}.", hint)


def _any_redirect(spec: Spec, code: int) -> str:
    return (
        "Set `health_check.path` to the path that it redirects to. If it redirects to HTTPS or to "
        "another host, exempt the path in the program, because a health check sends neither "
        f'`X-Forwarded-Proto` nor your domain. Or accept it: "status": "{spec.health_check.status},'
        f'{code}".'
    )
