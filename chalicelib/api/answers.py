"""What the API answers: one model for each shape, which renders the shape and describes it.

The models of chat, Slack and webhooks are next to their endpoints. A model is built when it is
first used, because most functions that import the app never answer a request.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, RootModel, WithJsonSchema

from chalicelib.domain import operation, parts
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.record import Status
from chalicelib.domain.spec.sources import Source
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.clock import rfc3339

Moment = Annotated[
    datetime,
    PlainSerializer(rfc3339, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Scope = Literal["read", "deploy", "admin"]
Outcome = Literal["succeeded", "rolled_back", "failed", "cancelled"]
SpecSources = Annotated[
    dict[str, Source],
    Field(
        description="Where each value comes from: the caller, the image's exposed port, an image "
        "label, or the default. The keys are the fields of the spec, and health_check.path."
    ),
]
NextCursor = Annotated[
    str | None,
    Field(description="Send this as `cursor` to get the next page. It is null on the last page."),
]


class Shape(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(defer_build=True, from_attributes=True, serialize_by_alias=True)

    def document(self) -> dict[str, Any]:
        """The JSON document; times are RFC 3339 in UTC with milliseconds."""
        return self.model_dump(mode="json")


class Step(operation.Step):
    """One step of an operation. All steps are listed from the start of the operation."""

    model_config = Shape.model_config

    status: Literal["pending", "running", "succeeded", "failed", "skipped"] = "pending"  # type: ignore[assignment]
    started_at: Moment | None = None
    finished_at: Moment | None = None


class Operation(Shape):
    """The running operation of a deployment, or its last one."""

    kind: str
    status: Literal["running", "succeeded", "failed", "rolled_back", "cancelled"]
    generation: int
    percent: int = Field(ge=0, le=100)
    started_at: Moment
    finished_at: Moment | None
    deadline: Moment
    steps: list[Step]


class Failure(parts.Failure):
    """What failed, what the caller can do, and AWS's own messages as evidence."""

    model_config = Shape.model_config

    code: FailureCode


class DeploymentHealth(Shape):
    """Whether the tasks of a deployment serve. Its `failure` says why some do not.

    `healthy`: as many tasks serve as wanted. `degraded`: fewer serve. `down`: none serves.
    `unknown`: not checked yet. Tasks do not count as missing while they start within the health
    check's `grace`, or if Slipway, a scale-in or zone rebalancing stopped them.
    """

    status: Literal["healthy", "degraded", "down", "unknown"]
    running: int | None = Field(description="How many tasks serve. Null if not checked yet.")
    wanted: int = Field(description="How many tasks should serve.")
    since: Moment
    checked_at: Moment | None
    failure: Failure | None


class Resource(parts.Resource):
    """An AWS resource of the deployment. After a teardown, the list is the receipt."""

    model_config = Shape.model_config

    created_at: Moment | None = None
    deleted_at: Moment | None = None


class Price(Shape):
    """What a deployment costs per hour while it serves."""

    usd_per_hour: float
    basis: str


class Cost(Price):
    """What a deployment costs per hour, and the USD accrued so far, rounded to cents."""

    accrued_usd: float


class Links(Shape):
    """Paths, relative to the root of the API."""

    self: str
    events: str
    tasks: str
    logs: str


class Deployment(Shape):
    """A deployment: its status, operation, failure, resources and cost."""

    id: str
    name: str
    owner: str
    status: Status
    generation: int
    outcome: Outcome | None = Field(
        description="The result of the latest operation that a caller or the time to live "
        "started. It is null while that operation runs, and before the first one. Repairs by "
        "Slipway do not change it."
    )
    outcome_generation: int | None = Field(
        description="The `generation` in the 202 of that operation. If it is greater than the one "
        "in your 202, a later operation superseded yours."
    )
    url: str | None
    dns: parts.Dns | None
    spec: Spec
    spec_sources: SpecSources
    image: parts.Image
    operation: Operation
    failure: Failure | None
    health: DeploymentHealth | None = Field(
        description="Null unless the deployment is ACTIVE or UPDATING, and during pause and resume."
    )
    prediction: parts.Prediction | None
    resources: list[Resource]
    leftovers: list[parts.Leftover]
    cost: Cost
    created_at: Moment
    updated_at: Moment
    expires_at: Moment | None
    deleted_at: Moment | None
    links: Links


