"""A deployment, and the AWS resources that other resources need."""

from collections.abc import Callable

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.resources import (
    cluster,
    listener,
    load_balancer,
    log_group,
    security_groups,
    service,
    target_group,
    task_definition,
)
from tests.support.builders import deployment_of

Ensure = Callable[[Deployment], object]
IN_ORDER: tuple[Ensure, ...] = (
    security_groups.ensure,
    load_balancer.ensure,
    target_group.ensure,
    listener.ensure,
    cluster.ensure,
    log_group.ensure,
    task_definition.ensure,
    service.ensure,
)


@pytest.fixture
def deployment(cloud: None) -> Deployment:
    return deployment_of(tags={"team": "a"})


@pytest.fixture
def deployed(deployment: Deployment) -> Deployment:
    """A deployment with all its resources in AWS."""
    for ensure in IN_ORDER:
        ensure(deployment)
    return deployment
