"""`python -m infra.prices eu-central-1 ...` writes the list prices of regions into the table.

The prices come from the public price list of AWS, which needs no credentials:
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-bulk-api-fetching-price-list-files-manually.html
"""

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.domain.pricing import TABLE, Prices

HOST = "https://pricing.us-east-1.amazonaws.com"
TIMEOUT_SECONDS = 60
# The prefix of a usage type in most regions: USE2-, EU-, EUC1-, APN1-. TS- is not such a prefix.
PREFIX = r"(EU-|[A-Z]{3}\d-)?"

Document = dict[str, Any]
Fetch = Callable[[str], Document]


class PriceNotFound(Exception):
    """The price list does not have exactly one price for an item; the message names the item."""


@dataclass(frozen=True)
class Item:
    """One price: its offer and its names in the price list."""

    offer: str
    usage_type: str
    operation: str = ""

    def is_of(self, attributes: dict[str, str]) -> bool:
        """Return whether a product is this item.

        The whole name must match, because the names for ARM, Windows and Spot are similar. An empty
        `operation` matches every operation.
        """
        named = re.fullmatch(PREFIX + re.escape(self.usage_type), attributes.get("usagetype", ""))
        return bool(named) and self.operation in ("", attributes.get("operation"))


VCPU = {
    "X86_64": Item("AmazonECS", "Fargate-vCPU-Hours:perCPU"),
    "ARM64": Item("AmazonECS", "Fargate-ARM-vCPU-Hours:perCPU"),
}
GIB = {
    "X86_64": Item("AmazonECS", "Fargate-GB-Hours"),
    "ARM64": Item("AmazonECS", "Fargate-ARM-GB-Hours"),
}
LOAD_BALANCER = Item("AWSELB", "LoadBalancerUsage", "LoadBalancing:Application")
STORAGE = Item("AmazonECS", "Fargate-EphemeralStorage-GB-Hours")
PUBLIC_IPV4 = Item("AmazonVPC", "PublicIPv4:InUseAddress")
OFFERS = ("AmazonECS", "AWSELB", "AmazonVPC")


def fetch(path: str) -> Document:
    """Return the JSON document at a path of the price list's host."""
    with urllib.request.urlopen(HOST + path, timeout=TIMEOUT_SECONDS) as answer:
        return dict(json.load(answer))


def prices(region: str, month: str, get: Fetch = fetch) -> Prices:
    """Return the current prices of a region.

    Raises `PriceNotFound`, or `OSError` if AWS does not respond.
    """
    lists = {offer: _price_list(offer, region, get) for offer in OFFERS}

    def usd(item: Item) -> float:
        return _usd(item, region, lists[item.offer])

    return Prices(
        month=month,
        sources=tuple(
            f"{HOST}/offers/v1.0/aws/{offer}/{lists[offer].get('version', 'current')}/{region}/"
            f"index.json, published {lists[offer].get('publicationDate')}"
            for offer in OFFERS
        ),
        vcpu_hour={architecture: usd(item) for architecture, item in VCPU.items()},
        gib_hour={architecture: usd(item) for architecture, item in GIB.items()},
        load_balancer_hour=usd(LOAD_BALANCER),
        public_ipv4_hour=usd(PUBLIC_IPV4),
        storage_gib_hour=usd(STORAGE),
    )


def _price_list(offer: str, region: str, get: Fetch) -> Document:
    """https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/service-region-infex-file-for-service.html"""
    index = get(f"/offers/v1.0/aws/{offer}/current/region_index.json")
    entry = index.get("regions", {}).get(region)
    if not entry:
        raise PriceNotFound(f"{offer} has no price list for {region}")
    return get(entry["currentVersionUrl"])


def _usd(item: Item, region: str, listed: Document) -> float:
    """https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html"""
    skus = [
        sku
        for sku, product in listed["products"].items()
        if item.is_of(product["attributes"])
        and product["attributes"].get("regionCode", region) == region
    ]
    amounts = {
        dimension["pricePerUnit"].get("USD")
        for sku in skus
        for term in listed["terms"].get("OnDemand", {}).get(sku, {}).values()
        for dimension in term["priceDimensions"].values()
    }
    if len(amounts) != 1 or None in amounts:
        listed_prices = ", ".join(sorted(map(str, amounts))) or "none"
        raise PriceNotFound(
            f"{item.offer} must have exactly one USD price for {item.usage_type}, "
            f"but it has: {listed_prices}"
        )
    usd = float(amounts.pop())
    if usd <= 0:
        raise PriceNotFound(f"{item.offer} has the price {usd:g} for {item.usage_type}")
    return usd


def write(updated: dict[str, Prices]) -> None:
    """Write the prices of some regions into the table; keep those of all other regions."""
    known = json.loads(TABLE.read_text())
    known |= {region: prices.model_dump() for region, prices in updated.items()}
    TABLE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def main() -> int:
    """Update all regions on the command line, or none of them; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.prices", description=__doc__)
    parser.add_argument("regions", nargs="+", help="for example us-east-1 eu-central-1")
    month = datetime.now(UTC).strftime("%Y-%m")
    try:
        updated = {region: prices(region, month) for region in parser.parse_args().regions}
    except (PriceNotFound, OSError, ValueError, KeyError) as error:
        print(f"The table is unchanged: {error!r}", file=sys.stderr)
        return 1
    write(updated)
    print(f"{TABLE}: updated {', '.join(updated)} as of {month}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
