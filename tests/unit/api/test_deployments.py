import base64
import json
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import OperationStatus, Path
from chalicelib.domain.record import Status
from chalicelib.platform import aws
from chalicelib.store import deployments as store
from chalicelib.workflow import reconcile
from tests.support import aws_says
from tests.support.builders import ID, IMAGE, MOMENT, active, body_of, deployment_of
from tests.support.gateway import Answered, Gateway, escaped

PROBLEM = "application/problem+json"


def create(gateway: Gateway, **fields: Any) -> Answered:
    answer = gateway.post("/deployments", body_of(**fields))
    assert answer.status == 202, answer.text
    return answer


def record(deployment_id: str) -> Deployment:
    deployment = store.get(deployment_id)
    assert deployment is not None
    return deployment


def stored_active(gateway: Gateway) -> str:
    """Create a deployment that has become ACTIVE, and return its ID."""
    deployment_id = create(gateway).json["id"]
    store.update(deployment_id, lambda deployment: deployment.activate(MOMENT, 0.04))
    return deployment_id


def stored_deleted(gateway: Gateway) -> str:
    deployment_id = create(gateway).json["id"]

    def change(deployment: Deployment) -> None:
        deployment.delete(MOMENT)
        deployment.end_torn_down(MOMENT)

    store.update(deployment_id, change)
    return deployment_id


def executions() -> dict[str, dict[str, Any]]:
    """Name -> input of every execution that was started."""
    states = aws.client("stepfunctions")
    [machine] = states.list_state_machines()["stateMachines"]
    found = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return {
        entry["name"]: json.loads(
            states.describe_execution(executionArn=entry["executionArn"])["input"]
        )
        for entry in found
    }


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


# --- create --------------------------------------------------------------------------------


def test_a_create_is_accepted_with_the_whole_resource(gateway: Gateway) -> None:
    answer = create(gateway, tags={"team": "a"})
    body = answer.json
    assert answer.headers["location"] == f"/deployments/{body['id']}"
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["etag"] == '"1-1-0.00"'
    assert answer.headers["content-type"] == "application/json"
    assert set(body) == {
        "id",
        "name",
        "owner",
        "status",
        "generation",
        "outcome",
        "outcome_generation",
        "url",
        "dns",
        "spec",
        "spec_sources",
        "image",
        "operation",
        "failure",
        "health",
        "prediction",
        "resources",
        "leftovers",
        "cost",
        "created_at",
        "updated_at",
        "expires_at",
        "deleted_at",
        "links",
    }
    assert (body["status"], body["owner"], body["generation"]) == ("CREATING", "team-a", 1)
    assert body["image"] == {"reference": IMAGE, "digest": None, "size_bytes": None}
    assert body["operation"]["percent"] == 0
    assert {step["status"] for step in body["operation"]["steps"]} == {"pending"}
    assert body["cost"]["usd_per_hour"] == pytest.approx(0.0498425, abs=1e-6)


def test_a_create_starts_the_execution_of_its_generation(gateway: Gateway) -> None:
    deployment_id = create(gateway).json["id"]
    work = {"deployment_id": deployment_id, "generation": 1, "path": "converge"}
    assert executions() == {f"{deployment_id}-1": work}


def test_the_owner_comes_only_from_the_token(gateway: Gateway) -> None:
    answer = gateway.post("/deployments", body_of(owner="team-b"))
    assert (answer.status, answer.fields) == (422, ["owner"])
    assert create(gateway).json["owner"] == "team-a"


def test_all_faults_of_a_body_are_reported_at_once(gateway: Gateway) -> None:
    body = {"name": "-x", "image": "nginx", "cpu": 256, "memory": 4096, "port": 0, "prot": 1}
    answer = gateway.post("/deployments", body)
    assert (answer.status, answer.code) == (422, "VALIDATION_FAILED")
    assert set(answer.fields) == {"name", "image", "memory", "port", "prot"}
    assert executions() == {}


def test_a_taken_name_is_a_conflict(gateway: Gateway) -> None:
    create(gateway)
    answer = gateway.post("/deployments", body_of())
    assert (answer.status, answer.code) == (409, "NAME_TAKEN")
    assert len(executions()) == 1


