"""Invariants of records, table and AWS. They hold whenever nothing runs, after any history."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from chalicelib.domain import quota
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import EventType
from chalicelib.domain.quota import Use
from chalicelib.domain.record import Status
from chalicelib.platform.settings import settings
from chalicelib.resources import pause_rule
from chalicelib.store import quota_guard as usage
from tests.faults.world import World

# Status of the deployment -> the possible final statuses of its last operation.
LEGAL = {
    Status.ACTIVE: {"succeeded", "rolled_back", "cancelled"},
    Status.PAUSED: {"succeeded", "rolled_back", "cancelled"},
    Status.FAILED: {"failed"},
    Status.DELETED: {"succeeded"},
    Status.DELETE_FAILED: {"failed"},
}
# A step checks the deadline at least once a minute. If its execution died, the reconciler checks
# it every five minutes.
PAST_DEADLINE = 600.0
# A check of health that AWS throttles is repeated a minute later.
CHECK_OVERDUE = 300.0


def broken(world: World, *, on_time: bool = True) -> list[str]:
    """A description of each broken invariant; empty if all hold.

    With `on_time` False, deadlines are not checked: for a world in which records could not be
    written.
    """
    table = Table(world)
    problems = [
        text
        for record in table.records.values()
        for text in _of_record(world, record, table.taken_over[record.id])
    ]
    if on_time:
        problems += [text for record in table.records.values() for text in _is_late(record)]
    problems += _orphans(world, table)
    problems += _names(table)
    problems += _kept_logs(table)
    problems += _quotas(table)
    problems += [text for record in table.records.values() for text in _events(record, table)]
    problems += _running(world)
    problems += _order(world)
    problems += _strangers(world, table)
    return problems


class Table:
    """The whole table, read without the layer. Each view is computed at its first use.

    Attributes:
        records: by ID.
        names: (owner, name) -> ID.
        with_kept_logs: IDs whose last log lines are kept.
        sequences: ID -> numbers of its events.
        taken_over: ID -> generations in which the reconciler continued an operation.
    """

    def __init__(self, world: World) -> None:
        self._items = list(world.account.items(settings().table_name))

    @cached_property
    def records(self) -> dict[str, Deployment]:
        return {
            item["pk"].partition("#")[2]: Deployment.model_validate_json(item["document"])
            for item in self._items
            if item["sk"] == "RECORD"
        }

    @cached_property
    def names(self) -> dict[tuple[str, str], str]:
        return {
            (item["pk"].partition("#")[2], item["sk"].removeprefix("NAME#")): item["deployment_id"]
            for item in self._items
            if item["sk"].startswith("NAME#")
        }

    @cached_property
    def with_kept_logs(self) -> list[str]:
        return [item["pk"].partition("#")[2] for item in self._items if item["sk"] == "LOGS"]

    @cached_property
    def sequences(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = defaultdict(list)
        for deployment_id, event in self._events:
            numbers[deployment_id].append(event["sequence"])
        return numbers

    @cached_property
    def taken_over(self) -> dict[str, set[int]]:
        generations: dict[str, set[int]] = defaultdict(set)
        for deployment_id, event in self._events:
            if event["type"] == EventType.OPERATION_CONTINUED:
                generations[deployment_id].add(event["generation"])
        return generations

    @cached_property
    def _events(self) -> list[tuple[str, dict[str, Any]]]:
        return [
            (item["pk"].partition("#")[2], json.loads(item["document"]))
            for item in self._items
            if item["sk"].startswith("EVENT#")
        ]


# --- one record ----------------------------------------------------------------------------


def _of_record(world: World, record: Deployment, taken_over: set[int]) -> Iterator[str]:
    operation = record.operation
    state = f"{record.id} {record.status} ({operation.kind} {operation.status})"
    if operation.status not in LEGAL.get(record.status, set()):
        yield f"{state}: no end state"
        return
    if operation.status != "cancelled":
        yield from (
            f"{state}: step {step.name} is {step.status}"
            for step in operation.steps
            if step.status in ("pending", "running")
        )
    if operation.finished_at is None:
        yield f"{state}: no finished_at"
    yield from _outcome(record, taken_over, state)
    late = [key for key, until in record.in_flight.items() if until > world.clock.now()]
    if late:
        yield f"{state}: in flight {late}"
    if (record.failure is None) != (operation.status in ("succeeded", "cancelled")):
        yield f"{state}: failure is {record.failure}"
    yield from _is_checked(world, record, state)
    left = world.account.left(record.id)
    if record.status is Status.ACTIVE:
        yield from _serves(world, record, state)
    elif record.status is Status.PAUSED:
        yield from _is_paused(world, record, left, state)
    elif record.status is Status.DELETED or _is_torn_down(record):
        yield from _is_gone(record, left, state)
    elif record.status is Status.DELETE_FAILED:
        yield from _lists_leftovers(record, left, state)


def early_outcomes(world: World) -> list[str]:
    """Records whose outcome is null although nothing that was requested runs, or the opposite.

    Unlike the other invariants, this one holds at any time.
    """
    return [
        f"{record.id} {record.status}: {record.outcome} of {record.outcome_generation}"
        for record in Table(world).records.values()
        if record.outcome_generation is not None
        and (record.outcome is None) != (record.is_running and record.operation.requested)
    ]


def _outcome(record: Deployment, taken_over: set[int], state: str) -> Iterator[str]:
    """`outcome` is the result of what was requested, and the generation is the one of its 202."""
    operation, generation = record.operation, record.outcome_generation
    if record.outcome is None and (generation is not None or operation.requested):
        yield f"{state}: no outcome of generation {generation}"
    if operation.requested and record.outcome != operation.status:
        yield f"{state}: its outcome is {record.outcome}"
    began = operation.generation
    while began in taken_over:
        began -= 1
    if operation.requested and generation != began:
        yield f"{state}: its outcome is of generation {generation}, not of {began}"


def _is_late(record: Deployment) -> Iterator[str]:
    operation = record.operation
    ended = operation.finished_at
    if ended and (ended - operation.deadline).total_seconds() > PAST_DEADLINE:
        yield f"{record.id}: the {operation.kind} ended at {ended}, due by {operation.deadline}"


def _is_torn_down(record: Deployment) -> bool:
    return record.status is Status.FAILED and record.operation.path is Path.DESTROY


def _serves(world: World, record: Deployment, state: str) -> Iterator[str]:
    answers = world.account.answers(record.id)
    is_told = record.health is not None and record.health.is_unhealthy
    if record.wanted_tasks and not answers and not is_told:
        yield f"{state}: its URL does not respond"
    if record.wanted_tasks and answers and set(answers.digests) != {record.image.digest}:
        yield f"{state}: {answers.digests} serve, not {record.image.digest}"
    if answers.fixed:
        yield f"{state}: its URL returns {answers.fixed}"
    yield from _is_complete(world, record, state)


def _is_checked(world: World, record: Deployment, state: str) -> Iterator[str]:
    """The next check of an ACTIVE deployment is planned, and not overdue.

    Its health is None until the first check of a record that the version before wrote.
    """
    health, due = record.health, record.health_due_at
    if record.status is not Status.ACTIVE:
        if health or due:
            yield f"{state}: health {health}, next check {due}"
    elif due is None:
        yield f"{state}: no check is planned"
    elif (world.clock.now() - due).total_seconds() > CHECK_OVERDUE:
        yield f"{state}: its check is due since {due}"


def _is_paused(world: World, record: Deployment, left: list[str], state: str) -> Iterator[str]:
    fixed = world.account.answers(record.id).fixed or {"StatusCode": "0", "MessageBody": ""}
    if not pause_rule.is_its_answer(int(fixed["StatusCode"]), fixed["MessageBody"]):
        yield f"{state}: its URL returns {fixed}, not the pause response"
    if tasks := [item for item in left if item.startswith("task ")]:
        yield f"{state}: {tasks} still run"
    yield from _is_complete(world, record, state)


def _is_complete(world: World, record: Deployment, state: str) -> Iterator[str]:
    """Invariants of both serving and paused deployments."""
    if not record.url:
        yield f"{state}: no URL"
    tags = world.account.inventory.own_tags(record.id)
    wrong = {name: found for name, found in tags.items() if found != record.spec.tags}
    if wrong:
        yield f"{state}: tagged {wrong}, not {record.spec.tags}"
    if record.leftovers:
        yield f"{state}: with leftovers {record.leftovers}"
    yield from _address(world, record, state)
    yield from _scales(world, record, state)


def _address(world: World, record: Deployment, state: str) -> Iterator[str]:
    """The listeners match the spec, and only the spec's domain points to the deployment."""
    secure = {443: "forward", 80: "redirect"}
    listeners = world.account.inventory.listeners(record.id)
    if listeners != (secure if record.spec.certificate_arn else {80: "forward"}):
        yield f"{state}: its listeners are {listeners}"
    aliases = world.account.inventory.aliases().items()
    leading = [name for name, target in aliases if target.startswith(f"{record.id}-")]
    wanted = [record.spec.domain] if record.spec.domain else []
    if leading != wanted or record.domains != wanted:
        yield f"{state}: {leading} points to it and the record has {record.domains}, not {wanted}"


