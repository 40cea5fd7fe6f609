"""The replies in plain text, made from the API's documents."""

import re
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.api import resource
from chalicelib.chat import text
from chalicelib.chat.commands import CHANGES
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import (
    InvalidState,
    NameTaken,
    NotFound,
    OperationInProgress,
    QuotaExceeded,
    ValidationFailed,
)
from chalicelib.domain.operation import OperationStatus
from chalicelib.domain.parts import Leftover, Prediction, Resource
from chalicelib.domain.record import Status
from tests.support.builders import (
    MOMENT,
    active,
    deployment_of,
    failed,
    failure_of,
    in_status,
    seen,
)

ID = "recommender-abcdef"
COST = "Cost: USD 0.0400 per hour, USD 0.00 so far"


def status_lines(deployment: Deployment) -> list[str]:
    return text.status(resource.render(deployment, MOMENT)).splitlines()


def test_a_running_operation_shows_percent_and_step() -> None:
    deployment = deployment_of()
    deployment.finish_step("resolve_image", MOMENT)
    deployment.begin_step("create_load_balancer", "x", MOMENT, MOMENT)
    deployment.describe_step("create_load_balancer", "provisioning\nstill", {})
    first, cost = status_lines(deployment)
    assert first == f"recommender ({ID}) is CREATING: 6 %, create_load_balancer provisioning still"
    assert cost.startswith("Cost: ")


def test_no_step_is_shown_before_the_first_one() -> None:
    assert status_lines(deployment_of())[0] == f"recommender ({ID}) is CREATING: 0 %"


def test_an_active_deployment_shows_url_sample_cost_and_expiry() -> None:
    deployment = active(ttl="8h")
    deployment.url = "http://recommender.example"
    deployment.prediction = Prediction(
        path="/?uid=20", status=200, latency_ms=12, sample='{"items":\n [1, 2]}'
    )
    assert status_lines(deployment) == [
        f"recommender ({ID}) is ACTIVE.",
        "URL: http://recommender.example",
        'Sample: GET /?uid=20 returned 200 in 12 ms: {"items": [1, 2]}',
        "Health: healthy, 1 of 1 tasks serve",
        COST,
        "Expires: 2026-11-24 17:30 UTC",
    ]


def test_the_sample_has_the_method_of_the_smoke_test() -> None:
    deployment = active(smoke_test={"path": "/predict", "method": "POST", "body": {"uid": 20}})
    deployment.prediction = Prediction(path="/predict", status=200, latency_ms=12, sample="{}")
    assert "Sample: POST /predict returned 200 in 12 ms: {}" in status_lines(deployment)


@pytest.mark.parametrize("verb", ["update", "scale"])
def test_a_change_of_a_failed_deployment_deploys_it_again(verb: str) -> None:
    reply = text.accepted(verb, resource.render(deployment_of(), MOMENT))
    assert reply.startswith(f"Deploying recommender ({ID}). This takes about 3 minutes.")


def test_a_failed_deployment_shows_reason_hint_and_commands() -> None:
    assert status_lines(failed())[:4] == [
        f"recommender ({ID}) is FAILED.",
        "IMAGE_NOT_FOUND in step resolve_image: it is not there",
        "What to do: push it",
        "To retry with the same image and settings: `retry recommender`. To deploy again "
        "with other settings: `update recommender image=… port=…`",
    ]


def test_a_failed_deployment_without_resources_has_no_expiry_and_no_rate() -> None:
    deployment = failed()
    deployment.set_expiry("8h", MOMENT)
    deployment.resources = [Resource(kind="cluster", name=ID, verified_gone=True)]
    assert status_lines(deployment)[-1] == "Cost: USD 0.00 so far"
    deployment.resources[0].verified_gone = False  # `on_failure` is `keep`
    assert status_lines(deployment)[-1].startswith("Expires: ")


