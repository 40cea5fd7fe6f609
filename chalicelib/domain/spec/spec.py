"""The deployment spec: what a caller may ask for, and every rule it must keep.

Rules that look at two fields hang on the second one and read the first from `info.data`, not on
the model: pydantic runs model validators only when all fields are well, and a caller is owed
all faults at once.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Unpack

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from chalicelib.domain.naming import NAME_PATTERN
from chalicelib.domain.spec import (
    certificate_reference,
    domain_name,
    faults,
    image_reference,
    ingress,
    scaling,
    time_to_live,
    variables,
)
from chalicelib.domain.spec.fargate import MEMORY_BY_CPU, memory_choices
from chalicelib.domain.spec.scaling import Scaling
from chalicelib.domain.spec.strict import Strict

FIXED = {"name", "load_balancer", "architecture"}
FIXED_RULE = "cannot be changed: delete this deployment and make another"
EVERYONE = ["0.0.0.0/0"]

PATH = re.compile(r"/(?!/)[\x21-\x7e]{0,1023}|/")
STATUS_LIST = re.compile(r"[2-4]\d\d(-[2-4]\d\d)?(,[2-4]\d\d(-[2-4]\d\d)?)*", re.ASCII)
_TAG_TEXT = re.compile(r"[\w .:/=+\-@]*")


def _http_path(value: str) -> str:
    if not PATH.fullmatch(value):
        raise ValueError("must be a path such as /health: one / first, no spaces, never a URL")
    return value


HttpPath = Annotated[str, AfterValidator(_http_path)]


class HealthCheck(Strict):
    """How the load balancer asks a task whether it is well; times in seconds."""

    path: HttpPath = "/"
    status: str = "200-399"
    interval: int = Field(5, ge=5, le=300)
    timeout: int = Field(4, ge=2, le=120, validate_default=True)
    grace: int = Field(60, ge=0, le=1800)

    @field_validator("status")
    @classmethod
    def _status(cls, value: str) -> str:
        ranges = (part.split("-") for part in value.split(","))
        if not STATUS_LIST.fullmatch(value) or any(r != sorted(r) for r in ranges):
            raise ValueError("must be HTTP codes from 200 to 499, such as 200, 200,204 or 200-399")
        return value

    @field_validator("timeout")
    @classmethod
    def _timeout(cls, value: int, info: ValidationInfo) -> int:
        interval = info.data.get("interval")
        if interval is not None and value >= interval:
            raise ValueError(f"must be less than interval, which is {interval}")
        return value


class SmokeTest(Strict):
    """One real request through the load balancer before a deployment is called ACTIVE."""

    path: HttpPath | None = None
    status: int = Field(200, ge=100, le=599)
    json_has: list[Annotated[str, Field(min_length=1, max_length=128)]] = Field([], max_length=32)
    max_latency_ms: int | None = Field(None, ge=1, le=25_000)


class Spec(Strict):
    """What a caller sends to `POST /deployments`, with defaults filled in.

    Validate through `parse` or `patched`, which pass in the stack's allow-list and limits.
    """

    name: str
    image: str
    port: int = Field(80, ge=1, le=65535)
    cpu: int = 256
    memory: int = Field(512, validate_default=True)
    architecture: Literal["X86_64", "ARM64"] = "X86_64"
    scaling: Scaling | None = None
    # None where `scaling` replaces it.
    count: int | None = Field(1, ge=0, validate_default=True)
    command: list[str] | None = Field(None, min_length=1, max_length=64)
    environment: dict[str, str] = Field({}, max_length=64)
    secrets: dict[str, str] = Field({}, max_length=64)
    health_check: HealthCheck = HealthCheck()
    smoke_test: SmokeTest = Field(SmokeTest(), validate_default=True)
    load_balancer: Literal["dedicated"] = "dedicated"
    ingress_cidrs: list[str] = EVERYONE
    certificate_arn: str | None = None
    domain: str | None = None
    ttl: str | None = None
    on_failure: Literal["teardown", "keep"] = "teardown"
    callback_url: str | None = None
    tags: dict[str, str] = Field({}, max_length=40)

    @property
    def least_tasks(self) -> int:
        """How many tasks there are, or at least are where the spec says how they scale."""
        return self.scaling.min if self.scaling else self.count or 0

    @property
    def most_tasks(self) -> int:
        """How many tasks there may be, however they scale."""
        return self.scaling.max if self.scaling else self.count or 0

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not re.fullmatch(NAME_PATTERN, value):
            raise ValueError(
                "must be 1 to 24 of a-z, 0-9 and hyphen, with a letter first and no hyphen last"
            )
        if value == "internal" or value.startswith("internal-"):
            raise ValueError("must not start with internal: AWS keeps that for load balancers")
        return value

    @field_validator("image")
    @classmethod
    def _image(cls, value: str, info: ValidationInfo) -> str:
        image = image_reference.parse(value)
        allowed = (info.context or {}).get("allowed_registries")
        if allowed is not None and not image_reference.is_allowed(image, allowed):
            raise ValueError(
                f"must be of an allowed registry: {', '.join(allowed) or 'none is set'}"
            )
        return value

    @field_validator("cpu")
    @classmethod
    def _cpu(cls, value: int) -> int:
        if value not in MEMORY_BY_CPU:
            raise ValueError(f"must be one of {', '.join(map(str, MEMORY_BY_CPU))} CPU units")
        return value

    @field_validator("memory")
    @classmethod
    def _memory(cls, value: int, info: ValidationInfo) -> int:
        cpu = info.data.get("cpu")
        if cpu is not None and value not in MEMORY_BY_CPU[cpu]:
            raise ValueError(
                f"must be {memory_choices(cpu)} MiB: with cpu {cpu} Fargate offers nothing else"
            )
        return value

    @field_validator("count")
    @classmethod
    def _count(cls, value: int | None, info: ValidationInfo) -> int | None:
        if info.data.get("scaling") is not None:
            return None
        if value is None and "scaling" in info.data:
            raise ValueError("must be a number of tasks, such as 1, where there is no scaling")
        if value is not None:
            scaling.refuse_above_limit(value, info)
        return value

    @field_validator("environment")
    @classmethod
    def _environment(cls, value: dict[str, str]) -> dict[str, str]:
        variables.check_environment(value)
        return value

    @field_validator("secrets")
    @classmethod
    def _secrets(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        environment, context = info.data.get("environment") or {}, info.context or {}
        variables.check_secrets(
            value, environment, context.get("region"), context.get("allowed_secrets")
        )
        return value

    @field_validator("smoke_test")
    @classmethod
    def _smoke_test(cls, value: SmokeTest, info: ValidationInfo) -> SmokeTest:
        health_check = info.data.get("health_check")
        if value.path is None and health_check is not None:
            return value.model_copy(update={"path": health_check.path})
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
        for key, text in value.items():
            if key.lower().startswith(("aws:", "slipway:")):
                raise ValueError(f"{key!r}: the prefixes aws: and slipway: are reserved")
            if not 1 <= len(key) <= 128 or len(text) > 256:
                raise ValueError(f"{key!r}: a key has 1 to 128 characters, a value at most 256")
            if not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(text):
                raise ValueError(f"{key!r}: use letters, digits, spaces and . : / = + - @ _")
        return value


class Limits(TypedDict):
    """What the stack allows a caller, for `parse` and `patched`.

    `callback_fault` is what was found wrong with the body's `callback_url`: its host is looked up
    beforehand, once.
    """

    allowed_registries: tuple[str, ...]
    max_tasks: int
    region: NotRequired[str]
    allowed_secrets: NotRequired[tuple[str, ...]]
    allowed_domains: NotRequired[tuple[str, ...]]
    callback_fault: NotRequired[str | None]


def parse(body: Any, **limits: Unpack[Limits]) -> Spec:
    """The spec in a request body. Raises `ValidationFailed` naming every fault at once."""
    return _validate(body, limits)


class Extension(Strict):
    """The body of an extend."""

    ttl: str

    @field_validator("ttl")
    @classmethod
    def _ttl(cls, value: str) -> str:
        time_to_live.parse(value)
        return value


def parse_extension(body: Any) -> str:
    """The `ttl` of an extend. Raises `ValidationFailed`."""
    return faults.validated(Extension, body).ttl


def patched(spec: Spec, body: Any, **limits: Unpack[Limits]) -> Spec:
    """`spec` with the fields of a PATCH body in their place, each as a whole.

    Raises `ValidationFailed` likewise.
    """
    if isinstance(body, dict) and not body:
        raise faults.refused(
            [faults.fault("", "name at least one field to change, such as count or image")]
        )
    merged = {**spec.model_dump(), **body} if isinstance(body, dict) else body
    return _validate(merged, limits, sent=body)


def _validate(body: Any, limits: Limits, sent: Any = None) -> Spec:
    """`sent` is the body of a PATCH, of which `body` is the outcome."""
    if not isinstance(body, dict):
        raise faults.refused([faults.fault("", "the body must be a JSON object")])
    found = [faults.fault(field, FIXED_RULE) for field in sorted(FIXED & set(sent or ()))]
    named = body if sent is None else sent
    if clash := scaling.conflict(body, named):
        found.append(faults.fault("count", clash))
    body = scaling.without_count(body, named)
    context = {"region": "", "allowed_secrets": (), "allowed_domains": (), **limits}
    try:
        spec = Spec.model_validate(body, context=context)
    except ValidationError as error:
        found += [
            faults.from_pydantic(fault, Spec)
            for fault in error.errors()
            if fault["loc"][:1] not in {(f["field"],) for f in found}
        ]
        raise faults.refused(found) from None
    if found:
        raise faults.refused(found)
    return spec
