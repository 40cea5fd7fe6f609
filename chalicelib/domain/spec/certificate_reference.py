"""ARNs of AWS Certificate Manager certificates that a load balancer can use.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html
"""

from __future__ import annotations

import re

from chalicelib.domain.spec.faults import shown

ARN = re.compile(
    r"arn:aws[a-z-]{0,16}:acm:(?P<region>[a-z0-9-]{1,32}):\d{12}:certificate/[\w-]{1,128}", re.ASCII
)


def check(value: str, region: str | None) -> None:
    """Raises `ValueError` unless `value` is the ARN of a certificate in `region`.

    Any region is valid if `region` is None: a stored record is read without the stack's limits.
    """
    arn = ARN.fullmatch(value)
    if arn is None:
        raise ValueError(
            f"must be the ARN of an AWS Certificate Manager certificate, not {shown(value)}. "
            "Example: arn:aws:acm:us-east-1:123456789012:certificate/0123-abcd"
        )
    if region is not None and arn["region"] != region:
        raise ValueError(f"must be in {region}, the load balancer's region, not in {arn['region']}")
