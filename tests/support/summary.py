"""Lines that tests add to the end of the run's output. `conftest.py` prints them."""

LINES: list[str] = []
