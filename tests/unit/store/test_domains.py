"""A domain belongs to one live deployment: it is reserved and released with the record."""

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NameTaken
from chalicelib.store import deployments as store
from chalicelib.store import domains
from tests.support.builders import DOMAIN, ID, MOMENT, deployment_of, spec_of

pytestmark = pytest.mark.usefixtures("table")
OTHER, OTHER_DOMAIN = "other-abcdef", "other.example.com"


def create(deployment_id: str, domain: str | None = DOMAIN, owner: str = "team-a") -> Deployment:
    return store.create(deployment_of(deployment_id, owner, domain=domain))


def activate(deployment_id: str) -> Deployment:
    return store.update(deployment_id, lambda record: record.activate(MOMENT, 0.04))


def change(deployment_id: str, domain: str | None) -> Deployment:
    spec = spec_of(name=deployment_id.rpartition("-")[0], domain=domain)
    return store.update(deployment_id, lambda record: record.update(spec, MOMENT, new_image=False))


def bound(deployment_id: str) -> Deployment:
    """Record the step's result: only the current domain points to the deployment."""

    def settled(record: Deployment) -> None:
        record.domains = [record.spec.domain] if record.spec.domain else []

    return store.update(deployment_id, settled)


def test_a_used_domain_is_refused_without_naming_its_owner() -> None:
    create(ID)
    with pytest.raises(NameTaken, match="belongs to another live deployment") as raised:
        create(OTHER, owner="team-b")
    assert [error["field"] for error in raised.value.errors] == ["domain"]
    assert ID not in raised.value.detail
    assert store.get(OTHER) is None
    assert store.id_of_name("team-b", "other") is None


def test_a_change_to_a_used_domain_is_refused_and_nothing_changes() -> None:
    create(ID)
    create(OTHER, OTHER_DOMAIN)
    activate(OTHER)
    with pytest.raises(NameTaken):
        change(OTHER, DOMAIN)
    kept = store.get(OTHER)
    assert kept and (kept.spec.domain, kept.status) == (OTHER_DOMAIN, "ACTIVE")


def test_both_domains_are_reserved_during_a_change() -> None:
    create(ID)
    activate(ID)
    assert change(ID, OTHER_DOMAIN).domains == [DOMAIN, OTHER_DOMAIN]
    assert (domains.holder(DOMAIN), domains.holder(OTHER_DOMAIN)) == (ID, ID)
    bound(ID)
    assert (domains.holder(DOMAIN), domains.holder(OTHER_DOMAIN)) == (None, ID)


def test_a_withdrawn_update_releases_the_new_domain() -> None:
    create(ID)
    activate(ID)
    generation = change(ID, OTHER_DOMAIN).generation
    store.update(ID, lambda record: record.withdraw_update(generation, MOMENT))
    assert (domains.holder(DOMAIN), domains.holder(OTHER_DOMAIN)) == (ID, None)


def test_a_create_that_failed_to_start_releases_its_domain() -> None:
    store.discard(create(ID))
    assert domains.holder(DOMAIN) is None


def test_a_failed_deployment_reserves_its_domain_but_a_deleted_one_does_not() -> None:
    create(ID)
    store.update(ID, lambda record: record.end_failed(MOMENT))
    assert domains.holder(DOMAIN) == ID
    store.update(ID, lambda record: record.delete(MOMENT))
    assert domains.holder(DOMAIN) == ID
    store.update(ID, lambda record: record.end_torn_down(MOMENT))
    assert domains.holder(DOMAIN) is None


def test_a_second_teardown_keeps_the_domain_of_its_new_owner() -> None:
    create(ID)
    store.update(ID, lambda record: record.delete(MOMENT))
    store.update(ID, lambda record: record.end_torn_down(MOMENT))
    create(OTHER)
    store.update(ID, lambda record: record.restart_teardown("AWS has something", MOMENT))
    store.update(ID, lambda record: record.end_torn_down(MOMENT))
    assert domains.holder(DOMAIN) == OTHER


def test_a_rollback_reserves_a_released_domain_again_or_is_refused() -> None:
    create(ID)
    activate(ID)
    change(ID, OTHER_DOMAIN)
    bound(ID)
    activate(ID)
    create(OTHER)
    with pytest.raises(NameTaken, match=DOMAIN):
        store.update(ID, lambda record: record.roll_back(MOMENT))
    store.update(OTHER, lambda record: record.delete(MOMENT))
    store.update(OTHER, lambda record: record.end_torn_down(MOMENT))
    store.update(ID, lambda record: record.roll_back(MOMENT))
    assert domains.holder(DOMAIN) == ID


def test_a_used_name_is_reported_before_a_used_domain() -> None:
    create(ID)
    with pytest.raises(NameTaken, match="already has a deployment named"):
        create("recommender-bbbbbb")
