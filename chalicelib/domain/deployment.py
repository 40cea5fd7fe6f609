"""A deployment: every transition between its states.

Methods change the record in memory and note an event for each change; `store.update` writes both
in one transaction, on condition that nobody else wrote meanwhile, and repeats the change on the
newer record otherwise. So a method may run twice on the way to one write, and must come to the
same result when it runs again after one.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.domain import operation as operations
from chalicelib.domain.errors import InvalidState, OperationInProgress
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Failure, Image, Leftover, Snapshot
from chalicelib.domain.record import Record, Status
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.clock import rfc3339

# Nothing is going on, and nothing is wrong.
SETTLED = (Status.ACTIVE, Status.PAUSED)
DELETED_EVENT = "deployment.deleted"
EXPIRING_EVENT = "deployment.expiring"
KEPT_AFTER_DELETION = timedelta(days=30)


class Deployment(Record):
    """A record with its transitions."""

    # --- what a caller asks --------------------------------------------------------------

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
            image=Image(reference=spec.image),
            domains=[spec.domain] if spec.domain else [],
            operation=operations.begin("create", 1, Path.CONVERGE, spec.health_check.grace, now),
            created_at=now,
            updated_at=now,
        )
        deployment.meter.set_rate(usd_per_hour, now)
        deployment.live_for(spec.ttl, now)
        deployment._note(now, "deployment.creating")
        return deployment

    def update(self, spec: Spec, now: datetime, *, new_image: bool) -> None:
        """Starts a rollout of `spec`. Raises `OperationInProgress` or `InvalidState`.

        A PAUSED deployment stays so: what it is to serve is put in place and proven by its resume.
        `new_image`: the caller named an image, so its tag is looked up again even if it is the
        same; a change of `count` alone keeps the digest, whatever the tag points to by now.
        """
        self._refuse_while_running()
        if self.status not in SETTLED:
            way_on = ". Delete it and deploy again" if self.status is Status.FAILED else ""
            raise InvalidState(
                f"{self.id} is {self.status}: only an ACTIVE or PAUSED deployment can change"
                f"{way_on}"
            )
        if new_image:
            self.image = Image(reference=spec.image)
        if spec.ttl != self.spec.ttl:
            self.live_for(spec.ttl, now)
        self._take(spec)
        self._begin("update", Path.CONVERGE, Status.UPDATING, now)

    def roll_back(self, now: datetime) -> None:
        """Starts a rollout of what served before the present version. Raises as `update` does."""
        self._refuse_while_running()
        if self.status is not Status.ACTIVE:
            hint = "; resume it first" if self.paused else ""
            raise InvalidState(
                f"{self.id} is {self.status}: only an ACTIVE deployment rolls back{hint}"
            )
        if self.active_before is None:
            raise InvalidState(f"{self.id} has served no other version to go back to")
        self._go_back_to(self.active_before)
        self._begin("rollback", Path.CONVERGE, Status.UPDATING, now)

    def pause(self, now: datetime) -> None:
        """Starts to take its tasks away and keep its URL. Raises as `update` does."""
        self._refuse_while_running()
        if self.status is not Status.ACTIVE:
            told = "PAUSED already" if self.status is Status.PAUSED else self.status
            raise InvalidState(f"{self.id} is {told}: only an ACTIVE deployment can be paused")
        self.paused = True
        self._begin("pause", Path.CONVERGE, Status.UPDATING, now)

    def resume(self, now: datetime) -> None:
        """Starts its tasks again. Raises as `update` does."""
        self._refuse_while_running()
        if self.status is not Status.PAUSED:
            told = "ACTIVE already" if self.status is Status.ACTIVE else self.status
            raise InvalidState(f"{self.id} is {told}: only a PAUSED deployment can be resumed")
        self.paused = False
        self._begin("resume", Path.CONVERGE, Status.UPDATING, now)

    def extend(self, ttl: str, now: datetime) -> None:
        """Lets it live for `ttl` from `now` on. Raises `InvalidState` when it is going or gone."""
        if self.status in (Status.DELETING, Status.DELETED):
            raise InvalidState(f"{self.id} is {self.status}: its time cannot be extended")
        self.live_for(ttl, now)
        assert self.expires_at
        self._note(now, "deployment.extended", message=f"until {rfc3339(self.expires_at)}")

    def _go_back_to(self, version: Snapshot) -> None:
        # Its time to live, and who is told of it, are no part of what serves.
        kept = {"ttl": self.spec.ttl, "callback_url": self.spec.callback_url}
        self._take(version.spec.model_copy(update=kept))
        self.image = version.image
        self.paused = version.paused

    def _take(self, spec: Spec) -> None:
        """What is wanted from now on. Its domain is noted with it, and the one before stays noted
        until its record has gone."""
        before, after = self.spec.tags, spec.tags
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        self.retagged = sorted(changed.union(self.retagged))
        if spec.domain and spec.domain not in self.domains:
            self.domains = [*self.domains, spec.domain]
        self.spec = spec

    def retry(self, now: datetime, usd_per_hour: float) -> None:
        """Takes a failed deployment up from where it stands. Raises as `update` does.

        What could not be removed is removed; what served before is rolled out as it was. What never
        served is made, with the image looked up again: the tag may point to a mended one by now.
        What is made costs `usd_per_hour` from now on.
        """
        self._refuse_while_running()
        if self.status is Status.DELETE_FAILED:
            self._begin("delete", Path.DESTROY, Status.DELETING, now)
        elif self.status is not Status.FAILED:
            raise InvalidState(
                f"{self.id} is {self.status}: only FAILED and DELETE_FAILED can be retried"
            )
        elif self.last_active:
            self._begin("update", Path.CONVERGE, Status.UPDATING, now)
        else:
            self.image = Image(reference=self.spec.image)
            self._begin("create", Path.CONVERGE, Status.CREATING, now)
        if self.operation.path is Path.CONVERGE:
            self.meter.set_rate(usd_per_hour, now)

    def _refuse_while_running(self) -> None:
        if self.is_running:
            raise OperationInProgress(
                f"{self.id} is {self.status}: wait until its {self.operation.kind} has ended"
            )

    def withdraw_update(self, generation: int, now: datetime) -> None:
        """Takes back an update for which no execution could be started, if no step has begun."""
        begun = any(step.attempts for step in self.operation.steps)
        if self.generation != generation or begun or not self.is_running or not self.last_active:
            return
        self._go_back_to(self.last_active)
        self.retagged = []
        self.domains = [domain for domain in self.domains if domain == self.spec.domain]
        self.status = Status.PAUSED if self.paused else Status.ACTIVE
        self._end("cancelled", now)
        self._note(now, "operation.cancelled", message="it could not be started")

    def can_be_deleted(self, now: datetime) -> bool:
        """False when it is deleted, or on its way; a teardown past its deadline has died."""
        if self.status is Status.DELETING:
            return now > self.operation.deadline
        return self.status is not Status.DELETED

    def delete(self, now: datetime, reason: str = "") -> bool:
        """Starts the teardown; False when there is nothing to start: deleted, or on its way.

        `reason`: why, where it was not a caller's DELETE.
        """
        if not self.can_be_deleted(now):
            return False
        if self.is_running:
            self.operation.status = "cancelled"
            self.operation.finished_at = now
            self._note(now, "operation.cancelled", message=reason or "a DELETE came in")
        self._begin("delete", Path.DESTROY, Status.DELETING, now, reason)
        return True

    # --- how operations end --------------------------------------------------------------

    def activate(self, now: datetime, usd_per_hour: float) -> None:
        """The operation is done: the deployment serves, or is paused."""
        rolled_back = self.operation.path is Path.ROLLBACK
        self.status = Status.PAUSED if self.paused else Status.ACTIVE
        self.meter.set_rate(usd_per_hour, now)
        self.retagged = []
        self.domains = [self.spec.domain] if self.spec.domain else []
        if not rolled_back:
            self.failure = None
        self._take_snapshot()
        self._end("rolled_back" if rolled_back else "succeeded", now)
        reached = f"deployment.{self.status.lower()}"
        self._note(now, "deployment.rolled_back" if rolled_back else reached)

    def _take_snapshot(self) -> None:
        """What stands now is where a failure goes back to, and what served before it a rollback."""
        before = self.last_active
        present = Snapshot(spec=self.spec, image=self.image, paused=self.paused)
        is_same = before is not None and present.is_same_version(before)
        if before and before.served and not is_same:
            self.active_before = before.model_copy(update={"paused": False})
        present.served = not self.paused or (is_same and before is not None and before.served)
        self.last_active = present

    def turn_to(self, path: Path, now: datetime) -> None:
        """Takes a failed operation down its way out: what was pending will not be done."""
        operation = self.operation
        if operation.path is path:
            return
        self._skip_the_rest(now)
        operation.path, operation.evidence, operation.takeovers = path, {}, 0
        operation.list_steps()
        if path is Path.ROLLBACK and self.last_active:
            self._go_back_to(self.last_active)
        operation.deadline = operations.deadline(path, self.spec.health_check.grace, now)
        self._note(now, f"operation.{path}")

    def end_failed(self, now: datetime) -> None:
        """The operation failed and everything that was to be done about it is done."""
        destroying = self.operation.path is Path.DESTROY
        self._end_as(Status.DELETE_FAILED if destroying else Status.FAILED, now)

    def end_torn_down(self, now: datetime) -> None:
        """AWS says that everything is gone: DELETED, or FAILED after a create that failed."""
        if self.operation.kind != "delete":
            self._end_as(Status.FAILED, now)
            return
        self._skip_the_rest(now)  # where its execution died and the reconciler found it gone
        self.status, self.deleted_at, self.failure = Status.DELETED, now, None
        self.purge_at = int((now + KEPT_AFTER_DELETION).timestamp())
        self._end("succeeded", now)
        self._note(now, DELETED_EVENT)

    def _end_as(self, status: Status, now: datetime) -> None:
        """The operation failed, and the deployment is `status`."""
        self.status = status
        self._skip_the_rest(now)
        self._end("failed", now)
        message = self.failure.message if self.failure else ""
        self._note(now, f"deployment.{status.lower()}", message=message)

    def _skip_the_rest(self, now: datetime) -> None:
        for step in self.operation.steps:
            if step.status in ("pending", "running"):
                self.finish_step(step.name, now, status="skipped")

    # --- what the reconciler finds -------------------------------------------------------

    def tell_expiry(self, now: datetime) -> None:
        """An hour before its time has passed, once."""
        if self.expires_at and not self.expiry_told:
            self.expiry_told = True
            self._note(now, EXPIRING_EVENT, message=f"at {rfc3339(self.expires_at)}")

    def take_up(self, reason: str, now: datetime) -> None:
        """Lets another execution go on where one died: a new generation of the same operation."""
        self.generation += 1
        operation = self.operation
        operation.generation = self.generation
        operation.takeovers += 1
        operation.list_steps()  # a newer version of Slipway may have more of them
        for step in operation.steps:
            if step.name in operation.undone_deletes:
                step.status, step.finished_at = "pending", None
            if step.finished_at is None:
                step.attempts = 0
        self._note(now, "operation.taken_up", message=reason)

    def repair(self, reason: str, now: datetime) -> None:
        """Brings AWS back to the spec after somebody changed or deleted a part by hand."""
        self._begin("repair", Path.CONVERGE, Status.UPDATING, now, reason)

    def reopen(self, reason: str, now: datetime) -> None:
        """Tears down again: AWS has something of a deployment that was verified gone."""
        self.deleted_at = self.purge_at = None
        self._begin("delete", Path.DESTROY, Status.DELETING, now, reason)

    def tell_leftovers(self, left: list[Leftover], now: datetime) -> None:
        """Tells of resources that should not be there, on a deployment that nothing runs for."""
        if self.leftovers == left:
            return
        self.status, self.leftovers = Status.DELETE_FAILED, left
        self._note(now, "deployment.delete_failed", message=f"{len(left)} resource(s) found")

    @classmethod
    def adopt(
        cls,
        deployment_id: str,
        owner: str,
        left: list[Leftover],
        now: datetime,
        events_written: int = 0,
    ) -> Deployment:
        """A record for resources that have none, so that their owner is told and can remove them.

        What was deployed is not known, so the spec names an image that cannot exist. Events of a
        record that was purged outlive it: the numbers go on after `events_written`.
        """
        name = deployment_id.rpartition("-")[0]
        spec = Spec(name=name, image="unknown.invalid/unknown:unknown")
        # The cost of what was deployed is not known.
        deployment = cls.create(deployment_id, owner, spec, now, usd_per_hour=0.0)
        deployment.new_events.clear()
        deployment.events_written = events_written
        deployment.operation = operations.begin("delete", 1, Path.DESTROY, 0, now)
        deployment.leftovers = left
        deployment.failure = Failure(
            code="INTERNAL",
            step="reconcile",
            message="AWS has resources of this deployment, but Slipway had no record of it.",
            hint="Retry or delete it to remove them.",
        )
        deployment.end_failed(now)
        return deployment
