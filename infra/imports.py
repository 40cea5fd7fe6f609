"""`python -m infra.imports`: counts the import cycles and the upward imports of chalicelib.

`ROOMS` lists the rooms from the ground floor up; a room may import only from the rooms before it.
Every import counts: at the top of a module, inside a function, and for type checking alone.
`make check` runs this; it fails when a cycle or an upward import exists.

import-linter (2.17 was tried) checks the same layers, but its report has no figures.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.package import ROOT

PACKAGE = "chalicelib"
# A line per floor. Rooms of one floor do not import each other.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("platform",),
    ("domain",),
    ("store",),
    ("resources",),
    ("workflow",),
    ("usecases",),
    ("api",),
    ("webhooks", "chat"),
    ("slack",),
    ("workers", "routes"),
)

Import = tuple[str, str]
Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Report:
    """What the imports of a tree come to.

    Attributes:
        cycles: groups of modules that import each other, directly or through others.
        upward: (module, imported module) of each import from a room that is not below.
        rooms: the rooms that exist.
        dependencies: pairs of rooms of which the first imports from the second.
    """

    cycles: list[list[str]]
    upward: list[Import]
    rooms: set[str]
    dependencies: set[Import]

    @property
    def is_clean(self) -> bool:
        return not self.cycles and not self.upward

    def lines(self) -> Iterator[str]:
        """Each fault, and the figures last."""
        for cycle in self.cycles:
            yield f"import cycle: {', '.join(cycle)}"
        for importer, imported in self.upward:
            yield f"upward import: {importer} imports {imported}"
        yield (
            f"import cycles: {len(self.cycles)}, upward imports: {len(self.upward)}, "
            f"rooms: {len(self.rooms)}, dependencies between rooms: {len(self.dependencies)}"
        )


def examine(folder: Path, floors: tuple[tuple[str, ...], ...] = ROOMS) -> Report:
    """The report for the package `chalicelib` in `folder`."""
    rank = {room: number for number, floor in enumerate(floors) for room in floor}
    graph = modules(folder)
    imports = [(module, other) for module in sorted(graph) for other in sorted(graph[module])]
    between = [pair for pair in imports if room_of(pair[0]) != room_of(pair[1])]
    pairs = {(room_of(module), room_of(other)) for module, other in between}
    # A room that the list does not name is on no floor: all of its imports are upward.
    upward = [
        (module, other)
        for module, other in between
        if rank.get(room_of(other), len(floors)) >= rank.get(room_of(module), 0)
    ]
    between_rooms: Graph = {}
    for room, other in pairs:
        between_rooms.setdefault(room, set()).add(other)
    cycles = {tuple(cycle) for each in (graph, between_rooms) for cycle in _cycles(each)}
    return Report(sorted(map(list, cycles)), upward, set(map(room_of, graph)), pairs)


def modules(folder: Path) -> Graph:
    """Each module of the package, and the modules of the package that it imports."""
    files = {_name(path.relative_to(folder)): path for path in (folder / PACKAGE).rglob("*.py")}
    files.pop(PACKAGE, None)  # the version, which every room may read
    return {
        name: {found for found in _imported(path.read_text(), files) if found != name}
        for name, path in files.items()
    }


def room_of(module: str) -> str:
    """The room of a module: `store` for `chalicelib.store.table`."""
    return module.split(".")[1]


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(source: str, known: Iterable[str]) -> Iterator[str]:
    names = set(known)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            candidates = [each if each in names else node.module for each in inside]
        else:
            continue
        yield from (each for each in candidates if each in names)


def _cycles(graph: Graph) -> Iterator[list[str]]:
    """The strongly connected components of more than one node."""
    reach = {node: _reachable(node, graph) for node in graph}
    seen: set[str] = set()
    for node in sorted(graph):
        component = {other for other in reach[node] if node in reach.get(other, ())}
        if len(component) > 1 and node not in seen:
            seen |= component
            yield sorted(component)


def _reachable(start: str, graph: Graph) -> set[str]:
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph.get(ahead.pop(), set()) - reached
        reached |= new
        ahead += new
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT, help="holds chalicelib/")
    report = examine(parser.parse_args().folder)
    print("\n".join(report.lines()))
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
