"""The deployment spec: its fields, their defaults and every rule.

A rule about two fields validates the second one and reads the first from `info.data`. Pydantic runs
model validators only if all fields are valid, but a caller must get every fault at once.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from chalicelib.domain.naming import NAME_PATTERN
from chalicelib.domain.spec import (
    certificate_reference,
    domain_name,
    fargate,
    faults,
    image_reference,
    ingress,
    scaling,
    tags,
    task_role,
    time_to_live,
    variables,
)
from chalicelib.domain.spec import request_timeout as request_timeouts
from chalicelib.domain.spec.fargate import MEMORY_BY_CPU, memory_choices
from chalicelib.domain.spec.health_check import HealthCheck
from chalicelib.domain.spec.scaling import Scaling
from chalicelib.domain.spec.smoke_test import SmokeTest
from chalicelib.domain.spec.strict import Strict

DEFAULT_PORT = 80
EVERYONE = ["0.0.0.0/0"]


class Spec(Strict):
    """The spec of a deployment: the body of `POST /deployments`, with its defaults.

    Call `parsing.parse` or `parsing.patched` to validate a body: they apply the stack's allow-lists
    and limits.
    """

    name: str
    image: str
    # Null until the step `resolve_image` is done, unless the caller sets it.
    port: int | None = Field(None, ge=1, le=65535)
    cpu: int = 256
    memory: int = Field(512, validate_default=True)
    architecture: Literal["X86_64", "ARM64"] = "X86_64"
    scaling: Scaling | None = None
    # None if `scaling` replaces it.
    count: int | None = Field(1, validate_default=True)
    command: list[str] | None = Field(None, min_length=1, max_length=64)
    environment: dict[str, str] = Field({}, max_length=64)
    not_secret: list[str] = Field([], max_length=64)
    secrets: dict[str, str] = Field({}, max_length=64)
    health_check: HealthCheck = HealthCheck()
    smoke_test: SmokeTest = SmokeTest()
    storage_gib: int = Field(fargate.LEAST_STORAGE_GIB, ge=fargate.LEAST_STORAGE_GIB, le=200)
    # None: the stack's own role, which has no permissions.
    task_role_arn: str | None = None
    # None in a spec that an earlier version stored.
    request_timeout: int | None = Field(None, ge=1, le=request_timeouts.MOST, validate_default=True)
    load_balancer: Literal["dedicated"] = "dedicated"
    ingress_cidrs: list[str] = EVERYONE
    certificate_arn: str | None = None
    domain: str | None = None
    ttl: str | None = None
    on_failure: Literal["teardown", "keep"] = "teardown"
    callback_url: str | None = None
    tags: dict[str, str] = Field({}, max_length=40)

    @property
    def container_port(self) -> int:
        """The port of the container; the default port until it is known."""
        return self.port or DEFAULT_PORT

    @property
    def size(self) -> int:
        """The bytes of the spec as JSON."""
        return len(self.model_dump_json().encode())

    @property
    def least_tasks(self) -> int:
        """The number of tasks, or the minimum if the deployment scales."""
        return self.scaling.min if self.scaling else self.count or 0

    @property
    def most_tasks(self) -> int:
        """The number of tasks, or the maximum if the deployment scales."""
        return self.scaling.max if self.scaling else self.count or 0

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not re.fullmatch(NAME_PATTERN, value):
            raise ValueError(
                f"{faults.shown(value)} is not valid: use 1 to 24 characters (a-z, 0-9, hyphen), "
                "start with a letter, and do not end with a hyphen"
            )
        if value == "internal" or value.startswith("internal-"):
            raise ValueError(
                "must not be 'internal' or start with 'internal-': AWS reserves this prefix"
            )
        return value

    @field_validator("image")
    @classmethod
    def _image(cls, value: str, info: ValidationInfo) -> str:
        image = image_reference.parse(value)
        allowed = (info.context or {}).get("allowed_registries")
        if allowed is not None and not image_reference.is_allowed(image, allowed):
            raise ValueError(
                f"must be in an allowed registry ({', '.join(allowed) or 'none is set'}), not in "
                f"{image.registry}: your platform team sets AllowedRegistries"
            )
        return value

    @field_validator("cpu")
    @classmethod
    def _cpu(cls, value: int) -> int:
        if value not in MEMORY_BY_CPU:
            sizes = ", ".join(map(str, MEMORY_BY_CPU))
            raise ValueError(f"must be one of {sizes} CPU units, not {value}")
        return value

    @field_validator("memory")
    @classmethod
    def _memory(cls, value: int, info: ValidationInfo) -> int:
        cpu = info.data.get("cpu")
        if cpu is not None and value not in MEMORY_BY_CPU[cpu]:
            raise ValueError(
                f"must be {memory_choices(cpu)} MiB when cpu is {cpu} (a Fargate limit), "
                f"not {value}"
            )
        return value

    @field_validator("count")
    @classmethod
    def _count(cls, value: int | None, info: ValidationInfo) -> int | None:
        if info.data.get("scaling") is not None:
            return None
        if value is None and "scaling" in info.data:
            raise ValueError("must be a number of tasks, such as 1, unless scaling is set")
        if value is not None:
            scaling.refuse_above_limit(value, info)
        return value

    @field_validator("environment")
    @classmethod
    def _environment(cls, value: dict[str, str]) -> dict[str, str]:
        variables.check_environment(value)
        return value

    @field_validator("not_secret")
    @classmethod
    def _not_secret(cls, value: list[str]) -> list[str]:
        variables.check_not_secret(value)
        return value

    @field_validator("secrets")
    @classmethod
    def _secrets(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        environment, context = info.data.get("environment") or {}, info.context or {}
        variables.check_secrets(
            value, environment, context.get("region"), context.get("allowed_secrets")
        )
        return value

    @field_validator("ingress_cidrs")
    @classmethod
    def _ingress_cidrs(cls, value: list[str]) -> list[str]:
        ingress.check(value)
        return value

    @field_validator("certificate_arn")
    @classmethod
    def _certificate_arn(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            certificate_reference.check(value, (info.context or {}).get("region"))
        return value

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            domain_name.check(value, (info.context or {}).get("allowed_domains"))
        return value

    @field_validator("request_timeout")
    @classmethod
    def _request_timeout(cls, value: int | None, info: ValidationInfo) -> int | None:
        return (info.context or {}).get(request_timeouts.NAME) if value is None else value

    @field_validator("task_role_arn")
    @classmethod
    def _task_role_arn(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            task_role.check(value, (info.context or {}).get("allowed_task_roles"))
        return value

    @field_validator("ttl")
    @classmethod
    def _ttl(cls, value: str | None) -> str | None:
        if value is not None:
            time_to_live.parse(value)
        return value

    @field_validator("callback_url")
    @classmethod
    def _callback_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        fault = (info.context or {}).get("callback_fault")
        if value is not None and fault:
            raise ValueError(fault)
        return value

    @field_validator("tags")
    @classmethod
    def _tags(cls, value: dict[str, str]) -> dict[str, str]:
        tags.check(value)
        return value
