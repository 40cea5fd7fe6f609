import re
from pathlib import Path

import pytest

from tests.support import slack_screens
from tests.support.slack_server import refusal_of

MOST = 150 * 1024  # bytes of a picture


@pytest.fixture(scope="module")
def screens() -> list[slack_screens.Screen]:
    return slack_screens.screens()


def test_the_page_shows_the_current_messages(screens: list[slack_screens.Screen]) -> None:
    shown = slack_screens.PAGE.read_text().partition(slack_screens.MARK)[2]
    assert shown.strip() == slack_screens.page(screens).strip(), (
        "update it with python -m tests.support.slack_screens, then docs/render"
    )


def test_slack_accepts_every_screen(screens: list[slack_screens.Screen]) -> None:
    for screen in screens:
        sent = {"text": screen.message.text, "blocks": screen.message.blocks}
        assert refusal_of(sent) is None, screen.name


def test_every_screen_has_its_picture_and_every_picture_its_screen() -> None:
    named = set(re.findall(r"\]\((images/[^)]+)\)", slack_screens.PAGE.read_text()))
    docs = Path(slack_screens.PAGE).parent
    found = {f"images/{path.name}" for path in (docs / "images").glob("slack-*.png")}
    assert named == found
    assert all((docs / name).stat().st_size < MOST for name in named)
