"""Calls to moto without HTTP return what boto3 returns, for every call of a lifecycle."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random

from tests.faults.environment import image, opened
from tests.faults.operations import NAME, OPERATIONS
from tests.support.simulated_aws import emulator, short_way
from tests.support.simulated_aws.aws import Answer, AwsError, Call, ask
from tests.support.simulated_aws.emulator import REGION, is_mutating, raw_client

Ask = Callable[[Call, str], Answer]
BY_SHORT_WAY = emulator._answer
LIFE = ("deploy", "update", "pause", "resume", "teardown")


def over_http(call: Call, region: str = REGION) -> Answer:
    """Call through boto3, with a request and a response in the service's protocol."""
    answer = ask(raw_client(call.service, region), call)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def over_both(call: Call, region: str) -> Answer:
    """A read and a refused call, which can be repeated, end the same in both ways."""
    try:
        answer = BY_SHORT_WAY(call, region)
    except AwsError as error:
        with pytest.raises(AwsError) as over:
            over_http(call, region)
        said = over.value
        assert (error.code, error.message, error.status) == (said.code, said.message, said.status)
        raise
    if call.service in short_way.HANDLERS and not is_mutating(call):
        said = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
        assert said == over_http(call, region), call
    return answer


def life(monkeypatch: pytest.MonkeyPatch, way: Ask) -> list[tuple[str, Answer]]:
    """All of moto's responses in the lifecycle of a deployment with one failed update."""
    heard: list[tuple[str, Answer]] = []

    def hear(call: Call, region: str) -> Answer:
        mock_random.seed(len(heard))  # moto generates the same IDs in both runs
        answer = way(call, region)
        # The records contain moto's IDs; `over_both` compares the reads of the table.
        if call.service in short_way.HANDLERS and call.service != "dynamodb":
            heard.append((call.name, timeless(answer)))
        return answer

    monkeypatch.setattr(emulator, "_answer", hear)
    with opened() as world:
        for name in LIFE:
            assert OPERATIONS[name].ask(world).status == 202
            assert world.run_until_idle()
            if name == "deploy":
                world.update(NAME, image=image("missing"), tags={"team": "c"})
                assert world.run_until_idle()
    return heard


def timeless(value: Any) -> Any:
    """Remove values that differ between runs.

    They are moto's timestamps, which come from the real clock, and the memory addresses in the IDs
    of its default rules.
    """
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "ResponseMetadata"}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"(:listener-rule/.*/)\d+$", r"\1address", value)
    return "a moment" if isinstance(value, datetime) else value


def test_every_response_in_a_lifecycle_is_the_same_in_both_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = life(monkeypatch, over_both)
    long = life(monkeypatch, over_http)

    assert [name for name, _ in short] == [name for name, _ in long]
    for (name, by_short), (_, by_long) in zip(short, long, strict=True):
        assert by_short == by_long, name
    changed = {name for name, _ in short if not name.partition(".")[2].startswith("Describe")}
    assert len(changed) > 20


@pytest.mark.parametrize(
    ("service", "microsecond"), [("ec2", 0), ("ecs", 123000), ("elbv2", 123456)]
)
def test_a_timestamp_has_the_precision_of_its_protocol(service: str, microsecond: int) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    protocol = {"ec2": "ec2", "ecs": "json", "elbv2": "query"}[service]

    read = short_way._Reader(protocol, {})._timestamp(moment)

    assert read == moment.replace(microsecond=microsecond)


def test_moto_gets_its_own_copy_of_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    def keep(self: Any) -> ActionResult:
        kept.append(self._get_param("settings"))
        return ActionResult({})

    monkeypatch.setattr(short_way.HANDLERS["ecs"], "create_cluster", keep)
    settings = [{"name": "containerInsights", "value": "enabled"}]
    emulator._answer(Call("ecs", "CreateCluster", {"settings": settings}), REGION)

    assert kept == [settings]
    assert kept[0] is not settings


def test_a_request_can_exclude_a_member() -> None:
    """moto remembers whether the last request asked for tags."""
    with opened() as world:
        tags = [{"key": "team", "value": "a"}]
        world.account.raw("ecs").create_cluster(clusterName="c", tags=tags)
        for include in ([], ["TAGS"], []):
            call = Call("ecs", "DescribeClusters", {"clusters": ["c"], "include": include})
            [cluster] = BY_SHORT_WAY(call, REGION)["clusters"]
            assert cluster == over_http(call)["clusters"][0]
            assert ("tags" in cluster) is bool(include)