def test_an_unhealthy_deployment_says_why_and_what_to_do() -> None:
    deployment = active(count=2)
    deployment.record_health(seen(MOMENT, 1, 2), MOMENT)
    assert status_lines(deployment) == [
        f"recommender ({ID}) is ACTIVE.",
        "Health: degraded, 1 of 2 tasks serve, since 2026-11-24 09:30 UTC",
        "CONTAINER_EXITED: it is not there",
        "What to do: push it",
        COST,
    ]
    [line] = text.listed([resource.render(deployment, MOMENT)], more=False).splitlines()
    assert "ACTIVE degraded" in line


def test_a_failed_update_does_not_look_like_a_success() -> None:
    deployment = active()
    deployment.update(deployment.spec, MOMENT, new_image=False)
    deployment.fail("await_ready", failure_of("await_ready"), MOMENT)
    deployment.operation.status, deployment.status = OperationStatus.ROLLED_BACK, Status.ACTIVE
    first, failure, *_ = status_lines(deployment)
    assert first == f"recommender ({ID}) is ACTIVE, but its update failed and was rolled back."
    assert failure.startswith("IMAGE_NOT_FOUND in step await_ready")
    assert not any("retry" in line for line in status_lines(deployment))


def test_a_deleted_deployment_shows_its_receipt() -> None:
    deployment = in_status(Status.DELETED)
    deployment.resources = [Resource(kind="cluster", name=ID, verified_gone=True)]
    assert status_lines(deployment)[0] == (
        f"recommender ({ID}) is DELETED (since 2026-11-24 09:30 UTC). "
        "1 of 1 resources verified gone."
    )


def test_leftovers_of_a_delete_are_listed() -> None:
    deployment = in_status(Status.DELETE_FAILED)
    deployment.failure = failed().failure
    deployment.leftovers = [Leftover(kind="load_balancer", name=ID, reason="in use")]
    lines = status_lines(deployment)
    assert f"Not deleted: load_balancer {ID} (in use)" in lines
    assert "To retry: `retry recommender`" in lines


@pytest.mark.parametrize("verb", ["update", "scale"])
def test_a_change_without_effect_says_so(verb: str) -> None:
    reply = text.accepted(verb, resource.render(active(), MOMENT))
    assert reply == f"recommender ({ID}) already has these settings. Nothing was changed."


@pytest.mark.parametrize("verb", sorted(set(CHANGES) - {"extend"}))
def test_each_accepted_change_says_how_to_see_the_progress(verb: str) -> None:
    serving = in_status(Status.UPDATING)
    serving.resources = [Resource(kind="cluster", name=ID)]
    reply = text.accepted(verb, resource.render(serving, MOMENT))
    ask = ID if verb == "delete" else "recommender"
    assert f"recommender ({ID}). This takes about" in reply
    assert reply.endswith(f"To see the progress: `status {ask}`")


def test_an_accepted_deploy_has_one_line() -> None:
    assert text.accepted("deploy", resource.render(deployment_of(), MOMENT)) == (
        f"Deploying recommender ({ID}). This takes about 3 minutes. "
        "To see the progress: `status recommender`"
    )


def test_a_delete_of_a_deployment_without_resources_names_no_minutes() -> None:
    deployment = failed()
    deployment.resources = [Resource(kind="cluster", name=ID, verified_gone=True)]
    reply = text.accepted("delete", resource.render(deployment, MOMENT))
    assert reply == f"Deleting recommender ({ID}). To see the progress: `status {ID}`"


def test_an_extension_shows_the_new_expiry() -> None:
    deployment = active()
    deployment.extend("8h", MOMENT)
    reply = text.accepted("extend", resource.render(deployment, MOMENT))
    assert reply == f"recommender ({ID}) now expires at 2026-11-24 17:30 UTC."


def test_a_repeated_delete_says_so() -> None:
    reply = text.accepted("delete", resource.render(in_status(Status.DELETED), MOMENT))
    assert reply.startswith(f"recommender ({ID}) is already deleted.")


