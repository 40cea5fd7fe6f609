"""Decides whether a request meets the conditions of a rule.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

from local.load_balancers.configuration import Condition
from local.load_balancers.regexes import wildcard
from local.load_balancers.request import Request


def met(condition: Condition, request: Request) -> bool:
    """Return whether one of the condition's values matches the request. Unknown fields never do."""
    check = _CHECKS.get(condition.field)
    return check is not None and check(condition, request)


def _host(condition: Condition, request: Request) -> bool:
    """ "A hostname is not case-sensitive." """
    return _any_matches(condition, [request.hostname], ignore_case=True)


def _path(condition: Condition, request: Request) -> bool:
    """ "A path pattern is case-sensitive"; it is "applied only to the path of the URL"."""
    return _any_matches(condition, [request.path], ignore_case=False)


def _header(condition: Condition, request: Request) -> bool:
    """ "The header name and the match evaluation are not case-sensitive." """
    return _any_matches(condition, request.all(condition.name), ignore_case=True)


def _method(condition: Condition, request: Request) -> bool:
    """ "The match evaluation is case-sensitive"; "the method name must be an exact match"."""
    return request.method in condition.values


def _query(condition: Condition, request: Request) -> bool:
    """ "The match evaluation is not case-sensitive." A missing key matches any key."""
    sent = [
        (unquote_plus(key), unquote_plus(value))
        for key, _, value in (part.partition("=") for part in request.query.split("&") if part)
    ]
    return any(
        (key is None or _matches_query(key, name)) and _matches_query(wanted, value)
        for key, wanted in condition.pairs
        for name, value in sent
    )


def _matches_query(pattern: str, text: str) -> bool:
    return wildcard(pattern, ignore_case=True, escapes=True).fullmatch(text) is not None


def _source(condition: Condition, request: Request) -> bool:
    """ "This condition is not satisfied by the addresses in the X-Forwarded-For header." """
    address = ipaddress.ip_address(request.source)
    return any(address in network for network in condition.networks)


def _any_matches(condition: Condition, texts: Iterable[str], ignore_case: bool) -> bool:
    patterns: list[re.Pattern[str]] = [wildcard(each, ignore_case) for each in condition.values]
    return any(
        any(pattern.fullmatch(text) for pattern in patterns)
        or any(regex.search(text) for regex in condition.regexes)
        for text in texts
    )


_CHECKS = {
    "host-header": _host,
    "path-pattern": _path,
    "http-header": _header,
    "http-request-method": _method,
    "query-string": _query,
    "source-ip": _source,
}
