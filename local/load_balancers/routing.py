"""Decides which rule handles a request, and what the load balancer answers by itself."""

from __future__ import annotations

from local.load_balancers.conditions import met
from local.load_balancers.configuration import Listener, Redirect, Rule
from local.load_balancers.request import Request

# The URL in the Location header can have 8 KB; a longer one is counted as
# HTTP_Redirect_Url_Limit_Exceeded_Count.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
LOCATION_BYTES = 8 * 1024


def matching_rule(listener: Listener, request: Request) -> Rule | None:
    """The first rule, by priority, whose conditions are all met. The default rule has none.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
    """
    return next(
        (rule for rule in listener.rules if all(met(each, request) for each in rule.conditions)),
        None,
    )


def location(redirect: Redirect, listener: Listener, request: Request) -> str:
    """The URL that a redirect points to.

    "#{path}" has no leading "/". The port is always present, as in AWS's answers.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
    """
    parts = {
        "protocol": listener.protocol,
        "host": request.hostname,
        "port": str(listener.port),
        "path": request.path.removeprefix("/"),
        "query": request.query,
    }

    def filled(template: str) -> str:
        for name, value in parts.items():
            template = template.replace(f"#{{{name}}}", value)
        return template

    protocol = filled(redirect.protocol).lower()
    url = f"{protocol}://{filled(redirect.host)}:{filled(redirect.port)}{filled(redirect.path)}"
    query = filled(redirect.query)
    return f"{url}?{query}" if query else url
