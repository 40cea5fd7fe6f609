"""References to certificates of AWS Certificate Manager, as a load balancer takes them: ARNs.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html
"""

from __future__ import annotations

import re

ARN = re.compile(
    r"arn:aws[a-z-]{0,16}:acm:(?P<region>[a-z0-9-]{1,32}):\d{12}:certificate/[\w-]{1,128}", re.ASCII
)


def check(value: str, region: str | None) -> None:
    """Raises `ValueError` for anything but the ARN of a certificate in `region`.

    `region` None: not held against the stack's own (a record that is read again).
    """
    found = ARN.fullmatch(value)
    if found is None:
        raise ValueError(
            "must be the ARN of a certificate in AWS Certificate Manager, such as "
            "arn:aws:acm:us-east-1:123456789012:certificate/0123-abcd"
        )
    if region is not None and found["region"] != region:
        raise ValueError(f"must be in {region}, where the load balancer is")
