"""The imports of chalicelib: no cycles, and no imports from a higher layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra import imports
from tests.support.project import ROOT

FLOORS = (("low",), ("left", "right"), ("high",))


def report_for(folder: Path, files: dict[str, str]) -> imports.Report:
    """The report for a package with these modules (`low/a.py`: its source)."""
    for name, source in {"__init__.py": "", **files}.items():
        path = folder / imports.PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(source)
    return imports.examine(folder, FLOORS)


def test_an_import_from_a_lower_layer_is_allowed(tmp_path: Path) -> None:
    report = report_for(tmp_path, {"low/a.py": "", "high/b.py": "from chalicelib.low import a"})
    assert report.is_clean
    assert report.dependencies == {("high", "low")}
    assert list(report.lines()) == [
        "import cycles: 0, upward imports: 0, rooms: 2, dependencies between rooms: 1"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import chalicelib.high.b",
        "from chalicelib.high import b",
        "from chalicelib.high.b import name",
        "def f():\n    from chalicelib.high import b",
        "if TYPE_CHECKING:\n    from chalicelib.high.b import Name",
    ],
)
def test_an_upward_import_is_found_wherever_it_is(tmp_path: Path, source: str) -> None:
    report = report_for(tmp_path, {"low/a.py": source, "high/b.py": ""})
    assert report.upward == [("chalicelib.low.a", "chalicelib.high.b")]
    assert next(report.lines()) == "upward import: chalicelib.low.a imports chalicelib.high.b"


def test_layers_of_the_same_level_do_not_import_each_other(tmp_path: Path) -> None:
    report = report_for(tmp_path, {"left/a.py": "import chalicelib.right.b", "right/b.py": ""})
    assert report.upward == [("chalicelib.left.a", "chalicelib.right.b")]


def test_an_unlisted_layer_is_below_no_other(tmp_path: Path) -> None:
    report = report_for(tmp_path, {"high/a.py": "import chalicelib.other.b", "other/b.py": ""})
    assert report.upward == [("chalicelib.high.a", "chalicelib.other.b")]


def test_a_cycle_within_a_layer_is_found(tmp_path: Path) -> None:
    files = {
        "low/a.py": "import chalicelib.low.b",
        "low/b.py": "def f():\n    import chalicelib.low.c",
        "low/c.py": "from chalicelib.low import a",
    }
    report = report_for(tmp_path, files)
    assert report.cycles == [["chalicelib.low.a", "chalicelib.low.b", "chalicelib.low.c"]]
    assert not report.upward


def test_a_cycle_of_layers_is_found(tmp_path: Path) -> None:
    files = {
        "low/a.py": "from chalicelib.high import b",
        "low/c.py": "",
        "high/b.py": "from chalicelib.low import c",
    }
    assert report_for(tmp_path, files).cycles == [["high", "low"]]


def test_every_layer_of_the_project_is_listed() -> None:
    listed = {room for floor in imports.ROOMS for room in floor}
    assert imports.examine(ROOT).rooms == listed


def test_the_project_imports_only_downward() -> None:
    assert imports.examine(ROOT).upward == []
