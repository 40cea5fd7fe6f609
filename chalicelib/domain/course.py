"""The course of an operation: its version, its paths and its ends, and what the reconciler does.

`deployment.py` has the requests of callers, which start operations. It says what every method
here obeys, too.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.domain import operation as operations
from chalicelib.domain.operation import Kind, OperationStatus, Path, StepStatus
from chalicelib.domain.parts import EventType, Image, Leftover, Snapshot
from chalicelib.domain.record import STATUS_EVENTS, Status
from chalicelib.domain.spec import sources
from chalicelib.domain.spec.image_settings import ImageSettings, LabelFault
from chalicelib.domain.spec.spec import Spec
from chalicelib.domain.watched import Watched
from chalicelib.platform.clock import rfc3339

PATH_EVENTS = {
    Path.ROLLBACK: EventType.OPERATION_ROLLBACK,
    Path.DESTROY: EventType.OPERATION_DESTROY,
}
KEPT_AFTER_DELETION = timedelta(days=30)


class Course(Watched):
    """A record with the transitions that no caller requests."""

    # --- the version that is wanted -------------------------------------------------------

    def restore(self, version: Snapshot) -> None:
        """Makes the version the desired state again."""
        # `ttl` and `callback_url` do not belong to a version.
        kept = {"ttl": self.spec.ttl, "callback_url": self.spec.callback_url}
        names = {name for name in sources.named(version.spec) if name not in kept}
        names |= {name for name in self.names if name in kept}
        self._set_spec(sources.marked(version.spec.model_copy(update=kept), names))
        self.named, self.image_settings = sorted(names), version.image_settings
        self.image = version.image
        self.paused = version.paused

    def resolve(self, image: Image, settings: ImageSettings | None) -> None:
        """Records what the registry says, and takes from it what the caller did not set.

        `settings` is None if nothing depends on them. Raises `LabelFault`.
        """
        self.image, self.image_settings = image, settings
        self.spec = sources.completed(self.spec, self.names, settings or ImageSettings())

    def set_names(self, names: list[str]) -> None:
        """Records what the caller set. The values stay: no operation is needed.

        A failed operation returns to a version with the same values, so that gets the names too.
        """
        self.named, self.spec = names, sources.marked(self.spec, names)
        if version := self.last_active:
            marked = sources.marked(version.spec, names)
            self.last_active = version.model_copy(update={"named": names, "spec": marked})

    def _forget_image(self, reference: str) -> None:
        self.image, self.image_settings = Image(reference=reference), None

    def _completed(self, spec: Spec) -> Spec:
        """The spec with what is known about its image. The step `resolve_image` does the rest."""
        try:
            return sources.completed(spec, self.names, self.image_settings)
        except LabelFault:
            return sources.completed(spec, self.names, None)

    def _set_spec(self, spec: Spec) -> None:
        """Makes `spec` the desired state. The previous domain stays in `domains` until its DNS
        record is gone."""
        before, after = self.spec.tags, spec.tags
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        self.retagged = sorted(changed.union(self.retagged))
        if spec.domain and spec.domain not in self.domains:
            self.domains = [*self.domains, spec.domain]
        self.spec = spec

    # --- ends of operations --------------------------------------------------------------

    def activate(self, now: datetime, usd_per_hour: float, tasks: int | None = None) -> None:
        """The operation is done: the deployment is ACTIVE or PAUSED.

        Args:
            tasks: how many serve; by default as many as the spec wants at least.
        """
        rolled_back = self.operation.path is Path.ROLLBACK
        self.status = Status.PAUSED if self.paused else Status.ACTIVE
        self.meter.set_rate(usd_per_hour, now)
        self.retagged = []
        self.domains = [self.spec.domain] if self.spec.domain else []
        if not rolled_back:
            self.failure = None
        self._take_snapshot()
        self._end(OperationStatus.ROLLED_BACK if rolled_back else OperationStatus.SUCCEEDED, now)
        self._add_event(now, EventType.ROLLED_BACK if rolled_back else STATUS_EVENTS[self.status])
        if self.status is Status.ACTIVE:
            self._end_healthy(self.wanted_tasks if tasks is None else tasks, now)
        else:
            self._forget_health()

    def _take_snapshot(self) -> None:
        """A failure restores the current version, and a rollback the one that served before it."""
        before = self.last_active
        current = Snapshot(
            spec=self.spec,
            named=self.named,
            image=self.image,
            image_settings=self.image_settings,
            paused=self.paused,
        )
        is_same = before is not None and current.is_same_version(before)
        if before and before.served and not is_same:
            self.active_before = before.model_copy(update={"paused": False})
        current.served = not self.paused or (is_same and before is not None and before.served)
        self.last_active = current

    def switch_path(self, path: Path, now: datetime) -> None:
        """Switches a failed operation to a rollback or teardown. Pending steps are skipped."""
        operation = self.operation
        if operation.path is path:
            return
        self._skip_open_steps(now)
        operation.path, operation.evidence, operation.takeovers = path, {}, 0
        operation.list_steps()
        if path is Path.ROLLBACK and self.last_active:
            self.restore(self.last_active)
        operation.deadline = operations.deadline(path, self.spec, self.serving_spec, now)
        self._add_event(now, PATH_EVENTS[path])

    def end_failed(self, now: datetime) -> None:
        """The operation failed, and no rollback or teardown remains to be done."""
        destroying = self.operation.path is Path.DESTROY
        self._end_as(Status.DELETE_FAILED if destroying else Status.FAILED, now)

    def end_torn_down(self, now: datetime) -> None:
        """Everything is verified gone: DELETED, or FAILED after a failed create."""
        if self.operation.kind is not Kind.DELETE:
            self._end_as(Status.FAILED, now)
            return
        self._skip_open_steps(now)  # some are open if the execution died after the last delete
        self.status, self.deleted_at, self.failure = Status.DELETED, now, None
        self.purge_at = int((now + KEPT_AFTER_DELETION).timestamp())
        self._end(OperationStatus.SUCCEEDED, now)
        self._add_event(now, EventType.DELETED)

    def _end_as(self, status: Status, now: datetime) -> None:
        """The operation failed, and the deployment gets `status`."""
        self.status = status
        self._forget_health()
        self._skip_open_steps(now)
        self._end(OperationStatus.FAILED, now)
        message = self.failure.message if self.failure else ""
        self._add_event(now, STATUS_EVENTS[status], message=message)

    def _skip_open_steps(self, now: datetime) -> None:
        for step in self.operation.steps:
            if step.status in (StepStatus.PENDING, StepStatus.RUNNING):
                self.finish_step(step.name, now, status=StepStatus.SKIPPED)

    # --- findings of the reconciler -------------------------------------------------------

    def announce_expiry(self, now: datetime) -> None:
        """Adds an event that it expires soon, once per expiry."""
        if self.expires_at and not self.expiry_told:
            self.expiry_told = True
            self._add_event(
                now, EventType.EXPIRING, message=f"expires at {rfc3339(self.expires_at)}"
            )

    def continue_operation(self, reason: str, now: datetime) -> None:
        """Prepares the operation for another execution, in a new generation, after one died."""
        self.generation += 1
        operation = self.operation
        operation.generation = self.generation
        operation.takeovers += 1
        operation.list_steps()  # a newer version of Slipway may have added steps
        for step in operation.steps:
            if step.name in operation.undone_deletes:
                step.status, step.finished_at = StepStatus.PENDING, None
            if step.finished_at is None:
                step.attempts = 0
        self._add_event(now, EventType.OPERATION_CONTINUED, message=reason)

    def repair(self, reason: str, now: datetime) -> None:
        """Starts to restore the spec in AWS, after a resource was changed or deleted by hand."""
        self._begin(Kind.REPAIR, Path.CONVERGE, Status.UPDATING, now, reason, requested=False)

    def restart_teardown(self, reason: str, now: datetime) -> None:
        """Starts the teardown again, because AWS has resources that were verified gone."""
        self.deleted_at = self.purge_at = None
        self._begin(Kind.DELETE, Path.DESTROY, Status.DELETING, now, reason, requested=False)

    def report_leftovers(self, leftovers: list[Leftover], now: datetime) -> None:
        """Reports resources that should not exist. No operation runs for the deployment."""
        if self.leftovers == leftovers:
            return
        self.status, self.leftovers = Status.DELETE_FAILED, leftovers
        message = f"AWS still has {len(leftovers)} leftover resource(s)"
        self._add_event(now, EventType.DELETE_FAILED, message=message)
