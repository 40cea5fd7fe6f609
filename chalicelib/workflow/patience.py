"""How long the smoke test waits for a cold container, a cold network and a warm answer.

A step never waits itself: each function raises `NotReady` while another attempt may help.
"""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import clock
from chalicelib.resources import tasks

STEP = "smoke_test"
LEAST_ATTEMPTS = 5
# `active` does not mean that the DNS name of a new load balancer resolves everywhere, or that every
# node accepts connections. The tests of aws-load-balancer-controller wait for both:
# https://github.com/kubernetes-sigs/aws-load-balancer-controller/tree/main/test
FIRST_MINUTES = timedelta(minutes=5)
# In `operation.evidence`: the latency of each good answer, in order. The first one is cold.
LATENCIES = "latencies_ms"
# Each task is cold once. A deployment with many tasks is not asked forever.
MOST_COLD = 10


def retry_briefly(deployment: Deployment, reason: str) -> None:
    """Raises `NotReady` for a few attempts: not every node knows the latest change yet."""
    if deployment.operation.step(STEP).attempts < LEAST_ATTEMPTS:
        raise NotReady(reason)


def retry_failing(deployment: Deployment, reason: str) -> None:
    """Raises `NotReady` while a server error may mean that the model still loads.

    That is until `grace` has passed since the newest task was running, and for a few attempts.
    """
    retry_briefly(deployment, reason)
    if clock.now() < _newest_start(deployment) + timedelta(
        seconds=deployment.spec.health_check.grace
    ):
        raise NotReady(reason)


def retry_unreachable(deployment: Deployment, error: Exception, reason: str) -> None:
    """Raises `NotReady` while a failed connection may be the fault of a new load balancer."""
    retry_failing(deployment, reason)
    is_network = isinstance(error, socket.gaierror | ConnectionRefusedError)
    if is_network and clock.now() < _began_at(deployment) + FIRST_MINUTES:
        raise NotReady(reason)


def judge_latency(deployment: Deployment, latency_ms: int) -> list[int]:
    """The latencies of all good answers: the first one is cold, and the last one counts.

    Raises `NotReady` if `max_latency_ms` is set and the answer may be cold. The load balancer may
    send each request to another task, so each task gets one more.
    """
    known: list[int] = deployment.operation.evidence.get(LATENCIES, [])
    latencies, limit = [*known, latency_ms], deployment.spec.smoke_test.max_latency_ms
    most_cold = min(deployment.most_tasks, MOST_COLD)
    is_warm = bool(known) and (latency_ms <= (limit or 0) or len(known) >= most_cold)
    if limit is None or is_warm:
        return latencies
    message = f"a first answer took {latency_ms} ms, and the next request measures a warm one"
    raise NotReady(message, evidence={LATENCIES: latencies})


def _newest_start(deployment: Deployment) -> datetime:
    """When the newest running task was running; the start of this step if ECS shows none."""
    running = tasks.describe(deployment.id, desired=("RUNNING",))
    starts = (task["startedAt"] for task in running if "startedAt" in task)
    return max(starts, default=_began_at(deployment))


def _began_at(deployment: Deployment) -> datetime:
    return deployment.operation.step(STEP).started_at or deployment.operation.started_at