def test_another_owner_may_use_the_name(gateway: Gateway) -> None:
    create(gateway)
    assert gateway.post("/deployments", body_of(), caller="team-b").status == 202


@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("StateMachineDoesNotExist", 400)]
)
def test_a_create_that_cannot_be_started_leaves_no_record(
    gateway: Gateway, code: str, status: int
) -> None:
    aws_says.refuse("stepfunctions", "StartExecution", code, status=status)
    answer = gateway.post("/deployments", body_of())
    assert (answer.status, answer.code) == (503, "AWS_UNAVAILABLE")
    assert answer.headers["retry-after"] == "5"
    assert gateway.get("/deployments").json["deployments"] == []
    items = aws.client("dynamodb").scan(TableName="slipway-records")["Items"]
    left = [item["sk"]["S"] for item in items if not item["pk"]["S"].startswith("TOKEN")]
    assert left == ["QUOTA"]


# --- bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw", ["", "{", '{"name": }', '{"a": 1, "a": 2}', '{"a": NaN}', "[" * 60_000]
)
def test_a_malformed_body_is_400(gateway: Gateway, raw: str) -> None:
    answer = gateway.post("/deployments", raw)
    assert (answer.status, answer.code) == (400, "MALFORMED_JSON")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_415(gateway: Gateway, kind: str) -> None:
    answer = gateway.post("/deployments", body_of(), headers={"Content-Type": kind})
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.headers["content-type"] == PROBLEM


def test_a_content_type_may_have_parameters(gateway: Gateway) -> None:
    kind = "Application/JSON; charset=utf-8"
    answer = gateway.post("/deployments", body_of(), headers={"Content-Type": kind})
    assert answer.status == 202


def test_a_body_can_have_64_kib_at_most(gateway: Gateway) -> None:
    raw = json.dumps(body_of())
    raw += " " * (64 * 1024 - len(raw))
    answer = gateway.post("/deployments", raw + " ")
    assert (answer.status, answer.code) == (413, "BODY_TOO_LARGE")
    assert gateway.post("/deployments", raw).status == 202


# --- get -----------------------------------------------------------------------------------


def test_a_deployment_is_read_by_id_and_by_name(gateway: Gateway) -> None:
    deployment_id = create(gateway).json["id"]
    by_id = gateway.get(f"/deployments/{deployment_id}")
    by_name = gateway.get("/deployments/recommender")
    assert by_id.status == by_name.status == 200
    assert by_id.json["id"] == by_name.json["id"] == deployment_id


def test_a_get_by_id_makes_only_one_table_read(gateway: Gateway, aws_calls: list[str]) -> None:
    deployment_id = create(gateway).json["id"]
    aws_calls.clear()
    gateway.get(f"/deployments/{deployment_id}")
    assert aws_calls == ["dynamodb.GetItem"]


def test_the_list_calls_only_the_table(gateway: Gateway, aws_calls: list[str]) -> None:
    create(gateway)
    aws_calls.clear()
    gateway.get("/deployments")
    assert aws_calls == ["dynamodb.Query"]


