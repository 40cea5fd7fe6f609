"""What the endpoints answer: one model for each shape, which renders it and describes it.

The models are built when they are first used: most functions that import the app never answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from chalicelib.domain import operation, parts, publication
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.record import Status
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.clock import rfc3339

Moment = Annotated[
    datetime,
    PlainSerializer(rfc3339, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Scope = Literal["read", "deploy", "admin"]
NextCursor = Annotated[
    str | None, Field(description="Send it as `cursor=` for the next page; null on the last one.")
]


class Shape(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(defer_build=True, from_attributes=True, serialize_by_alias=True)

    def document(self) -> dict[str, Any]:
        """As JSON has it: times are RFC 3339 in UTC with milliseconds."""
        return self.model_dump(mode="json")


class Step(operation.Step):
    """One step of an operation; all of them are listed from its start."""

    model_config = Shape.model_config

    status: Literal["pending", "running", "succeeded", "failed", "skipped"] = "pending"  # type: ignore[assignment]
    started_at: Moment | None = None
    finished_at: Moment | None = None


class Operation(Shape):
    """What is done to a deployment now, or was last."""

    kind: str
    status: Literal["running", "succeeded", "failed", "rolled_back", "cancelled"]
    generation: int
    percent: int = Field(ge=0, le=100)
    started_at: Moment
    finished_at: Moment | None
    deadline: Moment
    steps: list[Step]


class Failure(parts.Failure):
    """What happened, what the caller can do about it, and what AWS said."""

    model_config = Shape.model_config

    code: FailureCode


class Resource(parts.Resource):
    """An AWS resource of the deployment, and in the end its line of the receipt."""

    model_config = Shape.model_config

    created_at: Moment | None = None
    deleted_at: Moment | None = None


class Price(Shape):
    """What a deployment costs while it serves."""

    usd_per_hour: float
    basis: str


class Cost(Price):
    """What it costs, and has cost so far, in cents."""

    accrued_usd: float


class Links(Shape):
    """Paths from the root of the API."""

    self: str
    events: str
    tasks: str
    logs: str


class Deployment(Shape):
    """A deployment: how far it is, why it failed, what it costs."""

    id: str
    name: str
    owner: str
    status: Status
    generation: int
    url: str | None
    dns: parts.Dns | None
    spec: Spec
    image: parts.Image
    operation: Operation
    failure: Failure | None
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
    """One check of a spec; `skipped` where there is nothing to check, else what it came to."""

    # The check of the quotas has their figures besides, as the refusal of a create has.
    model_config = ConfigDict(extra="allow")

    name: str
    status: Literal["passed", "failed", "not_known", "skipped"]
    code: str | None
    message: str | None
    hint: str | None


class Validation(Shape):
    """What a create would find, and cost; `valid` is false as soon as one check failed."""

    valid: bool
    checks: list[Check]
    cost: Price
    image: parts.Image
    spec: Spec


class Event(parts.Event):
    """One change of status or step, numbered without a gap."""

    model_config = Shape.model_config

    at: Moment


class Events(Shape):
    """A page of events, oldest first."""

    events: list[Event]
    next_cursor: NextCursor


class Task(Shape):
    """A task as ECS and the target group tell of it now."""

    id: str
    status: str
    health: str | None
    target_health: str | None
    public_ip: str | None
    zone: str | None
    started_at: Moment | None
    stopped_reason: str | None


class Tasks(Shape):
    """The tasks that ECS knows now."""

    tasks: list[Task]


class LogLine(Shape):
    """A line that a task wrote."""

    at: Moment
    task: str
    message: str


class Logs(Shape):
    """Lines of all tasks, oldest first; `next_cursor` goes on with lines yet to be written."""

    lines: list[LogLine]
    next_cursor: NextCursor


class MetricsPoint(Shape):
    """One period, which begins at `at`; null is a figure that nothing was measured for."""

    at: Moment
    requests: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    http_4xx: int
    http_5xx: int
    cpu_percent: float | None
    memory_percent: float | None


class Metrics(Shape):
    """A point for each period; CloudWatch's figures come some minutes late."""

    period_seconds: int
    start: Moment = Field(serialization_alias="from")
    end: Moment = Field(serialization_alias="to")
    series: list[MetricsPoint]


class SlackOwner(Shape):
    """A user or channel of Slack, and the owner for whom it acts.

    `announce`: whether the owner's operations are told there, however they were started.
    """

    id: str
    owner: str
    scopes: list[Literal["read", "deploy"]]
    announce: bool
    created_at: Moment


class SlackOwners(Shape):
    """All users and channels of Slack that act for an owner, by id."""

    owners: list[SlackOwner]


class SlackAnswer(Shape):
    """What Slack shows at once, to the user alone who asked."""

    response_type: Literal["ephemeral"]
    text: str


class IssuedToken(Shape):
    """A new token; `token` itself is in no other answer."""

    id: str
    token: str
    owner: str
    scopes: list[Scope]
    expires_at: Moment | None


class Token(Shape):
    """What is known of a token; `last_used_at` is exact to the hour."""

    id: str
    owner: str
    scopes: list[Scope]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None


class Tokens(Shape):
    """Every owner's tokens, newest first, also those that have expired of late."""

    tokens: list[Token]


class ChatReply(Shape):
    """What came of a command: `text` is to be shown as it is, whatever it says.

    Commands in it stand within code marks. `deployment` is null where the command was not about
    one, was not understood or was refused.
    """

    text: str
    deployment: Deployment | None


class Subscription(Shape):
    """A URL that is told of every owner's events of these types, until it is disabled."""

    id: str
    url: str
    types: list[publication.EventType]
    created_at: Moment
    disabled_at: Moment | None
    disabled_reason: str | None


class Subscriptions(Shape):
    """Those of the whole stack, newest first, also the disabled ones."""

    subscriptions: list[Subscription]


class Try(Shape):
    """One call of a delivery; `error` is null where the answer was 2xx."""

    at: Moment
    status: int | None
    error: str | None
    duration_ms: int


class Delivery(Shape):
    """An event on its way to one URL; the latest tries, the last one last."""

    id: str
    event_id: str = Field(description="The header `webhook-id` of every try.")
    type: publication.EventType
    deployment: str
    owner: str
    sequence: int
    url: str
    subscription_id: str | None
    status: Literal["pending", "delivered", "failed"]
    next_try_at: Moment | None
    tries: list[Try]
    created_at: Moment


class Deliveries(Shape):
    """A page of deliveries, the newest event first."""

    deliveries: list[Delivery]
    next_cursor: NextCursor


class Health(Shape):
    """The API answers."""

    status: Literal["ok"]
    version: str


class Document(Shape):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    paths: dict[str, Any]


class Fault(Shape):
    """What is wrong with one field or parameter, and what would be right."""

    field: str
    message: str


class Problem(Shape):
    """RFC 9457: why there is no other answer. `errors` names every fault of the request at once."""

    type: Literal["about:blank"]
    title: str
    status: int = Field(ge=400, le=599)
    code: str
    detail: str
    instance: str
    errors: list[Fault]
