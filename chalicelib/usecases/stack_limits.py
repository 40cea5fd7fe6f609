"""What the stack allows in a spec."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.spec.parsing import Limits
from chalicelib.platform.settings import settings
from chalicelib.usecases import callback_url


def limits(fields: Any) -> Limits:
    """The limits for `parse` and `patched`.

    Resolves the host of the fields' `callback_url` here, once, although the fields may be parsed
    several times.
    """
    url = fields.get("callback_url") if isinstance(fields, dict) else None
    return {
        "callback_fault": callback_url.fault(url) if isinstance(url, str) else None,
        "allowed_registries": settings().allowed_registries,
        "allowed_secrets": settings().allowed_secrets,
        "allowed_domains": settings().allowed_domains,
        "allowed_task_roles": settings().allowed_task_roles,
        "region": settings().aws_region,
        "max_tasks": settings().max_tasks,
    }
