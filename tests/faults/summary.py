"""What the tests of this directory want to be told at the end of a run."""

LINES: list[str] = []
