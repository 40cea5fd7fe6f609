"""Rewrites a request before it is sent to a target.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-transforms.html
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from local.load_balancers.configuration import Transform
from local.load_balancers.regexes import expand
from local.load_balancers.request import Request

# What a rewritten URL and host may contain: visible ASCII characters, and no fragment.
_URL = re.compile(r"/[!-\"$-~]*")
_HOST = re.compile(r"[A-Za-z0-9._\-\[\]:]+")


class TransformFailed(Exception):
    """The pattern matches, but its result is no URL or host: AWS returns an HTTP 500 error."""


def transformed(transforms: Sequence[Transform], request: Request) -> Request:
    """Apply the transforms. "If there is no pattern match, the original request is sent."

    Raises:
        TransformFailed: see there.
    """
    for transform in transforms:
        if transform.type == "url-rewrite":
            request = _url_rewritten(transform, request)
        else:
            request = _host_rewritten(transform, request)
    return request


def _host_rewritten(transform: Transform, request: Request) -> Request:
    name = _rewritten(transform, request.hostname)
    if name == request.hostname:
        return request
    if not _HOST.fullmatch(name):
        raise TransformFailed(f"{name!r} is not a host name")
    return dataclasses.replace(request, host=name + request.host[len(request.hostname) :])


def _url_rewritten(transform: Transform, request: Request) -> Request:
    """Rewrite path and query, which a pattern sees as one text: "/path?query"."""
    before = f"{request.path}?{request.query}" if request.query else request.path
    after = _rewritten(transform, before)
    if after == before:
        return request
    if not _URL.fullmatch(after):
        raise TransformFailed(f"{after!r} is not a path with a query string")
    path, _, query = after.partition("?")
    return dataclasses.replace(request, path=path, query=query)


def _rewritten(transform: Transform, text: str) -> str:
    """Replace the first match of the first pattern that matches."""
    for regex, replacement in transform.rewrites:
        match = regex.search(text)
        if match:
            try:
                middle = expand(match, replacement)
            except IndexError as error:
                raise TransformFailed(f"{replacement!r}: {error}") from None
            return text[: match.start()] + middle + text[match.end() :]
    return text
