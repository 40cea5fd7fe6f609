"""The refresh of the price table, with files in the format that AWS documents.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain import pricing
from chalicelib.domain.pricing import Prices
from infra import prices
from infra.prices import PriceNotFound

REGION = "eu-central-1"
# (SKU, usage type, operation, USD): the prices that the command needs, and similar ones.
LISTED = {
    "AmazonECS": [
        ("C1", "EUC1-Fargate-vCPU-Hours:perCPU", "", "0.0466000000"),
        ("C2", "EUC1-Fargate-GB-Hours", "", "0.0051000000"),
        ("C3", "EUC1-Fargate-ARM-vCPU-Hours:perCPU", "", "0.0373000000"),
        ("C4", "EUC1-Fargate-ARM-GB-Hours", "", "0.0041000000"),
        ("C5", "EUC1-Fargate-Windows-vCPU-Hours:perCPU", "", "0.1000000000"),
        ("C6", "EUC1-Fargate-EphemeralStorage-GB-Hours", "", "0.0001200000"),
        ("C7", "EUC1-ECS-EC2-GB-Hours", "", "0.0000000000"),
    ],
    "AWSELB": [
        ("L1", "EUC1-LoadBalancerUsage", "LoadBalancing:Application", "0.0270000000"),
        ("L2", "EUC1-LoadBalancerUsage", "LoadBalancing:Network", "0.0280000000"),
        ("L3", "EUC1-LoadBalancerUsage", "LoadBalancing", "0.0300000000"),
        ("L4", "EUC1-LCUUsage", "LoadBalancing:Application", "0.0080000000"),
        ("L5", "EUC1-TS-LoadBalancerUsage", "LoadBalancing:Application", "0.0060000000"),
    ],
    "AmazonVPC": [
        ("V1", "EUC1-PublicIPv4:InUseAddress", "", "0.0050000000"),
        ("V2", "EUC1-PublicIPv4:IdleAddress", "", "0.0060000000"),
    ],
}
VERSION, PUBLISHED = "20261101000000", "2026-11-01T00:00:00Z"


def price_list(offer: str) -> dict[str, Any]:
    products, terms = {}, {}
    for sku, usage_type, operation, usd in LISTED[offer]:
        attributes = {"usagetype": usage_type, "operation": operation, "regionCode": REGION}
        products[sku] = {"sku": sku, "attributes": {"servicecode": offer, **attributes}}
        dimension = {"rateCode": f"{sku}.T.D", "unit": "Hrs", "pricePerUnit": {"USD": usd}}
        term = {"sku": sku, "priceDimensions": {f"{sku}.T.D": dimension}}
        terms[sku] = {f"{sku}.T": term}
    return {
        "formatVersion": "v1.0",
        "offerCode": offer,
        "version": VERSION,
        "publicationDate": PUBLISHED,
        "products": products,
        "terms": {"OnDemand": terms, "Reserved": {}},
    }


def path_of(offer: str) -> str:
    return f"/offers/v1.0/aws/{offer}/{VERSION}/{REGION}/index.json"


@pytest.fixture
def served() -> dict[str, Any]:
    """The documents of the price list host, by path."""
    found: dict[str, Any] = {}
    for offer in LISTED:
        entry = {"regionCode": REGION, "currentVersionUrl": path_of(offer)}
        index = {"formatVersion": "v1.0", "regions": {REGION: entry}}
        found[f"/offers/v1.0/aws/{offer}/current/region_index.json"] = index
        found[path_of(offer)] = price_list(offer)
    return found


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the table that the command writes."""
    copied = tmp_path / "prices.json"
    copied.write_text(pricing.TABLE.read_text())
    monkeypatch.setattr(prices, "TABLE", copied)
    return copied


def run(served: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *regions: str) -> int:
    def get(path: str) -> Any:
        if path not in served:
            raise OSError(f"HTTP Error 404: {path}")
        return served[path]

    real = prices.prices
    monkeypatch.setattr(prices, "prices", lambda region, month: real(region, month, get))
    monkeypatch.setattr("sys.argv", ["infra.prices", *regions])
    return prices.main()


def test_each_price_is_found_among_similar_ones(served: dict[str, Any]) -> None:
    found = prices.prices(REGION, "2026-11", served.__getitem__)
    assert found == Prices(
        month="2026-11",
        sources=tuple(
            f"{prices.HOST}{path_of(offer)}, published {PUBLISHED}" for offer in prices.OFFERS
        ),
        vcpu_hour={"X86_64": 0.0466, "ARM64": 0.0373},
        gib_hour={"X86_64": 0.0051, "ARM64": 0.0041},
        load_balancer_hour=0.027,
        public_ipv4_hour=0.005,
        storage_gib_hour=0.00012,
    )


def test_the_first_regions_usage_types_have_no_prefix(served: dict[str, Any]) -> None:
    text = json.dumps(served).replace("EUC1-", "")
    found = prices.prices(REGION, "2026-11", json.loads(text).__getitem__)
    assert found.load_balancer_hour == 0.027


def test_the_command_writes_the_region_and_keeps_the_others(
    served: dict[str, Any], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads(table.read_text())
    assert run(served, monkeypatch, REGION) == 0
    after = json.loads(table.read_text())
    assert after.pop(REGION)["load_balancer_hour"] == 0.027
    assert after == before


def _drop(served: dict[str, Any]) -> None:
    del served[path_of("AWSELB")]["products"]["L1"]


def _ambiguous(served: dict[str, Any]) -> None:
    found = served[path_of("AmazonVPC")]
    found["products"]["V3"] = copy.deepcopy(found["products"]["V1"])
    term = copy.deepcopy(found["terms"]["OnDemand"]["V2"])
    found["terms"]["OnDemand"]["V3"] = term


def _free(served: dict[str, Any]) -> None:
    text = json.dumps(served[path_of("AmazonVPC")]).replace("0.005", "0.000")
    served[path_of("AmazonVPC")] = json.loads(text)


def _unserved(served: dict[str, Any]) -> None:
    del served[path_of("AmazonECS")]


@pytest.mark.parametrize("broken", [_drop, _ambiguous, _free, _unserved])
def test_an_ambiguous_price_changes_nothing(
    broken: Any, served: dict[str, Any], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(served)
    before = table.read_text()
    assert run(served, monkeypatch, REGION) == 1
    assert table.read_text() == before


def test_a_region_that_aws_does_not_list_is_named(served: dict[str, Any]) -> None:
    with pytest.raises(PriceNotFound, match="AmazonECS has no price list for xx-north-1"):
        prices.prices("xx-north-1", "2026-11", served.__getitem__)
