from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

import app
from chalicelib.domain import plan
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import (
    DeploymentFailed,
    FailureCode,
    NotReady,
    Retryable,
    StillProvisioning,
    Superseded,
    Throttled,
    WorkflowError,
)
from chalicelib.domain.operation import Path, StepStatus
from chalicelib.domain.parts import Prediction, Resource
from chalicelib.domain.record import Status
from chalicelib.platform import clock as clocks
from chalicelib.platform.settings import settings
from chalicelib.resources import dns_record
from chalicelib.store import deployments as store
from chalicelib.workflow import step, steps, teardown
from chalicelib.workflow.step import Outcome
from infra.template import function_config
from tests.support import aws_says
from tests.support.builders import ID, MOMENT, Clock, deployment_of, rolling_back
from tests.support.project import ROOT

pytestmark = pytest.mark.usefixtures("table")

STEP = "create_cluster"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(clocks, "now", stopped)
    return stopped


@pytest.fixture(autouse=True)
def created(clock: Clock, table: str) -> None:
    """The record of a deployment that is being created."""
    store.create(deployment_of())


def call(
    work: Callable[[Deployment], Outcome],
    name: str = STEP,
    generation: int = 1,
    path: str = "converge",
    request_id: str = "r1",
) -> dict[str, Any]:
    event = {"step": name, "deployment_id": ID, "generation": generation, "path": path}
    return step.run(event, request_id, work)


def record() -> Deployment:
    deployment = store.get(ID)
    assert deployment is not None
    return deployment


def events() -> list[tuple[str, str | None]]:
    found, _ = store.list_events(ID, limit=1000, after=0)
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    return [(event.type, event.step) for event in found]


def done(deployment: Deployment) -> Outcome:
    return Outcome(message="made", resources=[Resource(kind="cluster", name=ID, arn="arn")])


def never(deployment: Deployment) -> Outcome:
    raise AssertionError("the work must not be called")


def raises(error: Exception) -> Callable[[Deployment], Outcome]:
    def work(deployment: Deployment) -> Outcome:
        raise error

    return work


def client_error(code: str) -> ClientError:
    response = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}
    return ClientError(response, "CreateCluster")  # type: ignore[arg-type]


# --- success -------------------------------------------------------------------------------


def test_the_intent_is_recorded_before_the_work() -> None:
    seen: list[Deployment] = []

    def work(deployment: Deployment) -> Outcome:
        seen.append(record())
        return Outcome()

    call(work)
    [before] = seen
    assert before.operation.step(STEP).status == "running"
    assert list(before.in_flight) == [f"1/converge/{STEP}/r1"]


def test_the_outcome_is_recorded() -> None:
    assert call(done) == {"step": STEP, "status": "succeeded"}
    deployment = record()
    assert deployment.operation.step(STEP).message == "made"
    assert [(r.kind, r.name, r.created_at) for r in deployment.resources] == [
        ("cluster", ID, MOMENT)
    ]
    assert deployment.in_flight == {}
    assert events()[1:] == [("step.running", STEP), ("step.succeeded", STEP)]


def test_running_twice_records_the_outcome_once() -> None:
    call(done, request_id="r1")
    call(done, request_id="r2")
    deployment = record()
    assert len(deployment.resources) == 1
    assert events()[1:] == [("step.running", STEP), ("step.succeeded", STEP)]


def test_concurrent_runs_record_the_outcome_once() -> None:
    def work(deployment: Deployment) -> Outcome:
        call(done, request_id="r2")
        return done(deployment)

    call(work, request_id="r1")
    deployment = record()
    assert (len(deployment.resources), deployment.in_flight) == (1, {})
    assert events()[1:] == [("step.running", STEP), ("step.succeeded", STEP)]


def test_a_prediction_and_a_change_are_written_with_the_outcome() -> None:
    prediction = Prediction(path="/", status=200, latency_ms=3, sample="ok")

    def change(deployment: Deployment) -> None:
        deployment.url = "http://x"

    call(lambda deployment: Outcome(prediction=prediction, change=change))
    assert (record().prediction, record().url) == (prediction, "http://x")


def test_a_step_can_be_skipped() -> None:
    assert call(lambda deployment: Outcome(status=StepStatus.SKIPPED))["status"] == "skipped"
    assert record().operation.step(STEP).status == "skipped"


def test_rollback_steps_have_their_own_names() -> None:
    deployment = deployment_of("back-abcdef")
    store.create(deployment)
    turned = rolling_back(MOMENT)

    def change(stored: Deployment) -> None:
        stored.operation, stored.generation = turned.operation, turned.generation

    store.update("back-abcdef", change)
    event = {"step": STEP, "deployment_id": "back-abcdef", "generation": 2, "path": "rollback"}
    assert step.run(event, "r1", done)["step"] == f"rollback_{STEP}"


