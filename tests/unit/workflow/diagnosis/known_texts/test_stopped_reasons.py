"""Every documented reason of a stopped task is recognized, whatever the names in it are."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import FailureCode
from chalicelib.workflow.diagnosis import stopped_tasks
from chalicelib.workflow.diagnosis.known_texts import (
    initialization_errors,
    known_text,
    pull_errors,
    service_events,
    start_errors,
    stopped_reasons,
)
from chalicelib.workflow.diagnosis.known_texts.known_text import KnownText
from tests.support.builders import spec_of
from tests.unit.workflow.conftest import stopped_task
from tests.unit.workflow.diagnosis.known_texts.names import HOSTILE, ORDINARY, filled

ROWS = (
    *pull_errors.TEXTS,
    *start_errors.TEXTS,
    *initialization_errors.TEXTS,
    *service_events.TEXTS,
)
EXAMPLES = [(row, text) for row in ROWS for text in row.examples]
PULL = "CannotPullContainerError: pull image manifest has been retried 1 time(s): "


def found(text: str) -> KnownText | None:
    return stopped_reasons.find(known_text.plain(text))


@pytest.mark.parametrize(("row", "text"), EXAMPLES, ids=[text for _, text in EXAMPLES])
def test_a_documented_text_finds_its_row(row: KnownText, text: str) -> None:
    assert found(filled(text, ORDINARY)) is row


@pytest.mark.parametrize(("row", "text"), EXAMPLES, ids=[text for _, text in EXAMPLES])
def test_names_do_not_change_the_row(row: KnownText, text: str) -> None:
    for names in HOSTILE:
        assert found(filled(text, names)) is row, names


@pytest.mark.parametrize(("row", "text"), EXAMPLES, ids=[text for _, text in EXAMPLES])
def test_line_breaks_do_not_change_the_row(row: KnownText, text: str) -> None:
    assert found(filled(text, ORDINARY).replace(" ", "\n ")) is row
    assert found(filled(text, ORDINARY).replace(": ", ":\r\n\t")) is row


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Cannotstartcontainererror: ResourceInitializationError: x", "CannotStartContainerError"),
        ("CANNOTPULLCONTAINERERROR: manifest unknown", "CannotPullContainerError"),
    ],
)
def test_the_case_of_a_name_does_not_matter(text: str, name: str) -> None:
    assert stopped_reasons.first_name(text) == name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pattern)
def test_a_row_has_a_source_a_message_and_a_hint(row: KnownText) -> None:
    assert row.source.startswith("https://")
    assert row.examples
    verdict = stopped_tasks.verdict_of(row, "", spec_of())
    assert verdict.message.endswith(".")
    assert verdict.hint.endswith(".")
    assert "{" not in verdict.message + verdict.hint


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (
            "CannotStartContainerError: ResourceInitializationError: failed to create new "
            "container runtime task: failed to create shim task: OCI runtime create failed: runc "
            'create failed: unable to start container process: exec: "x": executable file not '
            "found in $PATH: unknown",
            "CONTAINER_CANNOT_START",
        ),
        (
            "TaskFailedToStart: CannotPullContainerError: ref pull has been retried 1 time(s): "
            "failed to unpack image on snapshotter overlayfs: mismatched image rootfs and manifest "
            "layers",
            "IMAGE_INVALID",
        ),
        (
            f"{PULL}failed to resolve ref ghcr.io/team/denied-claims:1: "
            "ghcr.io/team/denied-claims:1: not found",
            "IMAGE_NOT_FOUND",
        ),
        (
            f"{PULL}failed to resolve ref ghcr.io/team/not-found:1: pull access denied, repository "
            "does not exist or may require authorization",
            "IMAGE_ACCESS_DENIED",
        ),
        (f"{PULL}AFailureOfTomorrow: the layers are upside down", "AWS_REFUSED"),
        ("CannotStartContainerError: AFailureOfTomorrow", "CONTAINER_CANNOT_START"),
        ("InternalError: unable to create a network interface", "AWS_REFUSED"),
        ("A reason without a name", "AWS_REFUSED"),
        ("", "AWS_REFUSED"),
    ],
)
def test_the_first_name_decides_and_unknown_text_is_not_guessed(reason: str, code: str) -> None:
    task = stopped_task(stopCode="TaskFailedToStart", stoppedReason=reason, containers=[])
    verdict = stopped_tasks.judge(task, [], spec_of(), [])
    assert verdict.code == code
    unknown = found(reason) is None
    assert verdict.unrecognized == (reason if unknown else "")
    if unknown and reason:
        assert reason.rstrip(".") in verdict.message


@pytest.mark.parametrize("name", [row.code for row in pull_errors.TEXTS])
def test_a_container_that_never_ran_has_not_exited(name: FailureCode) -> None:
    assert name is not FailureCode.CONTAINER_EXITED


@pytest.mark.parametrize(
    ("action", "text", "code"),
    [
        (
            "logs:CreateLogStream",
            "ResourceInitializationError: failed to validate logger args: create stream has been "
            "retried 1 times: failed to create Cloudwatch log stream: AccessDeniedException",
            "AWS_ACCESS_DENIED",
        ),
        (
            "ecr:GetAuthorizationToken",
            "ResourceInitializationError: unable to pull secrets or registry auth: execution "
            "resource retrieval failed: unable to retrieve ecr registry auth: "
            "AccessDeniedException",
            "AWS_ACCESS_DENIED",
        ),
        (
            "secretsmanager:GetSecretValue",
            "ResourceInitializationError: unable to pull secrets or registry auth: execution "
            "resource retrieval failed: unable to retrieve secret from asm: AccessDeniedException",
            "SECRET_UNAVAILABLE",
        ),
        (
            "ecr:BatchGetImage",
            "CannotPullContainerError: Error response from daemon: pull access denied",
            "IMAGE_ACCESS_DENIED",
        ),
    ],
)
def test_a_denied_call_names_the_role_and_the_action(action: str, text: str, code: str) -> None:
    said = (
        f"{text}: User: arn:aws:sts::123456789012:assumed-role/slipway-execution/0a1b is not "
        f"authorized to perform:\n{action} on resource: * because no identity-based policy allows "
        f"the {action} action"
    )
    verdict = stopped_tasks.judge(stopped_task(stoppedReason=said), [], spec_of(), [])
    assert verdict.code == code
    assert "slipway-execution" in verdict.message
    assert action in verdict.message
