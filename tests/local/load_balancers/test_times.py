"""How AWS's times become local ones, and which addresses are local."""

import pytest

from local.load_balancers.addresses import AddressRefused, TargetAddresses
from local.load_balancers.times import Times


def test_aws_times_stay_as_they_are_with_a_scale_of_one() -> None:
    times = Times(1)
    assert [times.interval(5, healthy) for healthy in (True, False)] == [5, 5]
    assert (times.check_timeout(2), times.check_timeout(120), times.scaled(300)) == (2, 120, 300)


def test_scaled_times_leave_a_busy_machine_enough_time() -> None:
    times = Times(0.1)
    assert (times.interval(10, healthy=False), times.interval(10, healthy=True)) == (1, 2)
    assert times.interval(300, healthy=True) == 30
    assert (times.check_timeout(5), times.check_timeout(120)) == (2, 12)
    assert (Times(0.001).interval(5, healthy=False), Times(0.001).scaled(300)) == (0.25, 0.3)


@pytest.mark.parametrize(
    ("target_id", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.001", "127.0.0.1"),  # how MiniStack tells two targets on one address apart
        ("127.0.0.00010", "127.0.0.10"),
        ("172.17.0.2", "172.17.0.2"),
    ],
)
def test_addresses_of_the_local_stack_are_connected(target_id: str, address: str) -> None:
    assert TargetAddresses(["172.17.0.0/16"]).resolve(target_id) == address


@pytest.mark.parametrize(
    ("target_id", "message"),
    [
        ("172.18.0.1", "target 172.18.0.1 is outside 127.0.0.0/8, 172.17.0.0/16"),
        ("128.0.0.1", "is outside"),
        ("127.0.0.300", "is not an IPv4 address"),
        ("i-0123456789", "target 'i-0123456789' is not an IPv4 address"),
        ("arn:aws:lambda:us-east-1:1:function:f", "is not an IPv4 address"),
        ("::1", "is not an IPv4 address"),
    ],
)
def test_other_addresses_are_refused(target_id: str, message: str) -> None:
    with pytest.raises(AddressRefused, match=message.replace(".", r"\.")):
        TargetAddresses(["172.17.0.0/16"]).resolve(target_id)
