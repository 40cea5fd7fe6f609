"""Which URLs events may be posted to: no address that only somebody inside could reach.

Microsoft's AntiSSRF decides: it looks the host up, refuses when any of its addresses is private,
link-local, of a metadata service or otherwise special, and connects to the very address that it
looked at, so that a name cannot change its mind in between (DNS rebinding). The same policy is
asked at the request and again at each call. https://github.com/microsoft/AntiSSRF

It lets two kinds of IPv6 addresses through that hold an IPv4 address: see `EMBEDDING_IPV4`. What a
URL may look like is narrower than what it reads: see `domain/spec/web_address.py`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from chalicelib.domain.spec import web_address
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.webhooks import signing
from chalicelib.webhooks.deadline import within

# IPv4-compatible and IPv4-translated addresses: `::10.0.0.1`, `::ffff:0:10.0.0.1`.
# https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.1, https://www.rfc-editor.org/rfc/rfc2765
EMBEDDING_IPV4 = ["::/96", "::ffff:0:0:0/96"]
LOOPBACK = ["127.0.0.0/8", "::1/128"]
LONGEST_LOOKUP = timedelta(seconds=5)
# The WHATWG's "ends in a number": such a host is an address, however it is written.
# https://url.spec.whatwg.org/#ends-in-a-number-checker
_NUMBER = re.compile(r"([0-9]+|0[xX][0-9A-Fa-f]*)", re.ASCII)


class Refused(Exception):
    """A URL that must not be called; the message has the fix."""


def fault(url: str) -> str | None:
    """What is wrong with a URL at a request, with the fix, or None.

    It looks the host up, for `LONGEST_LOOKUP` at most.
    """
    if not signing.is_set_up():
        return "is of no use: webhooks are not set up; ask the platform team to set their secret"
    told = web_address.fault(url, http=settings().callbacks_on_loopback) or _notation(url)
    if told:
        return told
    try:
        within(LONGEST_LOOKUP, lambda: check_host(url))
    except Refused as refused:
        return str(refused)
    except TimeoutError:
        return "must have a host that DNS knows: the look-up took too long"
    return None


def check_host(url: str) -> None:
    """Looks the host up. Raises `Refused` where it is not known, or not public."""
    import requests

    with session(url) as checked:
        prepared = requests.Request("POST", url).prepare()
        adapter = checked.get_adapter(url)
        with refusals():
            adapter.build_connection_pool_key_attributes(prepared, verify=True)


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what is raised of a host, at the check or at the call, into `Refused`."""
    import socket

    from AntiSSRF import AntiSSRFError
    from requests.exceptions import InvalidURL

    try:
        yield
    except AntiSSRFError as error:
        logger.info("callback refused", extra={"reason": str(error)})
        raise Refused(
            "must lead to a public address, over https: not to a private, local or special one"
        ) from None
    # The others: a label that is too long, as it is met and as `requests` tells it.
    except (socket.gaierror, UnicodeError, InvalidURL):
        raise Refused("must have a host that DNS knows: it was not found") from None


def session(url: str) -> Any:
    """A `requests.Session` that connects only to where a callback may lead."""
    from AntiSSRF import AntiSSRFPolicy, PolicyConfigOptions

    on_loopback = settings().callbacks_on_loopback
    if on_loopback and url.startswith("http://"):
        policy = AntiSSRFPolicy(PolicyConfigOptions.INTERNAL_ONLY)
        policy.allow_plain_text_http = True
    else:
        policy = AntiSSRFPolicy(PolicyConfigOptions.EXTERNAL_ONLY_LATEST)
        policy.add_denied_addresses(EMBEDDING_IPV4)
        policy.add_xff_header = False
    if on_loopback:
        policy.add_allowed_addresses(LOOPBACK)
    made = policy.get_antissrf_session()
    # No proxy of the environment, which would do its own look-up, and no password of a .netrc.
    made.trust_env = False
    # It would read the body of a redirect, of any size and to its end, though it does not follow.
    # https://requests.readthedocs.io/en/latest/api/#requests.Session.get_redirect_target
    made.get_redirect_target = lambda answer: None
    for adapter in made.adapters.values():
        # AntiSSRF sets `Host` without the port, and without the brackets of an IPv6 address.
        # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
        adapter.add_headers = _with_authority
    return made


def _with_authority(request: Any, **_: Any) -> None:
    request.headers["Host"] = urlsplit(request.url).netloc


def _notation(url: str) -> str | None:
    authority = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
    bracketed = authority.startswith("[")
    host = authority[1:].partition("]")[0] if bracketed else authority.partition(":")[0]
    if not _NUMBER.fullmatch(host.rpartition(".")[2]) and not bracketed:
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "must have a host's name, or an address in its usual notation such as 192.0.2.7"
    return None
