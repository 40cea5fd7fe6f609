"""Commands run the API's use cases, with moto's table and state machine."""

import re
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.chat import commands
from chalicelib.chat.commands import CHANGES, READS, Reply
from chalicelib.chat.grammar import Command, parse
from chalicelib.chat.verbs import VERBS
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import AwsUnavailable
from chalicelib.domain.operation import CONVERGE_STEPS
from chalicelib.domain.record import Status
from chalicelib.platform import aws
from chalicelib.resources import log_group
from chalicelib.resources.task_definition import log_stream
from chalicelib.store import deployments as store
from chalicelib.store import idempotency
from chalicelib.store.tokens import Caller
from tests.support import aws_says
from tests.support.builders import IMAGE, MOMENT, failure_of
from tests.support.gateway import Gateway

ANN = Caller("team-a", frozenset({"read", "deploy"}), "tok_a")
BOB = Caller("team-b", frozenset({"read", "deploy"}), "tok_b")
READER = Caller("team-a", frozenset({"read"}), "tok_r")
DEPLOYER = Caller("team-a", frozenset({"deploy"}), "tok_d")
ADMIN = Caller("platform", frozenset({"admin"}), "tok_p")


@pytest.fixture(autouse=True)
def account(gateway: Gateway) -> None:
    """The table and the state machine."""


def say(text: str, caller: Caller = ANN, key: str | None = None) -> Reply:
    command = parse(text)
    assert isinstance(command, Command), command
    return commands.run(command, caller, key=key)


def record(reply: Reply) -> Deployment:
    assert reply.deployment, reply.text
    found = store.get(reply.deployment["id"])
    assert found
    return found


def serving(text: str = f"deploy {IMAGE} name=rec") -> Deployment:
    """Deployed and ACTIVE."""

    def finish(deployment: Deployment) -> None:
        for name in CONVERGE_STEPS:
            deployment.finish_step(name, MOMENT)
        deployment.activate(MOMENT, 0.04)

    return store.update(record(say(text)).id, finish)


def executions() -> list[str]:
    states = aws.client("stepfunctions")
    [machine] = states.list_state_machines()["stateMachines"]
    started = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return sorted(each["name"] for each in started)


def test_every_verb_is_executed() -> None:
    assert set(CHANGES) | set(READS) == set(VERBS)


# --- changes ---------------------------------------------------------------------------------


def test_a_deploy_starts_as_over_http() -> None:
    reply = say(f"deploy {IMAGE} port=8080 environment.MODE=x ttl=8h")
    assert not reply.refused
    made = record(reply)
    assert (made.name, made.owner, made.status) == ("recommend", "team-a", Status.CREATING)
    assert (made.spec.port, made.spec.environment, made.spec.ttl) == (8080, {"MODE": "x"}, "8h")
    assert executions() == [f"{made.id}-1"]
    assert reply.text.startswith(f"Deploying recommend ({made.id}).")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("scale rec 3", "update"),
        ("update rec port=81", "update"),
        ("pause rec", "pause"),
        ("delete rec", "delete"),
    ],
)
def test_a_change_starts_its_operation(text: str, kind: str) -> None:
    serving()
    reply = say(text)
    changed = record(reply)
    assert (changed.operation.kind, changed.operation.status) == (kind, "running")
    assert f"{changed.id}-2" in executions()
    assert reply.deployment and reply.deployment["operation"]["kind"] == kind


def test_pause_resume_update_and_rollback_follow_each_other() -> None:
    def settle() -> None:
        store.update(made.id, lambda d: d.activate(MOMENT, 0.04))

    made = serving()
    for text, kind in (
        ("pause rec", "pause"),
        ("resume rec", "resume"),
        ("update rec port=81", "update"),
        ("rollback rec", "rollback"),
    ):
        assert record(say(text)).operation.kind == kind
        settle()


