"""Query parameters: a model for each endpoint that has some, and how to read their text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import core_schema

from chalicelib.domain import naming
from chalicelib.domain.digits import is_number
from chalicelib.domain.record import Status
from chalicelib.domain.spec.faults import shown
from chalicelib.usecases.observation import PERIODS

# CloudWatch Logs keeps lines this long at most, unless it keeps them forever.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
OLDEST_LINE = timedelta(days=3653)
OLDEST_POINT = timedelta(days=7)

DURATION = r"([1-9][0-9]{0,8})([smhd])"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# RFC 3339, section 5.6. `fromisoformat` accepts more than that.
TIME = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# The end of a time whose offset lost its `+`.
LOST_PLUS = re.compile(r".*[0-9:.] [0-9]{2}:?([0-9]{2})?")
DEPLOYMENT = rf"{naming.NAME_PATTERN}(-[a-z2-7]{{6}})?"
# A task ID has 32 hexadecimal digits, or 36 characters with hyphens in the old format.
TASK = r"[0-9a-f][0-9a-f-]{7,35}"


@dataclass(frozen=True)
class WholeNumber:
    """Annotates an integer parameter with its bounds.

    pydantic itself would also read " 7", "+7" and "1_0".
    """

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        bounded = core_schema.int_schema(ge=self.least, le=self.most)
        return core_schema.no_info_before_validator_function(self._read, bounded)

    def _read(self, text: str) -> int:
        number = int(text) if is_number(text) else -1
        if not self.least <= number <= self.most:
            raise ValueError(
                f"must be a whole number from {self.least} to {self.most}, not {shown(text)}"
            )
        return number


@dataclass(frozen=True)
class Matching:
    """Annotates a text parameter with its pattern, and the rule for a value that does not match."""

    pattern: str
    rule: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core), "pattern": f"^({self.pattern})$"}

    def _check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"{self.rule}, not {shown(text)}")
        return text


@dataclass(frozen=True)
class Since:
    """Annotates a parameter that is a time, or how long ago it was: at most `most`.

    A duration counts back from `moment` in the context of the validation.
    """

    most: timedelta

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({DURATION}|{TIME})$"}

    def _read(self, text: str, info: ValidationInfo) -> datetime:
        moment: datetime = (info.context or {})["moment"]
        since = _time(text, moment)
        if since is None or not moment - self.most <= since <= moment:
            # A form-encoded `+` is a space.
            plus = ". Write `+` as `%2B` in a URL" if LOST_PLUS.fullmatch(text) else ""
            raise ValueError(
                "must be a time such as 2026-11-24T09:30:00Z or a duration such as 15m, 2h or 3d, "
                f"in the last {self.most.days} days, not {shown(text)}{plus}"
            )
        return since


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"must be true or false, not {shown(text)}")
    return text == "true"


def _statuses(text: str) -> tuple[Status, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not set(parts) <= set(Status):
        raise ValueError(
            f"must be one or more of {', '.join(Status)}, comma-separated, not {shown(text)}"
        )
    return tuple(map(Status, parts))


def _period(text: str) -> int:
    if text not in map(str, PERIODS):
        raise ValueError(f"must be one of {', '.join(map(str, PERIODS))}, not {shown(text)}")
    return int(text)


def _time(text: str, moment: datetime) -> datetime | None:
    duration = re.fullmatch(DURATION, text)
    try:
        if duration:
            return moment - timedelta(**{UNITS[duration[2]]: int(duration[1])})
        if re.fullmatch(TIME, text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # such as a thirteenth month, or a year before 1
        pass
    return None


Flag = Annotated[bool, BeforeValidator(_flag)]
Cursor = Annotated[str | None, Field(description="`next_cursor` of the previous page.")]


class Parameters(BaseModel):
    """The query parameters of an endpoint. This class itself allows none."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class CreateParameters(Parameters):
    validate_only: Flag = Field(
        False, description="Return the checks and the cost with 200, and create nothing."
    )


class UpdateParameters(Parameters):
    validate_only: Flag = Field(
        False,
        description="Return the checks, the cost and the changes with 200, and change nothing.",
    )


class ListParameters(Parameters):
    status: Annotated[tuple[Status, ...], BeforeValidator(_statuses)] = Field(
        (),
        min_length=1,
        description="Only deployments with one of these statuses, comma-separated.",
    )
    name: str | None = Field(None, description="Only deployments with this name.")
    limit: Annotated[int, WholeNumber(1, 100)] = 20
    cursor: Cursor = None
    show_deleted: Flag = Field(False, description="Include DELETED deployments.")


class EventsParameters(Parameters):
    limit: Annotated[int, WholeNumber(1, 1000)] = 100
    cursor: Cursor = None


class LogsParameters(Parameters):
    since: Annotated[datetime | None, Since(OLDEST_LINE)] = Field(
        None,
        description="A time, or how long ago: `15m`, `2h`, `3d`. The default is the deployment's "
        "creation. A cursor overrides it.",
    )
    task: Annotated[
        str | None,
        Matching(TASK, "must be a task ID, or at least its first 8 characters"),
    ] = Field(
        None,
        description="Only lines of this task: its ID, or at least its first 8 characters.",
    )
    limit: Annotated[int, WholeNumber(1, 1000)] = 100
    cursor: Cursor = None


class MetricsParameters(Parameters):
    since: Annotated[datetime | None, Since(OLDEST_POINT)] = Field(
        None,
        description="A time, or how long ago: `15m`, `2h`, at most `7d`. The default is `1h`.",
    )
    period: Annotated[Literal[60, 300, 3600] | None, BeforeValidator(_period)] = Field(
        None,
        description="The seconds between two points. The default returns at most 200 points.",
    )


class DeliveriesParameters(Parameters):
    status: Literal["pending", "delivered", "failed"] | None = Field(
        None, description="Only deliveries with this status."
    )
    deployment: Annotated[
        str | None, Matching(DEPLOYMENT, "must be the ID or the name of a deployment")
    ] = Field(None, description="Only deliveries about this deployment: its ID or name.")
    limit: Annotated[int, WholeNumber(1, 100)] = 20
    cursor: Cursor = None
