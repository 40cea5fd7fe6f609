from datetime import timedelta

import pytest

from chalicelib.deployments.pricing import Meter, usd_per_hour
from tests.unit.builders import MOMENT, spec_of


def test_the_smallest_deployment() -> None:
    # 0.25 x 0.04048 + 0.5 x 0.004445 + load balancer 0.0225 + three addresses 0.015
    assert usd_per_hour(spec_of()) == pytest.approx(0.0498425, abs=1e-6)


def test_each_task_costs_its_size_and_its_address() -> None:
    one, three = usd_per_hour(spec_of(count=1)), usd_per_hour(spec_of(count=3))
    assert three - one == pytest.approx(2 * (0.0123425 + 0.005), abs=2e-6)


def test_private_tasks_have_no_address_to_pay() -> None:
    spec = spec_of(count=2)
    assert usd_per_hour(spec) - usd_per_hour(spec, public_tasks=False) == pytest.approx(0.01)


def test_without_tasks_the_load_balancer_still_costs() -> None:
    assert usd_per_hour(spec_of(count=0)) == pytest.approx(0.0225 + 2 * 0.005)


def test_arm_is_cheaper() -> None:
    assert usd_per_hour(spec_of(architecture="ARM64")) < usd_per_hour(spec_of())


def test_a_meter_that_never_ran_has_nothing() -> None:
    assert Meter().accrued(MOMENT) == 0


def test_a_meter_adds_up_over_changing_rates() -> None:
    meter = Meter()
    meter.set_rate(0.10, MOMENT)
    meter.set_rate(0.20, MOMENT + timedelta(hours=2))
    meter.set_rate(0.0, MOMENT + timedelta(hours=3))
    assert meter.accrued(MOMENT + timedelta(hours=99)) == pytest.approx(0.40)


def test_a_meter_runs_on_between_changes() -> None:
    meter = Meter()
    meter.set_rate(0.10, MOMENT)
    assert meter.accrued(MOMENT + timedelta(minutes=90)) == pytest.approx(0.15)


def test_a_meter_never_runs_backwards() -> None:
    meter = Meter(accrued_usd=1.0, usd_per_hour=0.5, since=MOMENT)
    assert meter.accrued(MOMENT - timedelta(hours=1)) == 1.0
