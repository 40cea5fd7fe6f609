"""The kept log lines of a failed create."""

import random

import pytest

from chalicelib.domain.operation import Path
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from chalicelib.store import kept_logs
from tests.support.builders import ID, MOMENT, deployment_of

EVENT = {"timestamp": 1, "eventId": "7", "logStreamName": "ecs/app/0f", "message": "one"}
ALPHABETS = {
    "control characters": [chr(code) for code in range(32)],
    "ASCII": [chr(code) for code in range(128)],
    "two bytes": [chr(code) for code in range(0x80, 0x800)],
    "four bytes": [chr(code) for code in range(0x10000, 0x110000)],
}


@pytest.fixture(autouse=True)
def created(table: None) -> None:
    store.create(deployment_of())


def test_kept_events_are_found_until_they_are_replaced() -> None:
    assert kept_logs.find(ID) == []
    kept_logs.save(ID, [EVENT, EVENT])
    kept_logs.save(ID, [EVENT])
    assert kept_logs.find(ID) == [EVENT]
    assert kept_logs.find("other-abcdef") == []


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_256_kib_of_any_text_fit_into_an_item(alphabet: str) -> None:
    letters = ALPHABETS[alphabet]
    draw = random.Random(alphabet)
    width = len(letters[-1].encode())
    events = [
        {
            "timestamp": 1_700_000_000_000 + n,
            "eventId": "".join(draw.choices("0123456789", k=56)),
            "logStreamName": "ecs/app/" + "".join(draw.choices("0123456789abcdef", k=32)),
            "message": "".join(draw.choices(letters, k=262 // width)),
        }
        for n in range(1000)
    ]
    kept_logs.save(ID, events)
    assert kept_logs.find(ID) == events
    item = aws.client("dynamodb").get_item(
        TableName=settings().table_name,
        Key={"pk": {"S": f"DEPLOYMENT#{ID}"}, "sk": {"S": "LOGS"}},
    )["Item"]
    assert len(item["document"]["B"]) < 390_000


def test_they_remain_while_the_deployment_is_failed() -> None:
    kept_logs.save(ID, [EVENT])
    store.update(ID, lambda deployment: deployment.switch_path(Path.DESTROY, MOMENT))
    store.update(ID, lambda deployment: deployment.end_torn_down(MOMENT))
    store.update(ID, lambda deployment: deployment.extend("8h", MOMENT))
    assert kept_logs.find(ID) == [EVENT]


def test_they_are_deleted_when_the_deployment_is_created_again() -> None:
    kept_logs.save(ID, [EVENT])
    store.update(ID, lambda deployment: deployment.end_failed(MOMENT))
    store.update(ID, lambda deployment: deployment.retry(MOMENT, 0.04))
    assert kept_logs.find(ID) == []


def test_they_are_deleted_with_the_deployment() -> None:
    kept_logs.save(ID, [EVENT])
    store.update(ID, lambda deployment: deployment.end_failed(MOMENT))
    store.update(ID, lambda deployment: deployment.delete(MOMENT))
    assert kept_logs.find(ID) == [EVENT]
    store.update(ID, lambda deployment: deployment.end_torn_down(MOMENT))
    assert kept_logs.find(ID) == []
