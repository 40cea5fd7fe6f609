"""How many tasks must start in addition to the running ones."""

from typing import Any

import pytest

from chalicelib.domain.parts import Image
from chalicelib.workflow.preflight.subject import Subject
from tests.support import aws_says
from tests.support.builders import DIGEST, IMAGE, active, deployment_of

pytestmark = pytest.mark.usefixtures("cloud")


def running(count: int, status: str = "ACTIVE", pending: int = 0) -> None:
    described = {"status": status, "runningCount": count, "pendingCount": pending}
    aws_says.answer("ecs", "DescribeServices", {"services": [described]})


def updated(count: int, *, new_image: bool, before: int = 1) -> Subject:
    deployment = active(count=before)
    deployment.spec = deployment.spec.model_copy(update={"count": count})
    if new_image:
        deployment.image = Image(reference=IMAGE, digest=DIGEST)
    return Subject(deployment)


@pytest.mark.parametrize("count", [1, 5])
def test_a_create_needs_all_tasks(count: int) -> None:
    assert Subject(deployment_of(count=count)).new_tasks == count


@pytest.mark.parametrize(
    ("wanted", "new_image", "more"),
    [(3, False, 1), (2, False, 0), (1, False, 0), (3, True, 1), (2, True, 1), (0, True, 0)],
)
def test_an_update_needs_the_missing_tasks_and_a_rollout_needs_one(
    wanted: int, new_image: bool, more: int
) -> None:
    running(2)
    assert updated(wanted, new_image=new_image).new_tasks == more


def test_starting_tasks_need_no_more_capacity() -> None:
    running(1, pending=1)
    assert updated(3, new_image=False).new_tasks == 1


@pytest.mark.parametrize("status", ["DRAINING", "INACTIVE"])
def test_a_draining_service_frees_no_capacity(status: str) -> None:
    running(2, status)
    assert Subject(deployment_of(count=2)).new_tasks == 2


def test_aws_is_called_once(aws_calls: list[Any]) -> None:
    subject = Subject(deployment_of())
    assert subject.new_tasks == subject.new_tasks
    assert subject.has_load_balancer is subject.has_load_balancer is False
    assert sorted(aws_calls) == [
        "ecs.DescribeServices",
        "elastic-load-balancing-v2.DescribeLoadBalancers",
    ]
