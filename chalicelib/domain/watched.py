"""A record with its health: what a check, and the end of an operation, change."""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.domain import health as rules
from chalicelib.domain.health import Health, HealthStatus, Incident, Observation
from chalicelib.domain.operation import Kind
from chalicelib.domain.parts import EventType
from chalicelib.domain.record import Record, Status

# While these run, the tasks stop or start because the caller wants that.
WITHOUT_HEALTH = (Kind.PAUSE, Kind.RESUME)


class Watched(Record):
    """A record whose health is checked while it is ACTIVE.

    `health_due_at` is when the next check is due. In the table it makes the record work for the
    function `health` (`store/work.py`).
    """

    health: Health | None = None
    health_due_at: datetime | None = None
    incident: Incident | None = None

    @property
    def shown_health(self) -> Health | None:
        """The health that callers see; None if there is nothing to check."""
        serves = self.status in (Status.ACTIVE, Status.UPDATING) and not self.paused
        if not serves or (self.is_running and self.operation.kind in WITHOUT_HEALTH):
            return None
        return self.health or self._unknown_health()

    @property
    def can_be_checked(self) -> bool:
        """Whether a check means anything: no operation runs, and tasks should serve."""
        return self.status is Status.ACTIVE and not self.is_running

    def request_check(self, at: datetime) -> None:
        """Makes the next check due at `at`, or earlier if it is due earlier."""
        self.health_due_at = min(at, self.health_due_at or at)

    def record_health(self, seen: Observation, now: datetime) -> bool:
        """Records what a check has observed, with an event if the status changes.

        Returns False if a later observation is recorded already. The caller makes sure that the
        observation belongs to this generation.
        """
        before = self.health or self._unknown_health()
        if before.checked_at and before.checked_at > seen.at:
            return False
        self._note_trouble(before, seen, now)
        status = rules.settled_status(before, self.incident, seen)
        is_healthy = status is HealthStatus.HEALTHY
        self.health = Health(
            status=status,
            running=seen.running,
            wanted=seen.wanted,
            since=before.since if status is before.status else now,
            checked_at=seen.at,
            failure=None if is_healthy else seen.failure or before.failure,
            healthy_at=seen.at if seen.status is HealthStatus.HEALTHY else before.healthy_at,
        )
        self.health_due_at = now + self._next_check(seen, now)
        if status is not before.status:
            self._tell_change(before, now)
        return True

    def _unknown_health(self) -> Health:
        since = self.operation.finished_at or self.operation.started_at
        return Health(
            status=HealthStatus.UNKNOWN, running=None, wanted=self.wanted_tasks, since=since
        )

    def _note_trouble(self, before: Health, seen: Observation, now: datetime) -> None:
        """Opens an incident, or continues the last one if it ended a short time ago."""
        if seen.status not in rules.UNHEALTHY:
            return
        incident = self.incident
        if incident is None or incident.is_over(now):
            incident = Incident(started_at=now, bad_at=seen.at)
        elif incident.recovered_at:
            incident.times, incident.recovered_at = incident.times + 1, None
        incident.bad_at = seen.at
        if seen.status is HealthStatus.DOWN:
            incident.down_at = seen.at
            incident.worse += before.status is HealthStatus.DEGRADED
        if seen.failure:
            incident.failure = seen.failure.model_copy(update={"evidence": {}})
        self.incident = incident

    def _next_check(self, seen: Observation, now: datetime) -> timedelta:
        if self.health and self.health.is_unhealthy:
            is_long = now - self.health.since > rules.LONG
            return rules.LATE_FOLLOW_UP if is_long else rules.FOLLOW_UP
        return rules.CHECK_INTERVAL if seen.is_settled else rules.FOLLOW_UP

    def _tell_change(self, before: Health, now: datetime) -> None:
        """Adds the event of a change of status. The first healthy check is no recovery."""
        health = self.health
        assert health
        serving = f"{health.running} of {health.wanted} tasks serve"
        if health.is_unhealthy:
            why = f" {health.failure.message}" if health.failure else ""
            self._add_event(now, EventType.UNHEALTHY, message=f"{health.status}: {serving}.{why}")
        elif before.is_unhealthy:
            if self.incident:
                self.incident.recovered_at = now
            took = round((now - before.since).total_seconds())
            message = f"{serving} again, after {took} s {before.status}"
            self._add_event(now, EventType.RECOVERED, message=message)

    def _end_healthy(self, tasks: int, now: datetime) -> None:
        """An operation ended ACTIVE: it has proven that the tasks serve."""
        before = self.health
        self.health = Health(
            status=HealthStatus.HEALTHY,
            running=tasks,
            wanted=tasks,
            since=before.since if before and before.status is HealthStatus.HEALTHY else now,
            checked_at=now,
            healthy_at=now,
        )
        # Soon, because a task may have stopped while the operation ended.
        self.health_due_at = now + rules.FOLLOW_UP
        if before and before.is_unhealthy:
            self._tell_change(before, now)
        elif self.incident and self.incident.recovered_at is None:
            self.incident = None  # a pause ended it

    def _forget_health(self) -> None:
        """No tasks should serve any more. An incident is kept, so that its message can end."""
        self.health = self.health_due_at = None