def test_a_failed_deployment_is_retried() -> None:
    made = record(say(f"deploy {IMAGE} name=rec"))

    def fail(deployment: Deployment) -> None:
        deployment.fail("resolve_image", failure_of("resolve_image"), MOMENT)
        deployment.end_failed(MOMENT)

    store.update(made.id, fail)
    assert "To retry with the same image and settings: `retry rec`." in say("status rec").text
    # Each refusal names the command that helps.
    assert f"{made.id}, which is FAILED. Delete it first" in say(f"deploy {IMAGE} name=rec").text
    assert "use PATCH (`update` in a chat)" in say(f"deploy {IMAGE} name=rec").text
    assert record(say("retry rec")).status is Status.CREATING


def test_an_update_of_a_failed_deployment_creates_it_again() -> None:
    made = record(say(f"deploy {IMAGE} name=rec environment.MODE=x"))
    store.update(made.id, lambda deployment: deployment.end_failed(MOMENT))
    again = record(say("update rec port=81 environment.LEVEL=y"))
    assert (again.status, again.spec.port) == (Status.CREATING, 81)
    assert again.spec.environment == {"MODE": "x", "LEVEL": "y"}
    store.update(made.id, lambda deployment: deployment.end_failed(MOMENT))
    assert record(say("scale rec 2")).status is Status.CREATING


def test_an_extension_takes_effect_immediately() -> None:
    serving()
    reply = say("extend rec 8h")
    assert record(reply).expires_at
    assert "now expires at" in reply.text


def test_an_update_keeps_the_fields_that_it_does_not_set() -> None:
    made = serving(
        f"deploy {IMAGE} name=rec environment.A=1 environment.B=2 health_check.path=/health "
        "health_check.interval=30 tags.team=a"
    )
    reply = say("update rec environment.B=3 environment.C=4 health_check.timeout=9")
    spec = record(reply).spec
    assert spec.environment == {"A": "1", "B": "3", "C": "4"}
    checked = spec.health_check
    assert (checked.path, checked.interval, checked.timeout) == ("/health", 30, 9)
    assert spec.tags == made.spec.tags


def test_an_update_applies_to_the_latest_version() -> None:
    """Between the command's read and its write, another request changes the deployment once."""
    serving(f"deploy {IMAGE} name=rec environment.A=1")
    found = store.id_of_name("team-a", "rec")
    assert found
    left = [1]

    def interfere(**_: Any) -> None:
        if left and left.pop():
            store.update(found, change)

    def change(deployment: Deployment) -> None:
        spec = deployment.spec.model_copy(update={"environment": {"A": "5"}})
        deployment.update(spec, MOMENT, new_image=False)
        deployment.activate(MOMENT, 0.04)

    events = aws.client("dynamodb").meta.events
    events.register_first("provide-client-params.dynamodb.TransactWriteItems", interfere)
    reply = say("update rec environment.B=2")
    assert record(reply).spec.environment == {"A": "5", "B": "2"}


# --- reads -----------------------------------------------------------------------------------


def test_a_status_has_the_apis_document_and_a_text() -> None:
    made = serving()
    reply = say("status rec")
    assert reply.deployment and reply.deployment["id"] == made.id
    assert reply.text.startswith(f"rec ({made.id}) is ACTIVE.")
    assert say(f"status {made.id}").deployment == reply.deployment


def test_a_status_without_a_name_shows_the_only_deployment_or_the_list() -> None:
    assert say("status").text == "There are no deployments. To create one: `deploy <image>`"
    made = serving()
    only = say("status")
    assert only.deployment and only.deployment["id"] == made.id
    say(f"deploy {IMAGE} name=other")
    both = say("status")
    assert both.deployment is None
    assert [each["name"] for each in both.deployments or []] == ["other", "rec"]


def test_a_list_shows_only_the_callers_deployments() -> None:
    serving()
    reply = say("list")
    assert [each["name"] for each in reply.deployments or []] == ["rec"]
    assert say("list", BOB).deployments == []
    assert "(team-a, rec-" in say("list", ADMIN).text