def test_a_list_has_a_line_for_each_deployment() -> None:
    serving = active("first-abcdef")
    serving.url = "http://first.example"
    documents = [resource.render(each, MOMENT) for each in (serving, deployment_of())]
    assert text.listed(documents, more=False).splitlines() == [
        "first ACTIVE http://first.example USD 0.0400/h",
        "recommender CREATING 0 %",
    ]
    for_admin = text.listed(documents, more=True, with_owner=True).splitlines()
    assert for_admin[0].startswith("first (team-a, first-abcdef) ACTIVE")
    assert for_admin[-1] == "Older deployments are not shown."


def test_an_empty_list_shows_how_to_deploy() -> None:
    assert (
        text.listed([], more=False) == "There are no deployments. To create one: `deploy <image>`"
    )


def test_logs_are_the_last_lines_that_fit() -> None:
    lines: list[dict[str, Any]] = [
        {"at": f"2026-11-24T09:30:{second:02}.000Z", "task": "t", "message": f"line {second}"}
        for second in range(30)
    ]
    lines[-1]["message"] = "x" * 1000
    head, *shown = text.logged("recommender", lines).splitlines()
    assert head == "The last log lines of recommender (times in UTC):"
    assert shown[0] == "09:30:10 line 10"
    assert shown[-1] == f"09:30:29 {'x' * text.MOST_LINE}…"
    assert text.logged("recommender", []) == "recommender has no log lines."


def test_a_refusal_shows_each_fault_and_the_fix() -> None:
    faults = [
        {"field": "port", "message": "must be 1 to 65535"},
        {"field": "cpu", "message": "must be one of 256"},
    ]
    refusal = ValidationFailed("The body has 2 faults", errors=faults)
    assert text.refused(refusal, "deploy", None, []).splitlines() == [
        "port must be 1 to 65535",
        "cpu must be one of 256",
        "Correct this and send the command again. To see the options: `help deploy`",
    ]


def test_autoscaling_is_mentioned_only_if_it_is_the_cause() -> None:
    def refusal_of(message: str) -> str:
        refusal = ValidationFailed("1 fault", errors=[{"field": "count", "message": message}])
        return text.refused(refusal, "scale", "x", [])

    assert "`update x scaling.max=5`" in refusal_of("cannot be combined with scaling")
    assert "scaling" not in refusal_of("must be at most 10")


def test_other_refusals_have_the_apis_detail() -> None:
    reply = text.refused(InvalidState("x is FAILED"), "pause", "x", [])
    assert reply == "x is FAILED\nTo see the details: `status x`"
    reply = text.refused(NotFound("There is no x"), "pause", "x", ["xy"])
    assert reply == "There is no x\nDid you mean `xy`?"
    reply = text.refused(QuotaExceeded("too many. Delete one."), "deploy", None, [])
    assert reply == "too many. Delete one."


def test_the_prefix_is_before_every_command() -> None:
    document = resource.render(failed(), MOMENT)
    lost, taken = NotFound("no x"), NameTaken("x is taken")
    unfit = ValidationFailed("1 fault", errors=[{"field": "count", "message": "must be 1"}])
    reply = [
        text.accepted("retry", document, prefix="/slipway "),
        text.status(document, prefix="/slipway "),
        text.listed([], more=False, prefix="/slipway "),
        *(
            text.refused(refusal, verb, "x", [], prefix="/slipway ")
            for refusal in (lost, taken, unfit, InvalidState("x"), OperationInProgress("x"))
            for verb in ("deploy", "scale")
        ),
    ]
    for each in reply:
        commands = re.findall("`([^`]*)`", each)
        assert commands and all(found.startswith("/slipway ") for found in commands), each


def test_times_are_in_utc() -> None:
    deployment = active()
    deployment.expires_at = MOMENT + timedelta(days=40)
    assert status_lines(deployment)[-1] == "Expires: 2027-01-03 09:30 UTC"