def _scales(world: World, record: Deployment, state: str) -> Iterator[str]:
    """AWS scales the deployment as the spec says, or not at all."""
    bounds, scaling = world.account.scaling.bounds(record.id), record.scaling
    if bounds != ((scaling.min, scaling.max) if scaling else None):
        yield f"{state}: scales within {bounds}, not {scaling}"
    live = [r for r in record.resources if r.kind == "scalable_target" and not r.verified_gone]
    if len(live) != bool(scaling):
        yield f"{state}: its resources list {len(live)} scalable targets"
    desired = world.account.desired_tasks(record.id)
    if not record.wanted_tasks <= desired <= record.most_tasks:
        yield f"{state}: the desired count of the service is {desired}"


def _is_gone(record: Deployment, left: list[str], state: str) -> Iterator[str]:
    if left:
        yield f"{state}: AWS still has {left}"
    unproven = [r.name for r in record.resources if not (r.verified_gone and r.deleted_at)]
    if unproven:
        yield f"{state}: no receipt for {unproven}"
    if record.leftovers:
        yield f"{state}: with leftovers {record.leftovers}"
    if record.url or record.meter.usd_per_hour:
        yield f"{state}: with {record.url} at USD {record.meter.usd_per_hour} an hour"
    if record.status is Status.DELETED and not (record.deleted_at and record.purge_at):
        yield f"{state}: without deleted_at and purge_at"


