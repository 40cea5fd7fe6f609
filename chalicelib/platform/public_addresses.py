"""HTTP sessions that connect to public addresses only.

Microsoft's AntiSSRF decides. It resolves the host and refuses it if any of its addresses is
private, link-local, special, or of a metadata service. It then connects to the address that it
checked, so a second DNS answer has no effect (DNS rebinding).
https://github.com/microsoft/AntiSSRF

AntiSSRF allows two kinds of IPv6 addresses that contain an IPv4 address: see `EMBEDDING_IPV4`.
The accepted shape of a URL is narrower still: see `domain/spec/web_address.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings

# IPv4-compatible and IPv4-translated addresses: `::10.0.0.1`, `::ffff:0:10.0.0.1`.
# https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.1, https://www.rfc-editor.org/rfc/rfc2765
EMBEDDING_IPV4 = ["::/96", "::ffff:0:0:0/96"]
LOOPBACK = ["127.0.0.0/8", "::1/128"]


class Refused(Exception):
    """A URL that must not be called; the message says what is allowed."""


def check_host(url: str) -> None:
    """Resolves the host. Raises `Refused` if DNS does not know it, or if it is not public."""
    import requests

    with session(url) as checked:
        prepared = requests.Request("POST", url).prepare()
        adapter = checked.get_adapter(url)
        with refusals():
            adapter.build_connection_pool_key_attributes(prepared, verify=True)


@contextmanager
def refusals() -> Iterator[None]:
    """Raises `Refused` in place of what a check or a call raises about a host."""
    import socket

    from AntiSSRF import AntiSSRFError
    from requests.exceptions import InvalidURL

    try:
        yield
    except AntiSSRFError as error:
        logger.info("callback refused", extra={"reason": str(error)})
        raise Refused(
            "must point to a public address over https, not to a private, local or special one"
        ) from None
    # UnicodeError and InvalidURL: a label of the host is too long.
    except (socket.gaierror, UnicodeError, InvalidURL):
        raise Refused("must have a host that DNS can resolve: DNS has no such host") from None


def session(url: str) -> Any:
    """A `requests.Session` that connects to public addresses only.

    On the local stack it connects to loopback too.
    """
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
    http = policy.get_antissrf_session()
    # Ignore HTTPS_PROXY, because a proxy resolves the host itself, and passwords in .netrc.
    http.trust_env = False
    # Without this, requests reads the whole body of a redirect, although it does not follow it.
    # https://requests.readthedocs.io/en/latest/api/#requests.Session.get_redirect_target
    http.get_redirect_target = lambda answer: None
    for adapter in http.adapters.values():
        # AntiSSRF sets `Host` without the port, and without the brackets of an IPv6 address.
        # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
        adapter.add_headers = _with_authority
    return http


def _with_authority(request: Any, **_: Any) -> None:
    request.headers["Host"] = urlsplit(request.url).netloc