def test_help_needs_no_call(aws_calls: list[str]) -> None:
    assert "`scale <name> <n>`" in say("help").text
    assert "For example: `scale recommender 3`" in say("help scale").text
    assert aws_calls == []


def write(deployment: Deployment, count: int, minutes_ago: int) -> None:
    logs, group = aws.client("logs"), log_group.name_of(deployment.id)
    log_group.ensure(deployment)
    stream = log_stream(f"{minutes_ago:032x}")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    from chalicelib.platform.clock import now

    start = round(now().timestamp() * 1000) - minutes_ago * 60_000
    events = [{"timestamp": start + at, "message": f"line {at}"} for at in range(count)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


@pytest.mark.parametrize("minutes_ago", [1, 120])
def test_logs_are_the_last_lines(minutes_ago: int) -> None:
    made = serving()
    write(made, 2500, minutes_ago)
    reply = say("logs rec")
    messages = [line["message"] for line in reply.lines or []]
    assert messages == [f"line {at}" for at in range(2480, 2500)]
    assert reply.text.endswith("line 2499")


def test_logs_of_a_verbose_deployment_are_also_the_last_lines() -> None:
    made = serving()
    write(made, 9000, 10)
    write(made, 30, 0)
    reply = say("logs rec")
    messages = [line["message"] for line in reply.lines or []]
    assert messages == [f"line {at}" for at in range(10, 30)]


def test_few_recent_lines_are_joined_to_earlier_ones() -> None:
    made = serving()
    write(made, 30, 10)
    write(made, 2, 0)
    reply = say("logs rec")
    messages = [line["message"] for line in reply.lines or []]
    assert messages == [*(f"line {at}" for at in range(12, 30)), "line 0", "line 1"]


def test_a_deployment_without_logs_has_no_lines() -> None:
    serving()
    reply = say("logs rec")
    assert (reply.lines, reply.text) == ([], "rec has no log lines.")


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "status rec",
        "update rec port=81",
        "update rec environment.A=1",
        "scale rec 3",
        "pause rec",
        "resume rec",
        "rollback rec",
        "retry rec",
        "extend rec 8h",
        "logs rec",
        "delete rec",
    ],
)
def test_another_owners_deployment_is_not_found(text: str) -> None:
    made = serving()
    for name in ("rec", made.id):
        reply = say(text.replace("rec", name, 1), BOB)
        assert reply.refused and reply.deployment is None
        fix = "To see your deployments: `list`"
        assert reply.text == f"There is no deployment {name}.\n{fix}"
    assert store.get(made.id) == made


def test_a_similar_name_is_suggested() -> None:
    made = serving()
    assert say("pause rce").text == "There is no deployment rce.\nDid you mean `rec`?"
    assert f"Did you mean `{made.id}`?" in say("pause re", ADMIN).text


def test_an_admin_gets_the_ids_of_other_owners_deployments_of_this_name() -> None:
    made = {record(say(f"deploy {IMAGE} name=rec", caller)).id for caller in (BOB, ANN)}
    _, meant, why = say("status rec", ADMIN).text.splitlines()
    assert set(re.findall("`([^`]*)`", meant)) == made
    assert why == "To name another owner's deployment, use its ID."
    assert say("status nothing", ADMIN).text.endswith(
        "To name another owner's deployment, use its ID."
    )
    assert "another owner's deployment" not in say("status nothing").text


def test_each_fault_has_its_own_line() -> None:
    reply = say("deploy nginx port=0 cpu=3")
    assert reply.refused
    lines = reply.text.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["image", "port", "cpu"]
    assert "Example: 123456789012.dkr.ecr" in lines[0]
    assert lines[-1].startswith("Correct this")


def test_a_missing_scope_is_reported() -> None:
    serving()
    assert say("pause rec", READER).text == "This token does not have the scope deploy."
    assert say("status rec", DEPLOYER).text == "This token does not have the scope read."
    # The reply does not reveal any names.
    assert "Did you mean" not in say("pause rce", DEPLOYER).text
    assert say("status rec", READER).refused is False


