"""Specs and deployments for tests. They are valid unless a test passes invalid fields."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.health import Observation
from chalicelib.domain.operation import CONVERGE_STEPS, Path
from chalicelib.domain.parts import Failure
from chalicelib.domain.record import Status
from chalicelib.domain.spec import parsing
from chalicelib.domain.spec.spec import Spec

MOMENT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
ACCOUNT = "123456789012"
REGION = "us-east-1"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
IMAGE = f"{REGISTRY}/recommend:1"
DIGEST = "sha256:" + "ab" * 32
ID = "recommender-abcdef"
OWNER = "team-a"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:slipway/hub-AbCdEf"
PARAMETER = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/hub"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0123-abcd"
DOMAIN = "recommend.example.com"
TASK_ROLE = f"arn:aws:iam::{ACCOUNT}:role/slipway/model-reader"
LIMITS: dict[str, Any] = {
    "allowed_registries": (REGISTRY,),
    "allowed_secrets": (
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:slipway/*",
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/*",
    ),
    "allowed_domains": ("*.example.com",),
    "allowed_task_roles": (TASK_ROLE,),
    "max_tasks": 10,
    "region": REGION,
}


def body_of(**fields: Any) -> dict[str, Any]:
    """A request body for `POST /deployments`."""
    return {"name": "recommender", "image": IMAGE, **fields}


def spec_of(**fields: Any) -> Spec:
    return parsing.parse(body_of(**fields), **LIMITS)


def deployment_of(
    deployment_id: str = ID, owner: str = OWNER, now: datetime = MOMENT, **fields: Any
) -> Deployment:
    """A deployment whose create has just started."""
    fields = {"name": deployment_id.rpartition("-")[0], **fields}
    return Deployment.create(deployment_id, owner, spec_of(**fields), now, usd_per_hour=0.0)


def without_tasks() -> Deployment:
    """A deployment of an earlier version, which accepted `count: 0`."""
    deployment = deployment_of()
    deployment.spec = deployment.spec.model_copy(update={"count": 0})
    return deployment


def active(deployment_id: str = ID, now: datetime = MOMENT, **fields: Any) -> Deployment:
    deployment = deployment_of(deployment_id, now=now, **fields)
    for name in CONVERGE_STEPS:
        deployment.finish_step(name, now)
    deployment.activate(now, 0.04)
    return deployment


def failed(now: datetime = MOMENT) -> Deployment:
    deployment = deployment_of(now=now)
    deployment.fail("resolve_image", failure_of("resolve_image"), now)
    deployment.end_failed(now)
    return deployment


def in_status(status: Status) -> Deployment:
    """A deployment that reached `status` through the domain's own transitions."""
    if status is Status.CREATING:
        return deployment_of()
    if status is Status.FAILED:
        return failed()
    deployment = active()
    if status is Status.UPDATING:
        deployment.update(spec_of(count=2), MOMENT, new_image=False)
    elif status is Status.PAUSED:
        deployment.pause(MOMENT)
        deployment.activate(MOMENT, 0.03)
    elif status in (Status.DELETING, Status.DELETED, Status.DELETE_FAILED):
        deployment.delete(MOMENT)
    if status is Status.DELETED:
        deployment.end_torn_down(MOMENT)
    if status is Status.DELETE_FAILED:
        deployment.end_failed(MOMENT)
    return deployment


def rolling_back(turned_at: datetime) -> Deployment:
    """A deployment whose update failed, before its rollback runs the first step."""
    deployment = active()
    deployment.update(spec_of(count=2), MOMENT, new_image=False)
    deployment.fail("await_ready", failure_of("await_ready"), turned_at)
    deployment.switch_path(Path.ROLLBACK, turned_at)
    return deployment


def tearing_down_failed_create() -> Deployment:
    deployment = deployment_of()
    deployment.fail("resolve_image", failure_of("resolve_image"), MOMENT)
    deployment.switch_path(Path.DESTROY, MOMENT)
    return deployment


def failure_of(step: str, code: str = "IMAGE_NOT_FOUND") -> Failure:
    return Failure(code=code, step=step, message="it is not there", hint="push it")


def seen(at: datetime, running: int = 0, wanted: int = 1, **more: Any) -> Observation:
    """A check of health at `at`. If tasks are missing, a container has exited."""
    failure = failure_of("health", "CONTAINER_EXITED") if running < wanted else None
    values: dict[str, Any] = {"missing": wanted - running, "failure": failure, "is_settled": True}
    return Observation(at=at, running=running, wanted=wanted, **(values | more))


class Clock:
    """Replaces `chalicelib.platform.clock.now`. The time changes only when a test advances it."""

    def __init__(self, moment: datetime = MOMENT) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> None:
        self.moment += timedelta(**duration)
