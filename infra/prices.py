"""`python -m infra.prices eu-central-1 ...`: writes a region's list prices into the table.

They come from AWS's public price list, one file a service and region, which takes no credentials:
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
# What AWS puts before a usage type, in most regions: USE2-, EU-, EUC1-, APN1-. TS- is none.
PREFIX = r"(EU-|[A-Z]{3}\d-)?"

Document = dict[str, Any]
Fetch = Callable[[str], Document]


class PriceNotFound(Exception):
    """The price list does not have exactly one price of a kind; the message says which."""


@dataclass(frozen=True)
class Item:
    """One price: the offer it is in, and what AWS calls it."""

    offer: str
    usage_type: str
    operation: str = ""

    def is_of(self, attributes: dict[str, str]) -> bool:
        """Whether a product is it: the whole name, for those of ARM, Windows and spot are like it.

        An empty `operation` is any.
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
PUBLIC_IPV4 = Item("AmazonVPC", "PublicIPv4:InUseAddress")
OFFERS = ("AmazonECS", "AWSELB", "AmazonVPC")


def fetch(path: str) -> Document:
    """The JSON document at a path of the price list's host."""
    with urllib.request.urlopen(HOST + path, timeout=TIMEOUT_SECONDS) as answer:
        return dict(json.load(answer))


def prices(region: str, month: str, get: Fetch = fetch) -> Prices:
    """The prices of a region now.

    Raises `PriceNotFound`, or `OSError` where AWS does not answer.
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
    )


def _price_list(offer: str, region: str, get: Fetch) -> Document:
    """https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/service-region-infex-file-for-service.html"""
    index = get(f"/offers/v1.0/aws/{offer}/current/region_index.json")
    found = index.get("regions", {}).get(region)
    if not found:
        raise PriceNotFound(f"{offer} has no price list for {region}")
    return get(found["currentVersionUrl"])


def _usd(item: Item, region: str, listed: Document) -> float:
    """https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html"""
    skus = [
        sku
        for sku, product in listed["products"].items()
        if item.is_of(product["attributes"])
        and product["attributes"].get("regionCode", region) == region
    ]
    found = {
        dimension["pricePerUnit"].get("USD")
        for sku in skus
        for term in listed["terms"].get("OnDemand", {}).get(sku, {}).values()
        for dimension in term["priceDimensions"].values()
    }
    if len(found) != 1 or None in found:
        told = ", ".join(sorted(map(str, found))) or "none"
        raise PriceNotFound(f"{item.offer} has not one USD price of {item.usage_type}: {told}")
    usd = float(found.pop())
    if usd <= 0:
        raise PriceNotFound(f"{item.offer} says that {item.usage_type} costs nothing")
    return usd


def write(found: dict[str, Prices]) -> None:
    """Puts the prices of regions into the table and leaves the others as they are."""
    known = json.loads(TABLE.read_text())
    known |= {region: prices.model_dump() for region, prices in found.items()}
    TABLE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def main() -> int:
    """Refresh the regions that the command line names, all or none; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.prices", description=__doc__)
    parser.add_argument("regions", nargs="+", help="such as us-east-1 eu-central-1")
    month = datetime.now(UTC).strftime("%Y-%m")
    try:
        found = {region: prices(region, month) for region in parser.parse_args().regions}
    except (PriceNotFound, OSError, ValueError, KeyError) as error:
        print(f"The table is as it was: {error!r}", file=sys.stderr)
        return 1
    write(found)
    print(f"{TABLE}: {', '.join(found)} as of {month}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
