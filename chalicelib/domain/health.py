"""The health of a deployment after it became ACTIVE: what was observed, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from chalicelib.domain.parts import Failure
from chalicelib.domain.stored_enum import StoredEnum


class HealthStatus(StoredEnum):
    """Whether the tasks of a deployment serve, as the API shows it."""

    HEALTHY = "healthy"
    # Fewer tasks serve than wanted.
    DEGRADED = "degraded"
    # No task serves.
    DOWN = "down"
    # Not checked yet: the record was written by a version of Slipway without health.
    UNKNOWN = "unknown"


UNHEALTHY = (HealthStatus.DEGRADED, HealthStatus.DOWN)
_SEVERITY = {HealthStatus.DEGRADED: 1, HealthStatus.DOWN: 2}

# At least every 15 minutes, with a minute for the sweep that finds the check.
CHECK_INTERVAL = timedelta(minutes=14)
# Until tasks serve again and nothing starts or stops. A stopped task also starts a check.
FOLLOW_UP = timedelta(minutes=1)
# A deployment that has been unhealthy for longer than LONG is checked more rarely.
LONG, LATE_FOLLOW_UP = timedelta(minutes=15), timedelta(minutes=5)
# Unhealthy again within this time after a recovery belongs to the same incident.
INCIDENT_ENDS_AFTER = timedelta(hours=1)
# After this many times in one incident, an improvement counts only when it has lasted. It counts as
# a time to become unhealthy, and to go from degraded to down.
FLAPS = 3
STEADY_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class Observation:
    """What one check has read.

    Attributes:
        at: when it began to read.
        running, wanted: how many tasks serve, and how many should.
        missing: how many of the wanted tasks do not serve without an excuse.
        failure: why tasks are missing.
        is_settled: no task starts or stops, so nothing changes soon.
    """

    at: datetime
    running: int
    wanted: int
    missing: int
    failure: Failure | None
    is_settled: bool

    @property
    def status(self) -> HealthStatus:
        """The status that these tasks mean."""
        if self.missing <= 0:
            return HealthStatus.HEALTHY
        return HealthStatus.DEGRADED if self.running else HealthStatus.DOWN


class Health(BaseModel):
    """The health of a deployment, as it was observed last.

    Attributes:
        running, wanted: how many tasks serve, and how many should. `running` is None if unknown.
        since: when it got this status.
        checked_at: when it was checked last.
        healthy_at: when it was last observed healthy. What stopped before has been dealt with.
    """

    status: HealthStatus
    running: int | None
    wanted: int
    since: datetime
    checked_at: datetime | None = None
    failure: Failure | None = None
    healthy_at: datetime | None = None

    @property
    def is_unhealthy(self) -> bool:
        return self.status in UNHEALTHY


class Incident(BaseModel):
    """A time of trouble: from the first unhealthy check until an hour after the last recovery.

    Attributes:
        times: how often the deployment became unhealthy in it.
        worse: how often it went from degraded to down in it.
        failure: the latest reason, without its evidence. It stays after a recovery.
        bad_at: when it was last observed unhealthy.
        down_at: when it was last observed down; None if it never was.
        recovered_at: when it recovered; None while it is unhealthy.
    """

    started_at: datetime
    times: int = 1
    worse: int = 0
    failure: Failure | None = None
    bad_at: datetime
    down_at: datetime | None = None
    recovered_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether another failure would be another incident."""
        return self.recovered_at is not None and now - self.recovered_at >= INCIDENT_ENDS_AFTER


def settled_status(before: Health, incident: Incident | None, seen: Observation) -> HealthStatus:
    """The status after an observation.

    It is the observed one, except for a deployment that flaps: after three times in one incident it
    improves at most to the worst status that was observed in the last ten minutes.
    """
    improves = _severity(seen.status) < _severity(before.status)
    if not improves or incident is None or incident.times + incident.worse <= FLAPS:
        return seen.status
    worst = seen.status
    if seen.at - incident.bad_at < STEADY_FOR:
        worst = HealthStatus.DEGRADED
    if incident.down_at and seen.at - incident.down_at < STEADY_FOR:
        worst = HealthStatus.DOWN
    return min(worst, before.status, key=_severity)


def _severity(status: HealthStatus) -> int:
    return _SEVERITY.get(status, 0)