def test_a_wrong_status_is_reported() -> None:
    made = serving()
    assert say("resume rec").text == (
        f"{made.id} is already ACTIVE: only a PAUSED deployment can be resumed.\n"
        "To see the details: `status rec`"
    )
    say("pause rec")
    assert "wait until its pause has ended" in say("scale rec 3").text


def test_an_exceeded_quota_is_reported_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.platform.settings import settings

    monkeypatch.setenv("MAX_DEPLOYMENTS_PER_OWNER", "1")
    settings.cache_clear()
    serving()
    reply = say(f"deploy {IMAGE} name=more")
    assert reply.refused
    assert "The quota of team-a is 1 deployments (1 used" in reply.text
    assert "Delete or scale down deployments" in reply.text


def test_a_scale_of_an_autoscaled_deployment_gets_a_hint() -> None:
    serving(
        f"deploy {IMAGE} name=rec scaling.min=1 scaling.max=3 scaling.metric=cpu scaling.target=60"
    )
    reply = say("scale rec 3")
    assert reply.refused
    assert "`update rec scaling=none count=3`" in reply.text
    wider = say("update rec scaling.max=5")
    scaling = record(wider).spec.scaling
    assert scaling and (scaling.min, scaling.max, scaling.target) == (1, 5, 60)


# --- repeated commands, and unavailable AWS --------------------------------------------------


def test_with_a_key_a_command_takes_effect_once() -> None:
    first = say(f"deploy {IMAGE}", key="k1")
    again = say(f"deploy {IMAGE}", key="k1")
    assert again == first
    assert executions() == [f"{record(first).id}-1"]
    serving(f"deploy {IMAGE} name=rec environment.A=1")
    changed = say("update rec environment.B=2", key="k2")
    # The fields that it does not set have changed, but it is still the same command.
    assert say("update rec environment.B=2", key="k2") == changed


def test_without_a_key_it_is_another_command() -> None:
    say(f"deploy {IMAGE}")
    refusal = say(f"deploy {IMAGE}").text
    assert "team-a already has a deployment named recommend: recommend-" in refusal
    assert ", which is CREATING. Delete it first" in refusal


def test_while_another_run_is_at_work_a_retry_is_requested() -> None:
    """The worker's first run may have died, so the user gets no message yet."""

    def meanwhile() -> idempotency.Result:
        with pytest.raises(AwsUnavailable):
            say(f"deploy {IMAGE}", key="k")
        return idempotency.Result({})

    idempotency.once(ANN.owner, "k", None, meanwhile)


def test_a_reply_stored_by_the_previous_version_is_repeated() -> None:
    """It stored the API's whole response under the fingerprint of the API's request."""
    made = serving()
    kept = {"status": 202, "body": say("status rec").deployment, "headers": {"ETag": "x"}}
    idempotency.once(ANN.owner, "k", "of a request", lambda: idempotency.Result(kept))
    reply = say("pause rec", key="k")
    assert reply.deployment == kept["body"]
    assert store.get(made.id) == made


@pytest.mark.parametrize("text", ["list", f"deploy {IMAGE}", "status rec", "pause rce"])
def test_unavailable_aws_raises_an_error(text: str) -> None:
    aws_says.refuse("dynamodb", "Query", "ThrottlingException")
    aws_says.refuse("dynamodb", "GetItem", "ThrottlingException")
    with pytest.raises(AwsUnavailable):
        say(text)


def test_a_failed_start_raises_an_error_and_leaves_nothing() -> None:
    lost = EndpointConnectionError(endpoint_url="https://states.example")
    aws_says.lose("stepfunctions", "StartExecution", lost)
    with pytest.raises(AwsUnavailable):
        say(f"deploy {IMAGE}", key="k")
    assert say("list").deployments == []


def test_an_internal_error_is_not_a_refusal() -> None:
    aws_says.refuse("dynamodb", "GetItem", "ValidationException")
    with pytest.raises(Exception, match="ValidationException"):
        say("status rec")
