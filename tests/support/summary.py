"""What tests want to be told at the end of a run: `conftest.py` prints it."""

LINES: list[str] = []