def test_a_running_operation_says_when_to_poll_again(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    assert "retry-after" not in gateway.get(f"/deployments/{deployment_id}").headers
    gateway.patch(f"/deployments/{deployment_id}", {"count": 2})
    assert gateway.get(f"/deployments/{deployment_id}").headers["retry-after"] == "5"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_an_unchanged_deployment_is_304(gateway: Gateway, form: str) -> None:
    # No cost meter runs, so that the cost does not change between the two requests.
    store.create(deployment_of())
    etag = gateway.get(f"/deployments/{ID}").headers["etag"]
    answer = gateway.get(f"/deployments/{ID}", headers={"If-None-Match": form.format(etag)})
    assert (answer.status, answer.text) == (304, "")
    assert answer.headers["etag"] == etag


def test_a_changed_deployment_is_not_304(gateway: Gateway) -> None:
    store.create(deployment_of())
    etag = gateway.get(f"/deployments/{ID}").headers["etag"]
    store.update(ID, lambda deployment: deployment.finish_step("resolve_image", MOMENT))
    answer = gateway.get(f"/deployments/{ID}", headers={"If-None-Match": etag})
    assert answer.status == 200


@pytest.mark.parametrize(
    "reference",
    ["nobody", "nobody-abcdef", "-", "a/b", "ü", "TOKEN#", "..", "a\x00b", " ", "x" * 300],
)
def test_a_missing_deployment_is_404(gateway: Gateway, reference: str) -> None:
    answer = gateway.get(f"/deployments/{escaped(reference)}")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_a_deleted_deployment_is_read_by_id_but_not_by_name(gateway: Gateway) -> None:
    deployment_id = stored_deleted(gateway)
    body = gateway.get(f"/deployments/{deployment_id}").json
    assert (body["status"], body["leftovers"]) == ("DELETED", [])
    assert gateway.get("/deployments/recommender").status == 404


# --- owners --------------------------------------------------------------------------------

ENDPOINTS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PATCH", "", {"count": 2}),
    ("DELETE", "", None),
    ("GET", "/events", None),
    ("GET", "/tasks", None),
]


@pytest.mark.parametrize(("method", "below", "body"), ENDPOINTS)
def test_another_owners_deployment_is_not_found(
    gateway: Gateway, method: str, below: str, body: Any
) -> None:
    deployment_id = stored_active(gateway)
    for reference in (deployment_id, "recommender"):
        answer = gateway.send(method, f"/deployments/{reference}{below}", body, caller="team-b")
        assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert record(deployment_id).status is Status.ACTIVE


def test_another_owners_list_does_not_show_the_deployment(gateway: Gateway) -> None:
    create(gateway)
    assert gateway.get("/deployments", caller="team-b").json["deployments"] == []


def test_an_admin_sees_the_deployments_of_all_owners(gateway: Gateway) -> None:
    deployment_id = create(gateway).json["id"]
    assert gateway.get(f"/deployments/{deployment_id}", caller="admin").status == 200
    [found] = gateway.get("/deployments", caller="admin").json["deployments"]
    assert found["id"] == deployment_id
    assert gateway.delete(f"/deployments/{deployment_id}", caller="admin").status == 202


@pytest.mark.parametrize(
    ("caller", "method", "path", "body"),
    [
        ("reader", "POST", "/deployments", body_of()),
        ("reader", "PATCH", f"/deployments/{ID}", {"count": 2}),
        ("reader", "DELETE", f"/deployments/{ID}", None),
        ("deployer", "GET", "/deployments", None),
        ("deployer", "GET", f"/deployments/{ID}", None),
        ("deployer", "GET", f"/deployments/{ID}/events", None),
        ("deployer", "GET", f"/deployments/{ID}/tasks", None),
    ],
)
def test_a_missing_scope_is_403(
    gateway: Gateway, caller: str, method: str, path: str, body: Any
) -> None:
    store.create(deployment_of())
    answer = gateway.send(method, path, body, caller=caller)
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert record(ID).version == 1


# --- update --------------------------------------------------------------------------------


