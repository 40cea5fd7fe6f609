"""A deployment: every transition between its states.

A method changes the record in memory and adds an event for each change. The store's `update`
writes both in one transaction, if the record has not changed since it was read. Otherwise it
repeats the change on the newer record. So a method may run more than once for one write, and it
must give the same result if it runs again after the write.
"""

from __future__ import annotations

from datetime import datetime

from chalicelib.domain import operation as operations
from chalicelib.domain.course import Course
from chalicelib.domain.errors import FailureCode, InvalidState, OperationInProgress
from chalicelib.domain.operation import Kind, OperationStatus, Path
from chalicelib.domain.parts import EventType, Failure, Image, Leftover
from chalicelib.domain.record import Status
from chalicelib.domain.spec import sources
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.clock import rfc3339

# No operation runs, and nothing is wrong.
SETTLED = (Status.ACTIVE, Status.PAUSED)


class Deployment(Course):
    """A record with its transitions: here those that callers request."""

    # --- requests of callers --------------------------------------------------------------

    @classmethod
    def create(
        cls, deployment_id: str, owner: str, spec: Spec, now: datetime, usd_per_hour: float
    ) -> Deployment:
        """A new deployment with its create operation running.

        It costs `usd_per_hour` from now on, because the load balancer costs before anything serves.
        """
        deployment = cls(
            id=deployment_id,
            name=spec.name,
            owner=owner,
            status=Status.CREATING,
            spec=spec,
            named=sources.named(spec),
            image=Image(reference=spec.image),
            domains=[spec.domain] if spec.domain else [],
            operation=operations.begin(Kind.CREATE, 1, Path.CONVERGE, spec, now),
            outcome_generation=1,
            created_at=now,
            updated_at=now,
        )
        deployment.meter.set_rate(usd_per_hour, now)
        deployment.set_expiry(spec.ttl, now)
        deployment._add_event(now, EventType.CREATING)
        return deployment

    def update(self, spec: Spec, now: datetime, *, new_image: bool) -> None:
        """Starts a rollout of `spec`. Raises `OperationInProgress` or `InvalidState`.

        A PAUSED deployment stays PAUSED: its resources are updated, and a resume starts and tests
        the new version. A FAILED one starts again with `start_again`.

        Args:
            new_image: the caller named an image, so its tag is resolved again, even if it is the
                same tag. Otherwise the digest stays, whatever the tag points to now.
        """
        self._refuse_while_running()
        if self.status not in SETTLED:
            is_failed = self.status is Status.DELETE_FAILED
            fix = " Retry the teardown, then deploy again." if is_failed else ""
            raise InvalidState(
                f"{self.id} is {self.status}: only an ACTIVE, PAUSED or FAILED deployment can be "
                f"updated.{fix}"
            )
        self._change_spec(spec, now, new_image=new_image)
        self._begin(Kind.UPDATE, Path.CONVERGE, Status.UPDATING, now)

    def start_again(
        self, spec: Spec, now: datetime, usd_per_hour: float, *, new_image: bool
    ) -> None:
        """Creates a FAILED deployment again with `spec`, or rolls `spec` out if it served before.

        It costs `usd_per_hour` from now on. `new_image` as for `update`, but the image of a
        deployment that never served is always resolved again: the tag may point to a fixed image.
        """
        assert self.status is Status.FAILED
        self._change_spec(spec, now, new_image=new_image or self.last_active is None)
        if self.last_active:
            self._begin(Kind.UPDATE, Path.CONVERGE, Status.UPDATING, now)
        else:
            self._begin(Kind.CREATE, Path.CONVERGE, Status.CREATING, now)
        self.meter.set_rate(usd_per_hour, now)

    def _change_spec(self, spec: Spec, now: datetime, *, new_image: bool) -> None:
        """Makes `spec` the desired state; a changed time to live counts from now."""
        self.named = sources.named(spec)
        if new_image:
            self._forget_image(spec.image)
        if spec.ttl != self.spec.ttl:
            self.set_expiry(spec.ttl, now)
        self._set_spec(self._completed(spec))

    def roll_back(self, now: datetime) -> None:
        """Starts a rollout of the version that served before. Raises as `update` does."""
        self._refuse_while_running()
        if self.status is not Status.ACTIVE:
            fix = " Resume it first." if self.status is Status.PAUSED else ""
            raise InvalidState(
                f"{self.id} is {self.status}: only an ACTIVE deployment can be rolled back.{fix}"
            )
        if self.active_before is None:
            raise InvalidState(
                f"{self.id} cannot be rolled back: no other version was ever ACTIVE."
            )
        self.restore(self.active_before)
        self._begin(Kind.ROLLBACK, Path.CONVERGE, Status.UPDATING, now)

    def pause(self, now: datetime) -> None:
        """Starts to remove its tasks; its URL stays. Raises as `update` does."""
        self._refuse_while_running()
        if self.status is not Status.ACTIVE:
            already = "already " if self.status is Status.PAUSED else ""
            raise InvalidState(
                f"{self.id} is {already}{self.status}: only an ACTIVE deployment can be paused."
            )
        self.paused = True
        self._begin(Kind.PAUSE, Path.CONVERGE, Status.UPDATING, now)

    def resume(self, now: datetime) -> None:
        """Starts to run its tasks again. Raises as `update` does."""
        self._refuse_while_running()
        if self.status is not Status.PAUSED:
            already = "already " if self.status is Status.ACTIVE else ""
            raise InvalidState(
                f"{self.id} is {already}{self.status}: only a PAUSED deployment can be resumed."
            )
        self.paused = False
        self._begin(Kind.RESUME, Path.CONVERGE, Status.UPDATING, now)

    def extend(self, ttl: str, now: datetime) -> None:
        """Sets its expiry to `ttl` after `now`. Raises `InvalidState` if DELETING or DELETED."""
        if self.status in (Status.DELETING, Status.DELETED):
            raise InvalidState(
                f"{self.id} is {self.status}: its time to live can no longer be extended."
            )
        self.set_expiry(ttl, now)
        assert self.expires_at
        self._add_event(now, EventType.EXTENDED, message=f"expires at {rfc3339(self.expires_at)}")

    def retry(self, now: datetime, usd_per_hour: float) -> None:
        """Retries the failed operation. Raises as `update` does.

        A DELETE_FAILED deployment is torn down again. A FAILED one starts again with the same spec
        (`start_again`).
        """
        self._refuse_while_running()
        if self.status is Status.DELETE_FAILED:
            self._begin(Kind.DELETE, Path.DESTROY, Status.DELETING, now)
        elif self.status is not Status.FAILED:
            raise InvalidState(
                f"{self.id} is {self.status}: only a FAILED or DELETE_FAILED deployment can be "
                "retried."
            )
        else:
            self.start_again(self.spec, now, usd_per_hour, new_image=False)

    def _refuse_while_running(self) -> None:
        if self.is_running:
            raise OperationInProgress(
                f"{self.id} is {self.status}: wait until its {self.operation.kind} has ended."
            )

    def withdraw_update(self, generation: int, now: datetime) -> None:
        """Undoes an update whose execution could not be started, if no step has begun."""
        begun = any(step.attempts for step in self.operation.steps)
        if self.generation != generation or begun or not self.is_running or not self.last_active:
            return
        self.restore(self.last_active)
        self.retagged = []
        self.domains = [domain for domain in self.domains if domain == self.spec.domain]
        self.status = Status.PAUSED if self.paused else Status.ACTIVE
        self._end(OperationStatus.CANCELLED, now)
        self._add_event(
            now, EventType.OPERATION_CANCELLED, message="the operation could not be started"
        )

    def can_be_deleted(self, now: datetime) -> bool:
        """False if it is DELETED or being torn down. A teardown past its deadline has died."""
        if self.status is Status.DELETING:
            return now > self.operation.deadline
        return self.status is not Status.DELETED

    def is_changed_by_delete(self, now: datetime) -> bool:
        """Whether `delete` changes the record."""
        return self.can_be_deleted(now) or (self.is_running and not self.operation.requested)

    def delete(self, now: datetime, reason: str = "") -> bool:
        """Starts the teardown. Returns False if it is already DELETED or being torn down.

        A teardown that the reconciler started counts as requested from now on, so that the caller
        can wait for its outcome.

        Args:
            reason: why, if it was not a DELETE request of a caller.
        """
        if not self.can_be_deleted(now):
            if self.is_running and not self.operation.requested:
                self._await_outcome()
            return False
        if self.is_running:
            self._end(OperationStatus.CANCELLED, now)
            message = reason or "a DELETE request cancelled the operation"
            self._add_event(now, EventType.OPERATION_CANCELLED, message=message)
        self._begin(Kind.DELETE, Path.DESTROY, Status.DELETING, now, reason)
        self._forget_health()
        return True

    @classmethod
    def adopt(
        cls,
        deployment_id: str,
        owner: str,
        leftovers: list[Leftover],
        now: datetime,
        events_written: int = 0,
    ) -> Deployment:
        """A record for resources without one, so that their owner sees and can remove them.

        The original spec is unknown, so the record's spec names an image that cannot exist. Events
        outlive a purged record, so new ones are numbered from `events_written` on.
        """
        name = deployment_id.rpartition("-")[0]
        spec = Spec(name=name, image="unknown.invalid/unknown:unknown")
        # The cost of what was deployed is not known.
        deployment = cls.create(deployment_id, owner, spec, now, usd_per_hour=0.0)
        deployment.new_events.clear()
        deployment.events_written = events_written
        deployment.operation = operations.begin(
            Kind.DELETE, 1, Path.DESTROY, spec, now, requested=False
        )
        deployment.outcome_generation = None
        deployment.leftovers = leftovers
        deployment.failure = Failure(
            code=FailureCode.INTERNAL,
            step="reconcile",
            message="AWS has resources of this deployment, but Slipway had no record of the "
            "deployment.",
            hint="Retry or delete the deployment to remove its resources.",
        )
        deployment.end_failed(now)
        return deployment
