"""ECS's service scheduler: it keeps the desired number of tasks running.

Rolling updates:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
The circuit breaker:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
The texts of the events:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.support.simulated_aws.services import Rollout, Service
from tests.support.simulated_aws.targets import Group, Target, Targets
from tests.support.simulated_aws.tasks import Task, Tasks
from tests.support.simulated_aws.timeline import Timeline

# The scheduler checks a service every few seconds, according to its events in public logs.
LOOK_AFTER = 2.0
# "up to a maximum of 27 minutes"; the doubling until then is an assumption.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
FIRST_RESTART_DELAY, LONGEST_RESTART_DELAY = 5.0, 27 * 60.0
INCONSISTENT = (
    "is unable to consistently start tasks successfully. For more information, see the "
    "Troubleshooting section of the Amazon ECS Developer Guide."
)
# After this many tasks in a row that never ran, it adds an event and slows down.
THROTTLED_AFTER = 3
BREAKER_REASON = "ECS deployment circuit breaker: tasks failed to start."
PLACEMENT_RETRY = 30.0


class Scheduler:
    """Checks one service at a time and starts or stops its tasks."""

    def __init__(
        self,
        timeline: Timeline,
        tasks: Tasks,
        targets: Targets,
        launch: Callable[[Service, Rollout], Task | str],
    ) -> None:
        self._timeline, self._tasks, self._targets = timeline, tasks, targets
        self._launch = launch
        self.services: list[Service] = []
        tasks.on_running, tasks.on_exit, tasks.on_stopped = self._running, self._exit, self._stopped
        targets.on_change = self._target_changed

    def look_soon(self, service: Service, delay: float = LOOK_AFTER) -> None:
        """Make the scheduler check a service soon."""
        self._timeline.after(delay, lambda: self._look(service))

    def _look(self, service: Service) -> None:
        if service.status == "INACTIVE":
            return
        if service.status == "DRAINING":
            self._drain(service)
            return
        self._start_missing(service)
        self._stop_surplus(service)
        self._settle(service)

    # Starting

    def _start_missing(self, service: Service) -> None:
        primary = service.primary
        if primary.rollout_state == "FAILED" or self._timeline.now < primary.not_before:
            return
        alive = [task for task in self._of(service) if task.wanted == "RUNNING"]
        own = [task for task in alive if task.started_by == primary.id]
        most = math.floor(service.desired * service.maximum_percent / 100)
        started = []
        for _ in range(min(service.desired - len(own), most - len(alive))):
            task = self._launch(service, primary)
            if isinstance(task, str):
                self._not_placed(service, task)
                break
            started.append(task)
        if started:
            names = " ".join(f"(task {task.id})." for task in started)
            service.add_event(self._timeline, f"has started {len(started)} tasks: {names}")

    def _not_placed(self, service: Service, reason: str) -> None:
        service.add_event(
            self._timeline,
            f"was unable to place a task. Reason: {reason}. For more information, see the "
            "Troubleshooting section of the Amazon ECS Developer Guide.",
        )
        self._count_failure(service, service.primary)
        service.primary.not_before = self._timeline.now + PLACEMENT_RETRY
        self.look_soon(service, PLACEMENT_RETRY)

    def _running(self, task: Task) -> None:
        service = self._service(task)
        if service is None:
            return
        if self._rollout(service, task).never_ran:
            self._rollout(service, task).never_ran = 0
        for group, port in self._registrations(service, task):
            self._targets.register(group, task.interface.address, port)
            service.add_event(self._timeline, f"registered 1 targets in (target-group {group.arn})")
        self._timeline.after(
            service.grace, lambda: self._check_health(service, task)
        )  # until then ECS ignores failing health checks
        self.look_soon(service)

    # Health

    def _target_changed(self, group: Group, target: Target) -> None:
        for service in self.services:
            for task in self._of(service):
                if task.interface.address == target.address:
                    self._target_state_changed(service, task, group, target)

    def _target_state_changed(
        self, service: Service, task: Task, group: Group, target: Target
    ) -> None:
        if target.health.state == "healthy":
            task.ever_healthy = True
            # "resetOnHealthyTask", whose default is true
            self._rollout(service, task).failed = 0
            self.look_soon(service)
        elif target.health.state == "unhealthy":
            service.add_event(
                self._timeline,
                f"(port {target.port}) is unhealthy in (target-group {group.arn}) due to (reason "
                f"{target.health.description}).",
            )
            self._check_health(service, task)

    def _check_health(self, service: Service, task: Task) -> None:
        """Replace a task that fails its health checks after the grace period.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
        """
        running_at = task.running_at
        if running_at is None or self._timeline.now < running_at + service.grace:
            return
        for group, port in self._registrations(service, task):
            target = group.targets.get((task.interface.address, port))
            if target and target.health.state == "unhealthy":
                reason = f"Task failed ELB health checks in (target-group {group.arn})"
                self._stop(service, task, reason)

    def _is_healthy(self, service: Service, task: Task) -> bool:
        if task.status != "RUNNING":
            return False
        for group, port in self._registrations(service, task):
            target = group.targets.get((task.interface.address, port))
            # A target group whose load balancer is not active yet says nothing about a task.
            if target is None or target.health.state != "healthy":
                return False
        return True

    # Stopping

    def _stop_surplus(self, service: Service) -> None:
        alive = [task for task in self._of(service) if task.wanted == "RUNNING"]
        own = [task for task in alive if task.started_by == service.primary.id]
        reason = f"Scaling activity initiated by (deployment {service.primary.id})"
        # Tasks that do not serve are stopped first.
        own.sort(key=lambda task: (self._is_healthy(service, task), -task.created))
        for task in own[: max(len(own) - service.desired, 0)]:
            self._stop(service, task, reason)
        least = math.ceil(service.desired * service.minimum_percent / 100)
        healthy = sum(self._is_healthy(service, t) for t in alive if t.wanted == "RUNNING")
        for task in [t for t in alive if t not in own]:
            serves = self._is_healthy(service, task)
            if not serves or healthy > least or service.desired == 0:
                self._stop(service, task, reason)
                healthy -= serves

    def _stop(self, service: Service, task: Task, reason: str) -> None:
        def drained(then: Callable[[], None]) -> None:
            registrations = self._registrations(service, task)
            if not registrations:
                then()
            for group, port in registrations[:1]:
                self._targets.deregister(group, task.interface.address, port, then)

        if task.stopping_at is None:
            verb = f"has stopped 1 running tasks: (task {task.id})."
            service.add_event(self._timeline, verb)
            self._tasks.stop(task, "ServiceSchedulerInitiated", reason, drained)

    def stop_by_user(self, task: Task, reason: str) -> None:
        """StopTask: the service replaces it."""
        service = self._service(task)

        def drained(then: Callable[[], None]) -> None:
            for group, port in self._registrations(service, task) if service else []:
                self._targets.deregister(group, task.interface.address, port)
            then()  # SIGTERM is sent immediately

        self._tasks.stop(task, "UserInitiated", reason, drained)

    def _exit(self, task: Task) -> None:
        """A task has started to stop, for any reason."""
        service = self._service(task)
        if service is None:
            return
        if task.stop_code in ("EssentialContainerExited", "TaskFailedToStart"):
            for group, port in self._registrations(service, task):
                self._targets.deregister(group, task.interface.address, port)
        rollout = self._rollout(service, task)
        own_fault = task.stop_code != "UserInitiated" and "Scaling" not in task.stopped_reason
        if own_fault and not task.ever_healthy:
            self._count_failure(service, rollout)
        if task.stop_code == "TaskFailedToStart":
            self._slow_down(service, rollout, task)
        self.look_soon(service)

    def _slow_down(self, service: Service, rollout: Rollout, task: Task) -> None:
        """Restart tasks that never ran with growing delays. Other tasks restart without delay."""
        rollout.never_ran += 1
        if task.stopped_reason.startswith("CannotPull"):
            service.add_event(
                self._timeline, f"was unable to place a task. Reason: {task.stopped_reason}."
            )
        delay = min(FIRST_RESTART_DELAY * 2**rollout.never_ran, LONGEST_RESTART_DELAY)
        rollout.not_before = self._timeline.now + delay
        if rollout.never_ran == THROTTLED_AFTER:
            service.add_event(self._timeline, INCONSISTENT)
        self.look_soon(service, delay)

    def _count_failure(self, service: Service, rollout: Rollout) -> None:
        """`failedTasks`: tasks in a row that never served. The circuit breaker uses this count."""
        if rollout.rollout_state == "COMPLETED":
            return
        rollout.failed += 1
        if service.breaker and rollout.failed >= service.breaker_threshold:
            if rollout.rollout_state != "FAILED":
                message = f"(deployment {rollout.id}) deployment failed: tasks failed to start."
                service.add_event(self._timeline, message)
            rollout.rollout_state, rollout.reason = "FAILED", BREAKER_REASON
            rollout.updated = self._timeline.now

    def _stopped(self, task: Task) -> None:
        service = self._service(task)
        if service:
            self.look_soon(service, 0.0)

    def _drain(self, service: Service) -> None:
        for task in self._of(service):
            reason = f"Scaling activity initiated by (deployment {service.primary.id})"
            self._stop(service, task, reason)
        if all(task.status == "STOPPED" for task in self._of(service)):
            service.status = "INACTIVE"
            service.rollouts = []

    # Done

    def _settle(self, service: Service) -> None:
        primary = service.primary
        alive = [task for task in self._of(service) if task.wanted == "RUNNING"]
        service.rollouts = [primary] + [
            r for r in service.rollouts[1:] if any(t.started_by == r.id for t in alive)
        ]
        good = [t for t in alive if self._is_healthy(service, t) and t.started_by == primary.id]
        settled = len(alive) == len(good) == service.desired
        if settled and primary.rollout_state == "IN_PROGRESS":
            primary.rollout_state = "COMPLETED"
            primary.reason = f"ECS deployment {primary.id} completed."
            primary.updated = self._timeline.now
            service.add_event(self._timeline, f"(deployment {primary.id}) deployment completed.")
            service.add_event(self._timeline, "has reached a steady state.")

    # Lookups

    def _of(self, service: Service) -> list[Task]:
        group = f"service:{service.name}"
        return [t for t in self._tasks.in_cluster(service.cluster) if t.group == group]

    def tasks_of(self, service: Service) -> list[Task]:
        """The service's tasks that ECS still returns."""
        return self._of(service)

    def _service(self, task: Task) -> Service | None:
        for service in self.services:
            if service.cluster == task.cluster and f"service:{service.name}" == task.group:
                return service
        return None

    @staticmethod
    def _rollout(service: Service, task: Task) -> Rollout:
        rollouts = (r for r in service.rollouts if r.id == task.started_by)
        return next(rollouts, Rollout(task.started_by, "", 0.0, 0.0))

    def _registrations(self, service: Service, task: Task) -> list[tuple[Group, int]]:
        registrations: list[tuple[Any, int]] = [
            (self._targets.groups.get(entry["targetGroupArn"]), entry["containerPort"])
            for entry in self._rollout(service, task).load_balancers or service.load_balancers
        ]
        return [(group, port) for group, port in registrations if group is not None]
