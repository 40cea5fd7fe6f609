from typing import Any

import pytest

import app
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import Superseded
from chalicelib.domain.operation import Path
from chalicelib.domain.pricing import usd_per_hour
from chalicelib.domain.record import Status
from chalicelib.store import deployments as store
from tests.support import aws_says
from tests.support.builders import ID, MOMENT, active, deployment_of, spec_of, without_tasks

pytestmark = pytest.mark.usefixtures("table")


class Context:
    aws_request_id = "r1"


def run(step: str, path: str, generation: int = 1) -> dict[str, Any]:
    event = {"step": step, "deployment_id": ID, "generation": generation, "path": path}
    if step == "diagnose":
        event["error"] = {"Error": "States.Timeout", "Cause": ""}
    return app.lifecycle_step(event, Context())


def record() -> Deployment:
    deployment = store.get(ID)
    assert deployment is not None
    return deployment


def deleting() -> None:
    deployment = active()
    deployment.delete(MOMENT)
    store.create(deployment)


def nothing_tagged() -> None:
    answer: dict[str, Any] = {"ResourceTagMappingList": []}
    aws_says.answer("resourcegroupstaggingapi", "GetResources", answer)


def test_finish_activates_the_deployment_at_the_rate_of_its_size() -> None:
    store.create(deployment_of(count=2))
    run("finish", "converge")
    assert (record().status, record().operation.status) == (Status.ACTIVE, "succeeded")
    assert record().meter.usd_per_hour == usd_per_hour(spec_of(count=2))


def test_an_autoscaled_deployment_is_active_at_the_rate_of_its_current_tasks() -> None:
    scaling = {"min": 1, "max": 4, "metric": "cpu", "target": 60}
    store.create(deployment_of(scaling=scaling))
    aws_says.answer("ecs", "DescribeServices", {"services": [{"desiredCount": 3}]})
    run("finish", "converge")
    assert record().meter.usd_per_hour == usd_per_hour(spec_of(count=3))


def test_a_paused_deployment_costs_only_the_load_balancer() -> None:
    store.create(active(count=2))
    store.update(ID, lambda deployment: deployment.pause(MOMENT))
    run("finish", "converge", 2)
    assert record().status is Status.PAUSED
    assert record().meter.usd_per_hour == usd_per_hour(without_tasks().spec)


def test_repeated_finish_has_no_effect() -> None:
    store.create(deployment_of())
    run("finish", "converge")
    before, _ = store.list_events(ID, limit=100, after=0)
    with pytest.raises(Superseded):
        run("finish", "converge")
    after, _ = store.list_events(ID, limit=100, after=0)
    assert before == after


def test_finish_teardown_deletes_the_deployment_and_releases_the_name() -> None:
    deleting()
    run("finish_teardown", "destroy", 2)
    assert record().status is Status.DELETED
    assert store.id_of_name("team-a", "recommender") is None


def test_a_failed_create_goes_to_destroy_and_ends_failed() -> None:
    store.create(deployment_of())
    answer = run("diagnose", "converge")
    assert answer == {"deployment_id": ID, "generation": 1, "path": "destroy"}
    assert record().operation.path is Path.DESTROY
    run("finish_teardown", "destroy")
    assert record().status is Status.FAILED


def test_a_failed_update_is_rolled_back() -> None:
    deployment = active()
    deployment.update(spec_of(count=2), MOMENT, new_image=False)
    store.create(deployment)
    assert run("diagnose", "converge", 2)["path"] == "rollback"


def test_a_diagnosis_with_a_lost_response_can_be_repeated() -> None:
    store.create(deployment_of())
    first = run("diagnose", "converge")
    written = record()
    assert run("diagnose", "converge") == first
    assert record().operation == written.operation


def test_a_failed_teardown_ends_with_its_leftovers() -> None:
    deleting()
    nothing_tagged()
    aws_says.answer(
        "ecs", "DescribeClusters", {"clusters": [{"clusterName": ID, "status": "ACTIVE"}]}
    )
    assert run("diagnose", "destroy", 2)["path"] == "end"
    assert record().status is Status.DELETE_FAILED
    assert [(item.kind, item.name) for item in record().leftovers] == [("cluster", ID)]


def test_a_superseded_diagnosis_changes_nothing() -> None:
    store.create(deployment_of())
    store.update(ID, lambda deployment: deployment.delete(MOMENT))
    before = record()
    assert run("diagnose", "converge", 1)["path"] == "end"
    assert record() == before


def test_a_failed_teardown_ends_even_if_the_search_for_leftovers_fails() -> None:
    deleting()
    aws_says.refuse("resourcegroupstaggingapi", "GetResources", "AccessDeniedException")
    assert run("diagnose", "destroy", 2)["path"] == "end"
    assert record().status is Status.DELETE_FAILED