# --- superseded ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "path"), [(2, "converge"), (0, "converge"), (1, "destroy"), (1, "rollback")]
)
def test_a_superseded_step_does_not_start_its_work(
    generation: int, path: str, aws_calls: list[str]
) -> None:
    with pytest.raises(Superseded):
        call(never, generation=generation, path=path)
    assert {name.partition(".")[0] for name in aws_calls} == {"dynamodb"}
    assert events() == [("deployment.creating", None)]


def test_a_step_of_an_ended_operation_does_not_start_its_work() -> None:
    store.update(ID, lambda deployment: deployment.end_failed(MOMENT))
    with pytest.raises(Superseded):
        call(never)


def test_a_step_that_is_superseded_during_its_work_records_only_its_end() -> None:
    def work(deployment: Deployment) -> Outcome:
        store.update(ID, lambda other: other.delete(MOMENT))
        return done(deployment)

    with pytest.raises(Superseded):
        call(work)
    deployment = record()
    assert (deployment.status, deployment.resources) == (Status.DELETING, [])
    assert deployment.in_flight == {}
    assert ("step.succeeded", STEP) not in events()


def test_a_failure_of_superseded_work_is_not_recorded() -> None:
    def work(deployment: Deployment) -> Outcome:
        store.update(ID, lambda other: other.delete(MOMENT))
        raise NotReady("gone meanwhile")

    with pytest.raises(Superseded):
        call(work)
    assert (record().failure, record().in_flight) == (None, {})


def test_a_teardown_waits_for_a_step_of_the_cancelled_create() -> None:
    def create(deployment: Deployment) -> Outcome:
        store.update(ID, lambda other: other.delete(MOMENT))
        with pytest.raises(NotReady, match=r"1 cancelled step"):
            call(never, "delete_service", 2, "destroy", "r2")
        return done(deployment)

    with pytest.raises(Superseded):
        call(create)
    result = call(lambda deployment: Outcome(), "delete_service", 2, "destroy", "r3")
    assert result["status"] == "succeeded"


def test_a_teardown_does_not_wait_for_a_dead_function(clock: Clock) -> None:
    def change(deployment: Deployment) -> None:
        until = MOMENT + step.INVOCATION_LIMIT
        deployment.begin_step(STEP, f"1/converge/{STEP}/dead", until, MOMENT)
        deployment.delete(MOMENT)

    store.update(ID, change)
    with pytest.raises(NotReady):
        call(never, "delete_service", 2, "destroy")
    clock.advance(seconds=36)
    call(lambda deployment: Outcome(), "delete_service", 2, "destroy")
    assert record().in_flight == {}


def test_an_invocation_counts_as_dead_only_after_the_function_timeout() -> None:
    for name in plan.Function:
        assert step.INVOCATION_LIMIT.total_seconds() > function_config(ROOT, name)["lambda_timeout"]


# --- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [NotReady("provisioning"), StillProvisioning("provisioning")])
def test_the_reason_for_waiting_is_recorded(error: WorkflowError) -> None:
    with pytest.raises(type(error)):
        call(raises(error))
    found = record().operation.step(STEP)
    assert (found.status, found.message, found.attempts) == ("running", "provisioning", 1)
    assert record().in_flight == {}
    with pytest.raises(type(error)):
        call(raises(error), request_id="r2")
    assert record().operation.step(STEP).attempts == 2
    assert events()[1:] == [("step.running", STEP)]


def test_waiting_ends_at_the_deadline(clock: Clock) -> None:
    clock.moment = record().operation.deadline
    with pytest.raises(NotReady):
        call(raises(NotReady("provisioning", evidence={"seen": 1})))
    clock.advance(seconds=1)
    with pytest.raises(DeploymentFailed) as raised:
        call(raises(NotReady("provisioning")))
    assert raised.value.code is FailureCode.DEADLINE_EXCEEDED
    failure = record().failure
    assert failure is not None
    assert (failure.code, failure.step) == ("DEADLINE_EXCEEDED", STEP)
    assert failure.evidence == {"waiting_for": "provisioning", "seen": 1}
    assert record().operation.step(STEP).status == "failed"


def test_a_step_that_succeeds_after_the_deadline_has_succeeded(clock: Clock) -> None:
    clock.advance(hours=2)
    assert call(done)["status"] == "succeeded"


def test_a_failure_is_recorded_with_hint_and_evidence() -> None:
    error = DeploymentFailed(
        FailureCode.IMAGE_NOT_FOUND, "It is not there.", hint="Push it.", evidence={"a": 1}
    )
    with pytest.raises(DeploymentFailed):
        call(raises(error))
    failure = record().failure
    assert failure is not None
    assert failure.model_dump() == {
        "code": "IMAGE_NOT_FOUND",
        "step": STEP,
        "message": "It is not there.",
        "hint": "Push it.",
        "evidence": {"a": 1},
    }
    assert events()[-1] == ("step.failed", STEP)
    assert record().operation.status == "running"