class Deployments(Shape):
    """A page of deployments, newest first."""

    deployments: list[Deployment]
    next_cursor: NextCursor


class Check(Shape):
    """One check of a spec.

    `skipped` if the spec has nothing to check, `not_known` if AWS does not answer the check.
    """

    # The check `quota` also has the limits and what is used, as a refused create has them.
    model_config = ConfigDict(extra="allow")

    name: str
    status: Literal["passed", "failed", "not_known", "skipped"]
    code: str | None
    message: str | None
    hint: str | None


class Validation(Shape):
    """The checks of a create, and its cost. `valid` is false if a check failed."""

    valid: bool
    checks: list[Check]
    cost: Price
    image: parts.Image
    spec: Spec


class ChangedField(Shape):
    """A field of the spec that a PATCH would change."""

    field: str = Field(description="The name of the field.")
    before: Any = Field(description="Its value now.")
    after: Any = Field(description="Its value after the change.")


class ChangeValidation(Validation):
    """What a change would find and cost, and what it would change."""

    changes: list[ChangedField] = Field(
        description="Empty if nothing changes. An image with the same digest is no change."
    )
    restarts: bool = Field(description="Whether new tasks would replace the running ones.")


class Unchanged(RootModel[Deployment | ChangeValidation]):
    """The deployment, if nothing changes; with `validate_only=true` what would change."""

    model_config = ConfigDict(defer_build=True)


class Event(parts.Event):
    """One change of status or step. Events are numbered without gaps."""

    model_config = Shape.model_config

    at: Moment


class Events(Shape):
    """A page of events, oldest first."""

    events: list[Event]
    next_cursor: NextCursor


class Task(Shape):
    """A task as ECS and the target group report it now."""

    id: str
    status: str
    health: str | None
    target_health: str | None
    public_ip: str | None
    zone: str | None
    started_at: Moment | None
    stopped_reason: str | None


class Tasks(Shape):
    """The tasks that ECS reports now."""

    tasks: list[Task]


class LogLine(Shape):
    """A line of a task's log."""

    at: Moment
    task: str
    message: str


class Logs(Shape):
    """Lines of all tasks, oldest first. `next_cursor` also returns lines that are written later.

    After a failed create was torn down: its last 1,000 lines (at most 256 KiB), until the
    deployment is deleted or created again.
    """

    lines: list[LogLine]
    next_cursor: NextCursor


class MetricsPoint(Shape):
    """One period, which starts at `at`. A figure is null if nothing was measured."""

    at: Moment
    requests: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    http_4xx: int
    http_5xx: int
    cpu_percent: float | None
    memory_percent: float | None


class Metrics(Shape):
    """One point for each period. CloudWatch reports figures some minutes late."""

    period_seconds: int
    start: Moment = Field(serialization_alias="from")
    end: Moment = Field(serialization_alias="to")
    series: list[MetricsPoint]


class IssuedToken(Shape):
    """A new token. No other response contains `token`."""

    id: str
    token: str
    owner: str
    scopes: list[Scope]
    expires_at: Moment | None


class Token(Shape):
    """A token without its secret. `last_used_at` is exact to the hour."""

    id: str
    owner: str
    scopes: list[Scope]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None


class Tokens(Shape):
    """Every owner's tokens, newest first, including those that expired within 30 days."""

    tokens: list[Token]


class Health(Shape):
    """The API responds."""

    status: Literal["ok"]
    version: str


class Document(Shape):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    paths: dict[str, Any]


class Fault(Shape):
    """What is wrong with one field or parameter, and what is allowed."""

    field: str
    message: str


class Problem(Shape):
    """RFC 9457: why the request failed. `errors` lists every fault of the request."""

    type: Literal["about:blank"]
    title: str
    status: int = Field(ge=400, le=599)
    code: str
    detail: str
    instance: str
    errors: list[Fault]
