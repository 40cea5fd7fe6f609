import re
from datetime import timedelta

import pytest

from chalicelib.domain import pricing
from chalicelib.domain.pricing import Meter, usd_per_hour
from chalicelib.domain.spec.fargate import PLATFORMS
from tests.support.builders import MOMENT, spec_of, without_tasks


def test_the_cost_of_the_smallest_deployment() -> None:
    # 0.25 x 0.04048 + 0.5 x 0.004445 + load balancer 0.0225 + three addresses 0.015
    assert usd_per_hour(spec_of()) == pytest.approx(0.0498425, abs=1e-6)


def test_each_task_costs_its_size_and_its_address() -> None:
    one, three = usd_per_hour(spec_of(count=1)), usd_per_hour(spec_of(count=3))
    assert three - one == pytest.approx(2 * (0.0123425 + 0.005), abs=2e-6)


def test_private_tasks_have_no_address_cost() -> None:
    spec = spec_of(count=2)
    assert usd_per_hour(spec) - usd_per_hour(spec, public_tasks=False) == pytest.approx(0.01)


def test_without_tasks_the_load_balancer_still_costs() -> None:
    assert usd_per_hour(without_tasks().spec) == pytest.approx(0.0225 + 2 * 0.005)


def test_the_cost_follows_the_running_tasks_not_the_spec() -> None:
    assert usd_per_hour(spec_of(count=3), tasks=0) == usd_per_hour(without_tasks().spec)
    assert usd_per_hour(spec_of(count=1), tasks=3) == usd_per_hour(spec_of(count=3))


def test_storage_beyond_the_first_20_gib_costs_for_each_task() -> None:
    least, more = spec_of(count=2), spec_of(count=2, storage_gib=50)
    assert usd_per_hour(more) - usd_per_hour(least) == pytest.approx(2 * 30 * 0.000111, abs=2e-6)


def test_arm_is_cheaper() -> None:
    assert usd_per_hour(spec_of(architecture="ARM64")) < usd_per_hour(spec_of())


def test_each_region_has_its_own_prices() -> None:
    # 0.25 x 0.05056 + 0.5 x 0.00553 + load balancer 0.0243 + three addresses 0.015
    assert usd_per_hour(spec_of(), region="ap-northeast-1") == pytest.approx(0.054705, abs=1e-6)


def test_the_basis_names_region_and_month() -> None:
    assert (
        pricing.basis("us-east-1")
        == "us-east-1 list prices of 2026-11, data transfer and LCUs left out"
    )
    assert pricing.basis("eu-west-1").startswith("eu-west-1 list prices of 2026-05, ")


def test_a_region_without_prices_names_the_prices_that_it_uses() -> None:
    assert usd_per_hour(spec_of(), region="xx-north-1") == usd_per_hour(spec_of())
    assert (
        pricing.basis("xx-north-1")
        == "no prices known for xx-north-1: us-east-1 list prices of 2026-11, "
        "data transfer and LCUs left out"
    )


@pytest.mark.parametrize("region", pricing.table())
def test_the_price_table_is_complete_and_dated(region: str) -> None:
    prices = pricing.table()[region]
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", prices.month)
    assert prices.sources
    assert set(prices.vcpu_hour) == set(prices.gib_hour) == set(PLATFORMS)
    assert 0.03 < prices.vcpu_hour["X86_64"] < 0.1
    assert 0.01 < prices.load_balancer_hour < 0.05
    assert 0.0001 < prices.storage_gib_hour < 0.0002


def test_a_meter_that_never_ran_is_zero() -> None:
    assert Meter().accrued(MOMENT) == 0


def test_a_meter_adds_up_over_changing_rates() -> None:
    meter = Meter()
    meter.set_rate(0.10, MOMENT)
    meter.set_rate(0.20, MOMENT + timedelta(hours=2))
    meter.set_rate(0.0, MOMENT + timedelta(hours=3))
    assert meter.accrued(MOMENT + timedelta(hours=99)) == pytest.approx(0.40)


def test_a_meter_runs_between_changes() -> None:
    meter = Meter()
    meter.set_rate(0.10, MOMENT)
    assert meter.accrued(MOMENT + timedelta(minutes=90)) == pytest.approx(0.15)


def test_a_meter_never_runs_backwards() -> None:
    meter = Meter(accrued_usd=1.0, usd_per_hour=0.5, since=MOMENT)
    assert meter.accrued(MOMENT - timedelta(hours=1)) == 1.0