def test_an_update_starts_a_new_execution(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    answer = gateway.patch(f"/deployments/{deployment_id}", {"count": 3})
    assert answer.status == 202
    body = answer.json
    assert (body["status"], body["generation"], body["spec"]["count"]) == ("UPDATING", 2, 3)
    assert body["operation"]["kind"] == "update"
    assert executions()[f"{deployment_id}-2"]["path"] == "converge"


def test_an_update_is_refused_while_an_operation_runs(gateway: Gateway) -> None:
    deployment_id = create(gateway).json["id"]
    answer = gateway.patch(f"/deployments/{deployment_id}", {"count": 3})
    assert (answer.status, answer.code) == (409, "OPERATION_IN_PROGRESS")


def test_an_update_of_a_deleted_deployment_is_refused(gateway: Gateway) -> None:
    answer = gateway.patch(f"/deployments/{stored_deleted(gateway)}", {"count": 3})
    assert (answer.status, answer.code) == (409, "INVALID_STATE")


@pytest.mark.parametrize("field", ["name", "architecture", "domain", "prot"])
def test_an_update_of_a_field_that_cannot_change_is_refused(gateway: Gateway, field: str) -> None:
    deployment_id = stored_active(gateway)
    answer = gateway.patch(f"/deployments/{deployment_id}", {field: 1})
    assert (answer.status, answer.fields) == (422, [field])


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_if_match_of_an_older_version_is_412(gateway: Gateway, method: str) -> None:
    deployment_id = stored_active(gateway)
    body = {"count": 2} if method == "PATCH" else None
    path = f"/deployments/{deployment_id}"
    answer = gateway.send(method, path, body, headers={"If-Match": '"1-1-0.00"'})
    assert (answer.status, answer.code) == (412, "PRECONDITION_FAILED")
    assert record(deployment_id).generation == 1
    etag = gateway.get(path).headers["etag"]
    assert gateway.send(method, path, body, headers={"If-Match": etag}).status == 202


def test_a_higher_cost_is_not_a_new_version(gateway: Gateway) -> None:
    path = f"/deployments/{stored_active(gateway)}"
    version = gateway.get(path).headers["etag"].strip('"').partition("-")[0]
    headers = {"If-Match": f'"{version}-99.99"'}
    assert gateway.patch(path, {"count": 2}, headers=headers).status == 202


def test_an_update_that_failed_to_start_starts_with_the_same_request(
    gateway: Gateway,
) -> None:
    deployment_id = stored_active(gateway)
    path = f"/deployments/{deployment_id}"
    aws_says.refuse("stepfunctions", "StartExecution", "ThrottlingException", times=1)
    assert gateway.patch(path, {"count": 3}).status == 503
    assert gateway.patch(path, {"count": 3}).status == 202
    assert record(deployment_id).spec.count == 3
    assert len(executions()) == 2


# --- delete --------------------------------------------------------------------------------


def test_a_delete_is_accepted_and_starts_an_execution(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    answer = gateway.delete(f"/deployments/{deployment_id}")
    assert (answer.status, answer.json["status"]) == (202, "DELETING")
    assert executions()[f"{deployment_id}-2"]["path"] == "destroy"


def test_deleting_twice_is_accepted_twice_and_started_once(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    first = gateway.delete(f"/deployments/{deployment_id}")
    second = gateway.delete(f"/deployments/{deployment_id}")
    assert first.status == second.status == 202
    assert second.json["generation"] == 2
    assert len(executions()) == 2


def test_deleting_a_deleted_deployment_is_accepted(gateway: Gateway) -> None:
    deployment_id = stored_deleted(gateway)
    answer = gateway.delete(f"/deployments/{deployment_id}")
    assert (answer.status, answer.json["status"]) == (202, "DELETED")
    assert "retry-after" not in answer.headers


def test_a_delete_stops_a_running_create(gateway: Gateway) -> None:
    deployment_id = create(gateway).json["id"]
    stopped = aws_says.watch("stepfunctions", "StopExecution")
    assert gateway.delete(f"/deployments/{deployment_id}").status == 202
    assert [call["executionArn"].rsplit(":", 1)[-1] for call in stopped] == [f"{deployment_id}-1"]


def test_a_create_that_cannot_be_stopped_is_deleted_anyway(gateway: Gateway) -> None:
    deployment_id = create(gateway).json["id"]
    aws_says.refuse("stepfunctions", "StopExecution", "ThrottlingException")
    assert gateway.delete(f"/deployments/{deployment_id}").status == 202
    assert f"{deployment_id}-2" in executions()


def test_a_teardown_that_failed_to_start_starts_with_the_next_delete(
    gateway: Gateway,
) -> None:
    deployment_id = stored_active(gateway)
    aws_says.refuse("stepfunctions", "StartExecution", "ThrottlingException", times=1)
    assert gateway.delete(f"/deployments/{deployment_id}").status == 503
    assert gateway.delete(f"/deployments/{deployment_id}").status == 202
    assert f"{deployment_id}-2" in executions()


# --- rollback and time to live -------------------------------------------------------------


def test_a_rollback_returns_to_the_previous_version(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    gateway.patch(f"/deployments/{deployment_id}", {"count": 2})
    store.update(deployment_id, lambda d: d.activate(MOMENT, 0.05))
    back = gateway.post(f"/deployments/{deployment_id}/rollback")
    assert (back.status, back.json["status"], back.json["spec"]["count"]) == (202, "UPDATING", 1)
    assert back.json["operation"]["kind"] == "rollback"
    assert sorted(executions())[-1] == f"{deployment_id}-3"


def test_a_rollback_of_the_first_version_is_refused(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    refused = gateway.post(f"/deployments/{deployment_id}/rollback")
    assert (refused.status, refused.json["code"]) == (409, "INVALID_STATE")


def test_a_rollback_that_cannot_start_changes_nothing(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    gateway.patch(f"/deployments/{deployment_id}", {"count": 2})
    store.update(deployment_id, lambda d: d.activate(MOMENT, 0.05))
    aws_says.refuse("stepfunctions", "StartExecution", "ThrottlingException", times=1)
    assert gateway.post(f"/deployments/{deployment_id}/rollback").status == 503
    assert (record(deployment_id).status, record(deployment_id).spec.count) == ("ACTIVE", 2)
    assert gateway.post(f"/deployments/{deployment_id}/rollback").status == 202


def test_a_pause_and_a_resume_are_operations(gateway: Gateway) -> None:
    path = f"/deployments/{stored_active(gateway)}"
    pausing = gateway.post(f"{path}/pause")
    assert (pausing.status, pausing.json["status"]) == (202, "UPDATING")
    assert pausing.json["operation"]["kind"] == "pause"
    assert gateway.post(f"{path}/pause").code == "OPERATION_IN_PROGRESS"
    store.update(pausing.json["id"], lambda d: d.activate(MOMENT, 0.03))
    assert [found["status"] for found in listed(gateway, "PAUSED")] == ["PAUSED"]
    again = gateway.post(f"{path}/pause")
    assert (again.status, again.code) == (409, "INVALID_STATE")
    assert "is already PAUSED: only an ACTIVE deployment can be paused." in again.json["detail"]
    resuming = gateway.post(f"{path}/resume")
    assert (resuming.status, resuming.json["operation"]["kind"]) == (202, "resume")
    assert sorted(executions())[1:] == [f"{pausing.json['id']}-{n}" for n in (2, 3)]


def listed(gateway: Gateway, status: str) -> list[Any]:
    return list(gateway.get("/deployments", query={"status": status}).json["deployments"])


def test_a_repeated_pause_with_the_same_key_gets_the_first_response(gateway: Gateway) -> None:
    path, key = f"/deployments/{stored_active(gateway)}/pause", {"Idempotency-Key": "ci-1"}
    first = gateway.post(path, headers=key)
    store.update(first.json["id"], lambda d: d.activate(MOMENT, 0.03))
    again = gateway.post(path, headers=key)
    assert (again.status, again.json) == (202, first.json)


@pytest.mark.parametrize("ending", ["pause", "resume"])
def test_a_pause_needs_the_scope_deploy(gateway: Gateway, ending: str) -> None:
    path = f"/deployments/{stored_active(gateway)}/{ending}"
    assert gateway.post(path, caller="reader").code == "FORBIDDEN"
    assert gateway.post(path, caller="team-b").code == "NOT_FOUND"


def test_a_pause_that_cannot_start_changes_nothing(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    aws_says.refuse("stepfunctions", "StartExecution", "ThrottlingException", times=1)
    assert gateway.post(f"/deployments/{deployment_id}/pause").status == 503
    assert (record(deployment_id).status, record(deployment_id).paused) == ("ACTIVE", False)
    assert gateway.post(f"/deployments/{deployment_id}/pause").status == 202


def test_the_expiry_is_shown_and_extended(gateway: Gateway) -> None:
    made = create(gateway, ttl="10m").json
    assert made["expires_at"] is not None
    extended = gateway.post(f"/deployments/{made['id']}/extend", {"ttl": "8h"})
    assert extended.status == 200
    assert extended.json["expires_at"] > made["expires_at"]
    assert extended.json["generation"] == made["generation"]
    assert extended.headers["etag"] == gateway.get(f"/deployments/{made['id']}").headers["etag"]


def test_a_deleted_deployment_cannot_be_extended(gateway: Gateway) -> None:
    deployment_id = stored_deleted(gateway)
    refused = gateway.post(f"/deployments/{deployment_id}/extend", {"ttl": "8h"})
    assert (refused.status, refused.json["code"]) == (409, "INVALID_STATE")


# --- retry ---------------------------------------------------------------------------------


def fail(deployment_id: str) -> None:
    store.update(deployment_id, lambda d: d.end_failed(MOMENT))


def test_a_failed_deployment_is_retried(gateway: Gateway) -> None:
    made = create(gateway).json
    fail(made["id"])
    again = gateway.post(f"/deployments/{made['id']}/retry")
    assert (again.status, again.json["status"], again.json["generation"]) == (202, "CREATING", 2)
    assert again.json["cost"]["usd_per_hour"] > 0
    assert sorted(executions()) == [f"{made['id']}-1", f"{made['id']}-2"]


def test_a_deployment_that_has_not_failed_cannot_be_retried(gateway: Gateway) -> None:
    made = create(gateway).json
    refused = gateway.post(f"/deployments/{made['id']}/retry")
    assert (refused.status, refused.json["code"]) == (409, "OPERATION_IN_PROGRESS")


def test_the_reconciler_starts_a_retry_that_failed_to_start(gateway: Gateway) -> None:
    made = create(gateway).json
    fail(made["id"])
    aws_says.refuse("stepfunctions", "StartExecution", "ThrottlingException", times=1)
    assert gateway.post(f"/deployments/{made['id']}/retry").status == 202
    assert sorted(executions()) == [f"{made['id']}-1"]
    started = {"source": "aws.events", "detail": {}}
    store.update(made["id"], lambda d: setattr(d, "updated_at", MOMENT))
    assert reconcile.run(started)["findings"]
    assert sorted(executions()) == [f"{made['id']}-1", f"{made['id']}-2"]


def test_a_change_of_a_failed_deployment_creates_it_again(gateway: Gateway) -> None:
    made = create(gateway).json
    fail(made["id"])
    headers = {"If-Match": gateway.get("/deployments/recommender").headers["etag"]}
    again = gateway.patch("/deployments/recommender", {"count": 3}, headers=headers)
    assert (again.status, again.json["status"], again.json["generation"]) == (202, "CREATING", 2)
    assert (again.json["outcome"], again.json["outcome_generation"]) == (None, 2)
    assert again.json["spec"]["count"] == 3
    assert again.json["cost"]["usd_per_hour"] > made["cost"]["usd_per_hour"]
    assert sorted(executions()) == [f"{made['id']}-1", f"{made['id']}-2"]
    late = gateway.patch(f"/deployments/{made['id']}", {"count": 4}, headers=headers)
    assert (late.status, late.json["code"]) == (412, "PRECONDITION_FAILED")
    assert gateway.patch(f"/deployments/{made['id']}", {"count": 4}).status == 409


def test_a_repeated_change_of_a_failed_deployment_starts_it_once(gateway: Gateway) -> None:
    made = create(gateway).json
    fail(made["id"])
    path, headers = f"/deployments/{made['id']}", {"Idempotency-Key": "fix-1"}
    first, second = (gateway.patch(path, {"port": 81}, headers=headers) for _ in range(2))
    assert (first.status, second.status, second.json) == (202, 202, first.json)
    assert sorted(executions()) == [f"{made['id']}-1", f"{made['id']}-2"]


def test_a_faulty_change_of_a_failed_deployment_is_refused(gateway: Gateway) -> None:
    made = create(gateway).json
    fail(made["id"])
    refused = gateway.patch(f"/deployments/{made['id']}", {"port": 0, "name": "other"})
    assert (refused.status, {each["field"] for each in refused.json["errors"]}) == (
        422,
        {"port", "name"},
    )
    assert record(made["id"]).status is Status.FAILED


def test_a_change_of_a_failed_deployment_is_subject_to_the_quota(gateway: Gateway) -> None:
    made = create(gateway).json

    def tear_down(deployment: Deployment) -> None:
        deployment.switch_path(Path.DESTROY, MOMENT)
        deployment.end_torn_down(MOMENT)

    store.update(made["id"], tear_down)
    refused = gateway.patch(
        f"/deployments/{made['id']}", {"cpu": 16384, "memory": 32768, "count": 10}
    )
    assert (refused.status, refused.json["code"]) == (429, "QUOTA_EXCEEDED")
    assert record(made["id"]).status is Status.FAILED


def test_the_reconciler_starts_a_changed_deployment_that_failed_to_start(gateway: Gateway) -> None:
    made = create(gateway).json
    fail(made["id"])
    aws_says.refuse("stepfunctions", "StartExecution", "ThrottlingException", times=1)
    assert gateway.patch(f"/deployments/{made['id']}", {"port": 81}).status == 202
    assert record(made["id"]).status is Status.CREATING
    store.update(made["id"], lambda d: setattr(d, "updated_at", MOMENT))
    assert reconcile.run({"source": "aws.events", "detail": {}})["findings"]
    assert sorted(executions()) == [f"{made['id']}-1", f"{made['id']}-2"]


@pytest.mark.parametrize("status", [Status.DELETED, Status.DELETE_FAILED])
def test_a_change_of_another_ended_deployment_is_refused(gateway: Gateway, status: Status) -> None:
    made = create(gateway).json
    store.update(made["id"], lambda d: setattr(d, "status", status))
    store.update(made["id"], lambda d: setattr(d.operation, "status", OperationStatus.FAILED))
    refused = gateway.patch(f"/deployments/{made['id']}", {"port": 81})
    assert (refused.status, refused.json["code"]) == (409, "INVALID_STATE")
    assert "only an ACTIVE, PAUSED or FAILED deployment can be updated" in refused.json["detail"]


# --- lists ---------------------------------------------------------------------------------


def test_the_list_comes_in_pages(gateway: Gateway) -> None:
    ids = [create(gateway, name=name).json["id"] for name in ("a", "b", "c")]
    first = gateway.get("/deployments", query={"limit": "2"}).json
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = gateway.get("/deployments", query=query).json
    found = [entry["id"] for page in (first, second) for entry in page["deployments"]]
    assert sorted(found) == sorted(ids)
    assert second["next_cursor"] is None


def test_the_list_is_filtered(gateway: Gateway) -> None:
    deleted = stored_deleted(gateway)
    alive = create(gateway, name="alive").json["id"]

    def ids(**query: str) -> list[str]:
        answer = gateway.get("/deployments", query=query)
        return [entry["id"] for entry in answer.json["deployments"]]

    assert ids() == [alive]
    assert sorted(ids(show_deleted="true")) == sorted([alive, deleted])
    assert ids(status="DELETED") == [deleted]
    assert ids(status="ACTIVE,FAILED") == []
    assert ids(name="alive") == [alive]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "-1"),
        ("limit", "+7"),
        ("limit", "1_0"),
        ("limit", ""),
        ("limit", "²"),
        ("cursor", "!"),
        ("cursor", "/w=="),
        ("status", "active"),
        ("status", ""),
        ("show_deleted", "yes"),
        ("unheard", "1"),
    ],
)
def test_a_bad_parameter_of_the_list_is_422(gateway: Gateway, name: str, value: str) -> None:
    answer = gateway.get("/deployments", query={name: value})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_FAILED", [name])


@pytest.mark.parametrize("limit", ["0000000505", "000000001" + "0" * 9])
def test_leading_zeros_do_not_bypass_the_limit(gateway: Gateway, limit: str) -> None:
    assert gateway.get("/deployments", query={"limit": limit}).status == 422


def test_a_repeated_parameter_is_422(gateway: Gateway) -> None:
    answer = gateway.get("/deployments", query={"limit": ["1", "2"]})
    assert (answer.status, answer.fields) == (422, ["limit"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/deployments", body_of()),
        ("GET", f"/deployments/{ID}", None),
        ("PATCH", f"/deployments/{ID}", {"count": 2}),
        ("DELETE", f"/deployments/{ID}", None),
        ("GET", f"/deployments/{ID}/events", None),
        ("GET", f"/deployments/{ID}/tasks", None),
    ],
)
def test_an_unknown_parameter_is_422(gateway: Gateway, method: str, path: str, body: Any) -> None:
    answer = gateway.send(method, path, body, query={"dry_run": "true"})
    assert (answer.status, answer.fields) == (422, ["dry_run"])


# --- events and tasks ----------------------------------------------------------------------


def test_events_are_listed_oldest_first_in_pages(gateway: Gateway) -> None:
    deployment_id = stored_active(gateway)
    path = f"/deployments/{deployment_id}/events"
    first = gateway.get(path, query={"limit": "1"}).json
    second = gateway.get(path, query={"cursor": first["next_cursor"]}).json
    events = [*first["events"], *second["events"]]
    assert [event["type"] for event in events] == ["deployment.creating", "deployment.active"]
    assert [event["sequence"] for event in events] == [1, 2]
    assert events[1]["at"] == "2026-11-24T09:30:00.000Z"
    assert second["next_cursor"] is None


@pytest.mark.parametrize("value", ["!", cursor("x"), cursor("-1"), ""])
def test_an_unknown_cursor_of_events_is_refused(gateway: Gateway, value: str) -> None:
    store.create(deployment_of())
    answer = gateway.get(f"/deployments/{ID}/events", query={"cursor": value})
    assert (answer.status, answer.fields) == (422, ["cursor"])


@pytest.mark.parametrize("value", ["²", "9" * 5000])
def test_a_cursor_that_is_not_a_number_is_422(gateway: Gateway, value: str) -> None:
    store.create(deployment_of())
    answer = gateway.get(f"/deployments/{ID}/events", query={"cursor": cursor(value)})
    assert answer.status == 422


def test_a_deployment_without_tasks_lists_none(gateway: Gateway) -> None:
    store.create(deployment_of())
    assert gateway.get(f"/deployments/{ID}/tasks").json == {"tasks": []}


def test_tasks_are_read_live(gateway: Gateway) -> None:
    store.create(active())
    details = [
        {"name": "networkInterfaceId", "value": "eni-1"},
        {"name": "privateIPv4Address", "value": "10.0.0.1"},
    ]
    task = {
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/x/0123",
        "lastStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "availabilityZone": "us-east-1a",
        "startedAt": MOMENT,
        "attachments": [{"type": "ElasticNetworkInterface", "details": details}],
    }
    lists = iter([[task["taskArn"]]])
    aws_says.answer("ecs", "ListTasks", lambda _: {"taskArns": next(lists, [])})
    aws_says.answer("ecs", "DescribeTasks", {"tasks": [task]})
    address = {"NetworkInterfaceId": "eni-1", "Association": {"PublicIp": "203.0.113.1"}}
    aws_says.answer("ec2", "DescribeNetworkInterfaces", {"NetworkInterfaces": [address]})
    found = {"TargetGroups": [{"TargetGroupArn": "arn:target"}]}
    aws_says.answer("elbv2", "DescribeTargetGroups", found)
    health = {"Target": {"Id": "10.0.0.1", "Port": 80}, "TargetHealth": {"State": "healthy"}}
    aws_says.answer("elbv2", "DescribeTargetHealth", {"TargetHealthDescriptions": [health]})
    assert gateway.get(f"/deployments/{ID}/tasks").json["tasks"] == [
        {
            "id": "0123",
            "status": "RUNNING",
            "health": "UNKNOWN",
            "target_health": "healthy",
            "public_ip": "203.0.113.1",
            "zone": "us-east-1a",
            "started_at": "2026-11-24T09:30:00.000Z",
            "stopped_reason": None,
        }
    ]


@pytest.mark.parametrize("action", ["retry", "rollback", "pause", "resume"])
def test_a_body_without_effect_is_refused(gateway: Gateway, action: str) -> None:
    path = f"/deployments/{stored_active(gateway)}/{action}"

    refused = gateway.post(path, {"image": IMAGE})

    assert (refused.status, refused.code) == (422, "VALIDATION_FAILED")
    assert refused.json["detail"] == "This endpoint takes no request body."
    assert gateway.post(path, {}).status != 422
