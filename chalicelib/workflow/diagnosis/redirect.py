"""Find out where the path of a health check redirects to, and what would answer instead.

Target health has only the status code. If no target of a target group is healthy, the load balancer
sends requests to the unhealthy ones, so a request to its URL shows the `Location`.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.spec import ingress, status_codes
from chalicelib.domain.spec.spec import Spec
from chalicelib.resources import load_balancer, target_group
from chalicelib.workflow import https

TIMEOUT_SECONDS = 3.0
ALL_SECONDS = 8.0
MOST_REQUESTS = 3
LOCATION_LENGTH = 300
REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Redirect:
    """What requests through the load balancer showed.

    Attributes:
        location: the first `Location`; "" if the load balancer's request was not redirected.
        path: the path on the same host at the end of the redirects; "" if they leave the host.
        status: what that path returned.
    """

    location: str
    path: str = ""
    status: int = 0

    def hint(self, spec: Spec) -> str:
        """What to change so that the health check gets an answer of its own."""
        check, parts = spec.health_check, urlsplit(self.location)
        exempt = f"Exempt `{check.path}` from the redirect in the program"
        if not self.location:
            return (
                f"The same path returned {self.status} with `X-Forwarded-Proto: https` and Host "
                f"`{spec.domain}`. A health check sends neither. {exempt}."
            )
        if self.path and check.status and status_codes.covers(check.status, self.status):
            return f'Set `health_check.path` to "{self.path}", which returned {self.status}.'
        if self.path:
            return (
                f"Set `health_check.path` to a path that returns {check.status} without a "
                f"redirect. `{self.path}` returned {self.status}."
            )
        if parts.scheme == "https":
            return (
                f"{exempt} to HTTPS. A health check is plain HTTP and has no `X-Forwarded-Proto: "
                "https`, for which most programs do not redirect."
            )
        return (
            f"{exempt} to `{parts.netloc}`. A health check sends the task's IP address as its Host "
            "header."
        )


def find(deployment: Deployment) -> Redirect | None:
    """Where the health check's path redirects to, or None if that cannot be known.

    Takes at most a few seconds. Follows redirects only on the load balancer's own host.
    """
    if not ingress.is_everyone(deployment.spec.ingress_cidrs):
        return None  # the load balancer does not let Slipway in
    balancer = load_balancer.find(deployment.id)
    states = {target.state for target in target_group.targets(deployment.id)}
    # A healthy target, such as one of the previous version, would answer instead.
    if balancer is None or balancer.state != "active" or "healthy" in states or not states:
        return None
    try:
        return _follow(balancer.url(deployment.spec), deployment.spec)
    except (OSError, http.client.HTTPException, ValueError):
        return None


def _follow(url: str, spec: Spec) -> Redirect | None:
    prefix = urlsplit(url).path
    path, first = spec.health_check.path or "/", ""
    deadline = time.monotonic() + ALL_SECONDS
    for _ in range(MOST_REQUESTS):
        status, location = _get(url, path, prefix, spec)
        if status not in REDIRECTS or not location:
            if first:
                return Redirect(first, path, status)
            is_https = urlsplit(url).scheme == "https" and status < http.client.BAD_REQUEST
            return Redirect("", path, status) if is_https else None
        first = first or location
        following = _on_same_host(url, path, location, spec)
        if not following or time.monotonic() > deadline:
            break
        path = following
    return Redirect(first)


def _get(url: str, path: str, prefix: str, spec: Spec) -> tuple[int, str]:
    """The status and the `Location` of `path`. Reads no body."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # Only a status and a path are read, so the certificate does not matter.
        connection = https.connection(parts.netloc, spec.domain, TIMEOUT_SECONDS, verified=False)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    headers = {"User-Agent": "slipway-diagnosis", **({"Host": spec.domain} if spec.domain else {})}
    try:
        connection.request("GET", prefix + path, headers=headers)
        response = connection.getresponse()
        location = response.getheader("Location", "")
    finally:
        connection.close()
    return response.status, "".join(filter(str.isprintable, location))[:LOCATION_LENGTH]


def _on_same_host(url: str, path: str, location: str, spec: Spec) -> str:
    """The path that `location` points to, or "" if scheme or host differ."""
    base = urlsplit(url)
    target = urlsplit(urljoin(f"{base.scheme}://{base.netloc}{path}", location))
    own = {base.hostname, spec.domain}
    if target.scheme != base.scheme or target.hostname not in own or not target.path.isascii():
        return ""
    return (target.path or "/") + (f"?{target.query}" if target.query else "")
