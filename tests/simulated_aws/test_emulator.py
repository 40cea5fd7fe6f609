"""Direct calls to moto's backend return what calls over HTTP return."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer

from tests.support.in_process import TABLE, make_table
from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.aws import Answer, AwsError, Call, ask
from tests.support.simulated_aws.emulator import Emulator, raw_client

KEY = {"pk": {"S": "DEPLOYMENT#a"}, "sk": {"S": "RECORD"}}
ITEM = {**KEY, "version": {"N": "1"}, "document": {"S": "{}"}, "old": {"BOOL": False}}
NEW = {"ConditionExpression": "attribute_not_exists(pk)"}


@pytest.fixture
def table(account: Account) -> Any:
    """A DynamoDB client that calls moto directly."""
    dynamodb = raw_client("dynamodb")
    make_table(dynamodb)
    return dynamodb


def put(item: Answer, **condition: Any) -> Answer:
    return {"Put": {"TableName": TABLE, "Item": item, **condition}}


def at_version(version: int) -> Answer:
    return {
        "ConditionExpression": "version = :v",
        "ExpressionAttributeValues": {":v": {"N": str(version)}},
    }


def transact(*items: Answer) -> Call:
    return Call("dynamodb", "TransactWriteItems", {"TransactItems": list(items)})


def outcome(answer: Any) -> Any:
    """The relevant part of a response or of an error."""
    if isinstance(answer, AwsError):
        said: Any = answer.__cause__
        return answer.code, said.response.get("CancellationReasons")
    return {key: value for key, value in answer.items() if key == "Item"}


def tried(how: Any, call: Call) -> Any:
    try:
        return outcome(how(call))
    except AwsError as error:
        return outcome(error)


OTHER = {**ITEM, "sk": {"S": "EVENT#1"}}
CALLS = {
    "a new item": transact(put(ITEM, **NEW)),
    "an item that is there": transact(put(ITEM), put(OTHER, **NEW)),
    "one of two refused": transact(put(OTHER, **NEW), put(ITEM, **at_version(7))),
    "the right version": transact(put({**ITEM, "version": {"N": "2"}}, **at_version(1))),
    "a delete": transact({"Delete": {"TableName": TABLE, "Key": KEY, **at_version(1)}}),
    "the same item twice": transact(put(ITEM), put(ITEM)),
    "a check": transact(
        {"ConditionCheck": {"TableName": TABLE, "Key": KEY, **at_version(1)}}, put(OTHER)
    ),
    "no such table": transact({"Put": {"TableName": "nowhere", "Item": ITEM}}),
    "a plain get": Call("dynamodb", "GetItem", {"TableName": TABLE, "Key": KEY}),
    "a projected get": Call(
        "dynamodb", "GetItem", {"TableName": TABLE, "Key": KEY, "ProjectionExpression": "version"}
    ),
    "a get from no table": Call("dynamodb", "GetItem", {"TableName": "nowhere", "Key": KEY}),
    "a get of what is not there": Call(
        "dynamodb", "GetItem", {"TableName": TABLE, "Key": {**KEY, "sk": {"S": "OTHER"}}}
    ),
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
def test_the_table_responds_the_same_in_both_ways(table: Any, what: str, there: bool) -> None:
    def prepare() -> None:
        for item in table.scan(TableName=TABLE)["Items"]:
            table.delete_item(TableName=TABLE, Key={key: item[key] for key in KEY})
        if there:
            table.put_item(TableName=TABLE, Item=ITEM)

    prepare()
    long_way = tried(lambda call: ask(table, call), CALLS[what])
    then = table.scan(TableName=TABLE)["Items"]
    prepare()
    short_way = tried(lambda call: Emulator().call(call), CALLS[what])

    assert short_way == long_way
    assert table.scan(TableName=TABLE)["Items"] == then


def test_table_items_equal_a_scan(account: Account, table: Any) -> None:
    for sort_key, more in (
        ("RECORD", {}),
        ("EVENT#1", {"due": {"N": "1.5"}, "gone": {"NULL": True}}),
    ):
        table.put_item(TableName=TABLE, Item={**ITEM, **more, "sk": {"S": sort_key}})
    read = TypeDeserializer().deserialize

    scanned = [
        {name: read(value) for name, value in item.items()}
        for item in table.scan(TableName=TABLE)["Items"]
    ]

    assert list(account.items(TABLE)) == scanned
    assert len(scanned) == 2


def test_a_read_sees_every_write_by_any_client(account: Account) -> None:
    layered, raw = account.client("ecs"), raw_client("ecs")
    seen = []
    for make in (lambda: None, lambda: layered.create_cluster(clusterName="a")):
        make()
        seen.append(len(layered.list_clusters()["clusterArns"]))
    raw.create_cluster(clusterName="b")
    seen.append(len(layered.list_clusters()["clusterArns"]))
    raw.delete_cluster(cluster="b")
    found = layered.describe_clusters(clusters=["b"])["clusters"]

    assert seen == [0, 1, 2]
    assert [cluster["status"] for cluster in found] == ["INACTIVE"]


def test_accounts_share_no_cached_responses(account: Account) -> None:
    account.client("ecs").create_cluster(clusterName="a")
    account.client("ecs").list_clusters()
    again = Account(account.clock, furnish=False)

    assert len(again.client("ecs").list_clusters()["clusterArns"]) == 1


def test_cached_responses_are_not_requested_again(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.client("ecs").list_clusters()
    monkeypatch.setattr(
        "tests.support.simulated_aws.emulator._answer", lambda *_: pytest.fail("moto was asked")
    )

    account.client("ecs").list_clusters()
