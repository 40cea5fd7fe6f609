"""What must hold of records, table and AWS when nothing runs any more, whatever happened before."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cached_property

from chalicelib.domain import quota
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import Path
from chalicelib.domain.quota import Use
from chalicelib.domain.record import Status
from chalicelib.platform.settings import settings
from chalicelib.resources import pause_rule
from chalicelib.store import quota_guard as usage
from tests.faults.world import World

# Status of the deployment -> how the operation that led there may have ended.
LEGAL = {
    Status.ACTIVE: {"succeeded", "rolled_back", "cancelled"},
    Status.PAUSED: {"succeeded", "rolled_back", "cancelled"},
    Status.FAILED: {"failed"},
    Status.DELETED: {"succeeded"},
    Status.DELETE_FAILED: {"failed"},
}
# A step looks at the deadline at least once a minute; where its execution has died the reconciler
# does, every five.
PAST_DEADLINE = 600.0


def broken(world: World, *, on_time: bool = True) -> list[str]:
    """Every invariant that does not hold, in words; empty when all do.

    `on_time` False leaves deadlines out: for a world in which records could not be written.
    """
    table = Table(world)
    found = [text for record in table.records.values() for text in _of_record(world, record)]
    if on_time:
        found += [text for record in table.records.values() for text in _is_late(record)]
    found += _orphans(world, table)
    found += _names(table)
    found += _quotas(table)
    found += [text for record in table.records.values() for text in _events(record, table)]
    found += _running(world)
    found += _order(world)
    found += _strangers(world, table)
    return found


class Table:
    """The whole table, read past the layer; each view of it is made when it is first asked for.

    Attributes:
        records: by id.
        names: (owner, name) -> id.
        sequences: id -> numbers of its events.
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
    def sequences(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = defaultdict(list)
        for item in self._items:
            if item["sk"].startswith("EVENT#"):
                number = json.loads(item["document"])["sequence"]
                numbers[item["pk"].partition("#")[2]].append(number)
        return numbers


# --- one record ----------------------------------------------------------------------------


def _of_record(world: World, record: Deployment) -> Iterator[str]:
    operation = record.operation
    told = f"{record.id} {record.status} ({operation.kind} {operation.status})"
    if operation.status not in LEGAL.get(record.status, set()):
        yield f"{told}: no end state"
        return
    if operation.status != "cancelled":
        yield from (
            f"{told}: step {step.name} is {step.status}"
            for step in operation.steps
            if step.status in ("pending", "running")
        )
    if operation.finished_at is None:
        yield f"{told}: without a time of its end"
    late = [key for key, until in record.in_flight.items() if until > world.clock.now()]
    if late:
        yield f"{told}: in flight {late}"
    if (record.failure is None) != (operation.status in ("succeeded", "cancelled")):
        yield f"{told}: failure is {record.failure}"
    left = world.account.left(record.id)
    if record.status is Status.ACTIVE:
        yield from _serves(world, record, told)
    elif record.status is Status.PAUSED:
        yield from _is_paused(world, record, left, told)
    elif record.status is Status.DELETED or _is_torn_down(record):
        yield from _is_gone(record, left, told)
    elif record.status is Status.DELETE_FAILED:
        yield from _is_told(record, left, told)


def _is_late(record: Deployment) -> Iterator[str]:
    operation = record.operation
    ended = operation.finished_at
    if ended and (ended - operation.deadline).total_seconds() > PAST_DEADLINE:
        yield f"{record.id}: the {operation.kind} ended at {ended}, due by {operation.deadline}"


def _is_torn_down(record: Deployment) -> bool:
    return record.status is Status.FAILED and record.operation.path is Path.DESTROY


def _serves(world: World, record: Deployment, told: str) -> Iterator[str]:
    answers = world.account.answers(record.id)
    if record.wanted_tasks and not answers:
        yield f"{told}: its URL does not answer"
    if record.wanted_tasks and answers and set(answers.digests) != {record.image.digest}:
        yield f"{told}: {answers.digests} serve, not {record.image.digest}"
    if answers.fixed:
        yield f"{told}: its URL answers {answers.fixed}"
    yield from _stands(world, record, told)


def _is_paused(world: World, record: Deployment, left: list[str], told: str) -> Iterator[str]:
    fixed = world.account.answers(record.id).fixed or {"StatusCode": "0", "MessageBody": ""}
    if not pause_rule.is_its_answer(int(fixed["StatusCode"]), fixed["MessageBody"]):
        yield f"{told}: its URL does not answer that it is paused, but {fixed}"
    if tasks := [item for item in left if item.startswith("task ")]:
        yield f"{told}: {tasks} still run"
    yield from _stands(world, record, told)


def _stands(world: World, record: Deployment, told: str) -> Iterator[str]:
    """What holds of one that serves and of one that is paused."""
    if not record.url:
        yield f"{told}: without a URL"
    tags = world.account.inventory.own_tags(record.id)
    wrong = {name: found for name, found in tags.items() if found != record.spec.tags}
    if wrong:
        yield f"{told}: tagged {wrong}, not {record.spec.tags}"
    if record.leftovers:
        yield f"{told}: with leftovers {record.leftovers}"
    yield from _address(world, record, told)
    yield from _scales(world, record, told)


def _address(world: World, record: Deployment, told: str) -> Iterator[str]:
    """The listeners are those of the spec, and just its domain leads to the deployment."""
    secure = {443: "forward", 80: "redirect"}
    listeners = world.account.inventory.listeners(record.id)
    if listeners != (secure if record.spec.certificate_arn else {80: "forward"}):
        yield f"{told}: listens with {listeners}"
    aliases = world.account.inventory.aliases().items()
    leading = [name for name, target in aliases if target.startswith(f"{record.id}-")]
    wanted = [record.spec.domain] if record.spec.domain else []
    if leading != wanted or record.domains != wanted:
        yield f"{told}: {leading} leads there, of {record.domains}, not {wanted}"


def _scales(world: World, record: Deployment, told: str) -> Iterator[str]:
    """AWS scales it as the spec says, or not at all."""
    bounds, scaling = world.account.scaling.bounds(record.id), record.scaling
    if bounds != ((scaling.min, scaling.max) if scaling else None):
        yield f"{told}: scales within {bounds}, not {scaling}"
    live = [r for r in record.resources if r.kind == "scalable_target" and not r.verified_gone]
    if len(live) != bool(scaling):
        yield f"{told}: its resources tell of {len(live)} scalable targets"
    desired = world.account.desired_tasks(record.id)
    if not record.wanted_tasks <= desired <= record.most_tasks:
        yield f"{told}: the service wants {desired} tasks"


def _is_gone(record: Deployment, left: list[str], told: str) -> Iterator[str]:
    if left:
        yield f"{told}: AWS still has {left}"
    unproven = [r.name for r in record.resources if not (r.verified_gone and r.deleted_at)]
    if unproven:
        yield f"{told}: no receipt for {unproven}"
    if record.leftovers:
        yield f"{told}: with leftovers {record.leftovers}"
    if record.url or record.meter.usd_per_hour:
        yield f"{told}: with {record.url} at USD {record.meter.usd_per_hour} an hour"
    if record.status is Status.DELETED and not (record.deleted_at and record.purge_at):
        yield f"{told}: without deleted_at and purge_at"


def _is_told(record: Deployment, left: list[str], told: str) -> Iterator[str]:
    """Everything that is left stands in `leftovers` with a reason."""
    yield from (f"{told}: no reason for {item}" for item in record.leftovers if not item.reason)
    named = {item.name for item in record.leftovers}
    if record.id in named and any(item.kind == "unknown" for item in record.leftovers):
        return  # AWS could not be asked, and that is told
    untold = [item for item in left if not _names_one(named, item)]
    if untold:
        yield f"{told}: not told of {untold}, only of {sorted(named)}"


def _names_one(named: set[str], item: str) -> bool:
    """Whether `item`, "kind name", is told: by its name, as the end of an ARN, or within it."""
    return any(name in item or name.endswith(item.split()[1]) for name in named)


# --- the table as a whole ------------------------------------------------------------------


def _orphans(world: World, table: Table) -> Iterator[str]:
    for item in world.account.stack_resources(settings().stack_name):
        if not any(known in str(item) for known in table.records):
            yield f"nobody's: {item}"


def _names(table: Table) -> Iterator[str]:
    """A name is taken as long as its deployment is not DELETED, and no longer."""
    for (owner, name), known in table.names.items():
        record = table.records.get(known)
        if record is None or (record.owner, record.name) != (owner, name):
            yield f"the name {name} of {owner} is {known}'s, which is not there"
        elif record.status is Status.DELETED:
            yield f"{known} is DELETED and holds the name {name}"
    for record in table.records.values():
        if record.status is Status.DELETED or record.spec.image.startswith("unknown.invalid/"):
            continue
        if table.names.get((record.owner, record.name)) != record.id:
            yield f"{record.id} is {record.status} without its name"


def _quotas(table: Table) -> Iterator[str]:
    """No owner has more than it may, but for what the reconciler found and told."""
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


# --- the past ------------------------------------------------------------------------------


def _running(world: World) -> Iterator[str]:
    for execution in world.states.running:
        yield f"{execution.name} still runs"


def _order(world: World) -> Iterator[str]:
    """Once a generation has changed something at AWS, no older one does."""
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
    """No step changes anything that is another deployment's."""
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