def _lists_leftovers(record: Deployment, left: list[str], state: str) -> Iterator[str]:
    """Every remaining resource is in `leftovers` with a reason."""
    yield from (f"{state}: no reason for {item}" for item in record.leftovers if not item.reason)
    named = {item.name for item in record.leftovers}
    if record.id in named and any(item.kind == "unknown" for item in record.leftovers):
        return  # Slipway could not list AWS's resources, and the record says so
    unlisted = [item for item in left if not _is_listed(named, item)]
    if unlisted:
        yield f"{state}: does not list {unlisted}, only {sorted(named)}"


def _is_listed(named: set[str], item: str) -> bool:
    """Whether `item`, "kind name", is listed: by its name, the end of its ARN, or a part of it."""
    return any(name in item or name.endswith(item.split()[1]) for name in named)


# --- the table as a whole ------------------------------------------------------------------


def _orphans(world: World, table: Table) -> Iterator[str]:
    for item in world.account.stack_resources(settings().stack_name):
        if not any(known in str(item) for known in table.records):
            yield f"no record for: {item}"


def _names(table: Table) -> Iterator[str]:
    """A name is in use exactly as long as its deployment is not DELETED."""
    for (owner, name), known in table.names.items():
        record = table.records.get(known)
        if record is None or (record.owner, record.name) != (owner, name):
            yield f"the name {name} of {owner} belongs to {known}, which does not exist"
        elif record.status is Status.DELETED:
            yield f"{known} is DELETED and holds the name {name}"
    for record in table.records.values():
        if record.status is Status.DELETED or record.spec.image.startswith("unknown.invalid/"):
            continue
        if table.names.get((record.owner, record.name)) != record.id:
            yield f"{record.id} is {record.status} without its name"


def _kept_logs(table: Table) -> Iterator[str]:
    """Log lines are kept only of a failed create, until it is deleted or created again."""
    for known in table.with_kept_logs:
        record = table.records.get(known)
        if record is None or record.status not in (Status.FAILED, Status.DELETE_FAILED):
            yield f"{known} is {record and record.status} and has kept log lines"


def _quotas(table: Table) -> Iterator[str]:
    """No owner exceeds its quota, except with resources that the reconciler found and reported."""
    used: dict[str, Use] = {}
    for record in table.records.values():
        if record.status is not Status.DELETE_FAILED:
            used[record.owner] = used.get(record.owner, Use()) + quota.held(record)
    for owner, use in used.items():
        over = quota.exceeded(usage.limits(), use, Use(), Use(1, 1, 1))
        yield from (f"{owner} is over its quota: {item}" for item in over if item.used > item.limit)


def _events(record: Deployment, table: Table) -> Iterator[str]:
    numbers = sorted(table.sequences.get(record.id, []))
    if numbers != list(range(1, record.events_written + 1)):
        yield f"{record.id}: events {numbers}, written {record.events_written}"


# --- history -------------------------------------------------------------------------------


def _running(world: World) -> Iterator[str]:
    for execution in world.states.running:
        yield f"{execution.name} still runs"


def _order(world: World) -> Iterator[str]:
    """Once a generation has changed anything in AWS, no older generation does."""
    newest: Counter[str] = Counter()
    for made, _ in world.touched:
        if not made.deployment_id or not made.generation:
            continue
        if made.generation < newest[made.deployment_id]:
            yield (
                f"{made.label} of {made.deployment_id}'s generation {made.generation} changed "
                f"something after {newest[made.deployment_id]} had"
            )
        newest[made.deployment_id] = max(newest[made.deployment_id], made.generation)


def _strangers(world: World, table: Table) -> Iterator[str]:
    """No step changes resources of another deployment."""
    marks = {record.id: {record.id} for record in table.records.values()}
    for record in table.records.values():
        groups = (r.arn for r in record.resources if r.kind == "security_group")
        marks[record.id] |= {arn for arn in groups if arn}
    for made, text in world.touched:
        if not made.generation:
            continue
        others = {
            known
            for known, names in marks.items()
            if known != made.deployment_id and any(name in text for name in names)
        }
        if others:
            yield f"{made.label} of {made.deployment_id} touched {sorted(others)}: {text[:200]}"