def test_an_unexpected_exception_is_internal() -> None:
    with pytest.raises(DeploymentFailed, match="ZeroDivisionError") as raised:
        call(raises(ZeroDivisionError("division by zero")))
    assert raised.value.code is FailureCode.INTERNAL
    failure = record().failure
    assert failure is not None
    assert failure.code == "INTERNAL"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("ThrottlingException"), Throttled),
        (client_error("RequestLimitExceeded"), Throttled),
        (client_error("ServerException"), Retryable),
        (ReadTimeoutError(endpoint_url="https://aws.example"), Retryable),
        (client_error("AccessDeniedException"), DeploymentFailed),
    ],
)
def test_aws_errors_become_workflow_errors(error: Exception, expected: type[WorkflowError]) -> None:
    with pytest.raises(expected) as raised:
        call(raises(error))
    assert type(raised.value) is expected


def test_a_throttled_write_of_the_record_is_throttled() -> None:
    aws_says.refuse("dynamodb", "GetItem", "ThrottlingException")
    with pytest.raises(Throttled):
        call(never)


def test_a_step_of_a_withdrawn_record_is_superseded() -> None:
    store.discard(record())
    with pytest.raises(Superseded):
        call(never)


# --- the functions ---------------------------------------------------------------------------


class Context:
    aws_request_id = "r1"


def test_every_planned_step_has_its_work_and_every_kind_its_check() -> None:
    assert steps.WORK.keys() == plan.STEPS.keys()
    assert {*teardown.EXISTS, dns_record.KIND} == teardown.STEP_OF_KIND.keys()


def test_a_function_runs_only_its_own_steps() -> None:
    event = {"step": STEP, "deployment_id": ID, "generation": 1, "path": "converge"}
    assert app.cluster(event, Context())["status"] == "succeeded"
    with pytest.raises(KeyError, match="create_cluster is a step of cluster, not of network"):
        app.network(event, Context())


@pytest.mark.parametrize("path", list(Path))
def test_a_call_parses_every_path(path: Path) -> None:
    event = {"step": STEP, "deployment_id": ID, "generation": "3", "path": str(path)}
    parsed = step.Call.parse(event, "r9")
    assert (parsed.generation, parsed.path) == (3, path)
    assert parsed.invocation.startswith(f"3/{path}/")


def denied(message: str, operation: str = "ModifyTargetGroup") -> ClientError:
    error = {"Code": "AccessDenied", "Message": message}
    return ClientError({"Error": error}, operation)


def test_a_denied_call_on_our_new_resource_is_transient_for_a_minute(clock: Clock) -> None:
    error = denied(f"not authorized on resource: arn:aws:elasticloadbalancing:x:targetgroup/{ID}/1")
    with pytest.raises(Retryable, match="tags of a new resource"):
        call(raises(error))

    clock.advance(seconds=61)

    with pytest.raises(DeploymentFailed, match="AWS_ACCESS_DENIED"):
        call(raises(error))


@pytest.mark.parametrize(
    "error",
    [
        denied("not authorized on resource: arn:aws:iam::123456789012:role/other"),
        denied(f"not authorized to perform: iam:PassRole for {ID}"),
        denied(f"not authorized on resource: {ID}", "CreateCluster"),
    ],
)
def test_a_denial_that_no_tag_can_lift_is_a_failure_at_once(error: Exception) -> None:
    with pytest.raises(DeploymentFailed, match="AWS_ACCESS_DENIED"):
        call(raises(error))


def test_an_unknown_text_of_aws_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DeploymentFailed, match="AWS_REFUSED"):
        call(raises(client_error("OddException")))
    logged = [entry for entry in caplog.records if entry.message == "unknown AWS text"]
    assert [vars(entry)["aws_text"].partition(":")[0] for entry in logged] == ["OddException"]


@pytest.mark.parametrize(
    ("scale", "message", "is_scaled"),
    [
        ("0.1", "GET / on port 80 had no response within 4 s.", True),
        ("0.1", "The container exited with exit code 1.", False),
        ("1", "GET / on port 80 had no response within 4 s.", False),
    ],
)
def test_a_failure_with_durations_says_that_a_local_stack_scales_times(
    monkeypatch: pytest.MonkeyPatch, scale: str, message: str, is_scaled: bool
) -> None:
    monkeypatch.setenv("TIME_SCALE", scale)
    settings.cache_clear()
    error = DeploymentFailed(FailureCode.HEALTH_CHECK_FAILED, message, hint="Check `port`.")
    hint = step.failure_of("await_ready", error).hint
    scaled = "Check `port`. This local stack scales the waits of AWS by 0.1."
    assert hint == (scaled if is_scaled else "Check `port`.")
