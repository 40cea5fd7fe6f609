"""Every link between the pages works, and the README stays short."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import ROOT

MOST_WORDS = 700
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "container").rglob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
    ]
)
FENCE = re.compile(r"^(`{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+).+?\1")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and images, except those to other sites."""
    text = CODE.sub("", FENCE.sub("", page.read_text()))
    return (target for target in LINK.findall(text) if "://" not in target)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page.

    https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links
    """
    made: set[str] = set()
    seen: Counter[str] = Counter()
    for title in HEADING.findall(FENCE.sub("", page.read_text())):
        words = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w -]", "", words).replace(" ", "-")
        made.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_works(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_and_picture_is_linked() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)
    }
    files = {*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "images").iterdir()}
    assert {path.name for path in files if path.resolve() not in linked} == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= MOST_WORDS


def test_the_changelog_has_this_version() -> None:
    from chalicelib import __version__

    assert f"\n## [{__version__}] - " in (ROOT / "CHANGELOG.md").read_text()
