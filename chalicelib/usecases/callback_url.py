"""Whether Slipway accepts a URL that a caller wants events posted to."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta

from chalicelib.domain.spec import web_address
from chalicelib.platform import public_addresses, shared_secrets
from chalicelib.platform.deadline import within
from chalicelib.platform.settings import settings

LONGEST_LOOKUP = timedelta(seconds=5)
# A host that ends in a number is an address, in any of its notations.
# https://url.spec.whatwg.org/#ends-in-a-number-checker
_NUMBER = re.compile(r"([0-9]+|0[xX][0-9A-Fa-f]*)", re.ASCII)


def fault(url: str) -> str | None:
    """What is wrong with the URL and what is allowed, or None.

    Resolves the host, which takes `LONGEST_LOOKUP` at most. The call itself checks the host again.
    """
    if not shared_secrets.webhook_secrets():
        return (
            "cannot be used because webhooks are not set up: ask your platform team to create "
            "the webhook secret"
        )
    wrong = web_address.fault(url, http=settings().callbacks_on_loopback) or _notation_fault(url)
    if wrong:
        return wrong
    try:
        within(LONGEST_LOOKUP, lambda: public_addresses.check_host(url))
    except public_addresses.Refused as refused:
        return str(refused)
    except TimeoutError:
        return "must have a host that DNS can resolve: the lookup timed out"
    return None


def _notation_fault(url: str) -> str | None:
    authority = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
    bracketed = authority.startswith("[")
    host = authority[1:].partition("]")[0] if bracketed else authority.partition(":")[0]
    if not _NUMBER.fullmatch(host.rpartition(".")[2]) and not bracketed:
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "must have a host name, or an address in standard notation such as 192.0.2.7"
    return None
