"""Planned and random faults, with each service's own error codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.site import code_of
from tests.support.simulated_aws.weather import Fault, Kind


def make_cluster(account: Account, name: str = "one") -> None:
    account.client("ecs").create_cluster(clusterName=name)


def clusters(account: Account) -> int:
    return len(account.raw("ecs").list_clusters()["clusterArns"])


@pytest.mark.parametrize(
    ("kind", "error", "took_effect"),
    [
        ("throttled", "ThrottlingException", False),
        ("denied", "AccessDeniedException", False),
        ("server_error", "ServerException", False),
        ("late_server_error", "ServerException", True),
        ("reset", ConnectionClosedError, False),
        ("lost_answer", ConnectionClosedError, True),
    ],
)
def test_a_planned_fault_happens_once(
    account: Account, kind: Kind, error: Any, took_effect: bool
) -> None:
    account.weather.plan(Fault("ecs.CreateCluster", kind))

    with pytest.raises(error if isinstance(error, type) else ClientError) as raised:
        make_cluster(account)
    if isinstance(error, str):
        assert code_of(raised) == error
    assert clusters(account) == took_effect
    make_cluster(account, "two")
    assert clusters(account) == took_effect + 1


def test_the_nth_call_and_the_following_ones_fail(account: Account) -> None:
    account.weather.plan(Fault("ecs.CreateCluster", "throttled", nth=2, times=2))
    went = []
    for number in range(5):
        try:
            make_cluster(account, f"n{number}")
            went.append(True)
        except ClientError:
            went.append(False)

    assert went == [True, False, False, True, True]


def test_a_wildcard_matches_many_calls_and_others_pass(account: Account) -> None:
    account.weather.plan(Fault("ecs.*", "denied", times=99))
    account.client("elbv2").describe_load_balancers()

    with pytest.raises(ClientError, match="ecs:ListClusters"):
        account.client("ecs").list_clusters()


def test_a_fault_can_have_a_chosen_error(account: Account) -> None:
    fault = Fault(
        "elbv2.DescribeLoadBalancers", "refused", code="TooManyLoadBalancers", message="50 is all"
    )
    account.weather.plan(fault)
    elbv2 = account.client("elbv2")

    with pytest.raises(elbv2.exceptions.TooManyLoadBalancersException, match="50 is all"):
        elbv2.describe_load_balancers()


ASKING: dict[str, Callable[[Any], object]] = {
    "ecs": lambda client: client.list_clusters(),
    "elbv2": lambda client: client.describe_load_balancers(),
    "ec2": lambda client: client.describe_vpcs(),
    "logs": lambda client: client.describe_log_groups(),
    "dynamodb": lambda client: client.list_tables(),
}
# Service: (throttled, denied, server error), each code with its HTTP status.
WORDS: dict[str, dict[Kind, tuple[str, int]]] = {
    "ecs": {
        "throttled": ("ThrottlingException", 400),
        "denied": ("AccessDeniedException", 400),
        "server_error": ("ServerException", 500),
    },
    "elbv2": {
        "throttled": ("Throttling", 400),
        "denied": ("AccessDenied", 403),
        "server_error": ("InternalFailure", 500),
    },
    "ec2": {
        "throttled": ("RequestLimitExceeded", 503),
        "denied": ("UnauthorizedOperation", 403),
        "server_error": ("InternalError", 500),
    },
    "logs": {
        "throttled": ("ThrottlingException", 400),
        "denied": ("AccessDeniedException", 400),
        "server_error": ("ServiceUnavailableException", 503),
    },
    "dynamodb": {
        "throttled": ("ThrottlingException", 400),
        "denied": ("AccessDeniedException", 400),
        "server_error": ("InternalServerError", 500),
    },
}


@pytest.mark.parametrize("service", WORDS)
def test_each_service_has_its_own_error_codes(account: Account, service: str) -> None:
    for kind, (code, status) in WORDS[service].items():
        account.weather.clear()
        account.weather.plan(Fault(f"{service}.*", kind))
        with pytest.raises(ClientError) as error:
            ASKING[service](account.client(service))

        assert code_of(error) == code
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def outcomes(account: Account, calls: int = 400) -> list[str]:
    """The outcomes of many calls."""
    account.weather.chances = {"throttled": 0.1, "lost_answer": 0.05}
    account.calls.clear()
    for _ in range(calls):
        try:
            account.client("ecs").list_clusters()
        except (ClientError, ConnectionClosedError):
            continue
    return [made.outcome for made in account.calls]


def test_random_faults_follow_the_probability_and_the_seed(account: Account) -> None:
    first = outcomes(account)
    again = outcomes(Account(account.clock, furnish=False))
    other = outcomes(Account(account.clock, seed=7, furnish=False))

    assert first == again != other
    counts = Counter(first)
    assert 20 <= counts["ThrottlingException"] <= 65
    assert 5 <= counts["reset"] <= 40


def test_random_faults_spare_the_table_unless_it_is_exposed(account: Account) -> None:
    account.weather.chances = {"denied": 1.0}
    account.client("dynamodb").list_tables()
    account.weather.exposed = lambda call: True

    with pytest.raises(ClientError):
        account.client("dynamodb").list_tables()


def test_no_faults_happen_after_clear(account: Account) -> None:
    account.weather.chances = {"denied": 1.0}
    account.weather.plan(Fault("ecs.*", "denied", times=9))
    account.weather.clear()

    make_cluster(account)
