"""Prints the progress of an operation."""

from datetime import datetime
from typing import IO, Any

MARKS = {"pending": ".", "running": ">", "succeeded": "+", "failed": "!", "skipped": "-"}
UP_AND_CLEAR = "\x1b[1A\x1b[2K"


class Progress:
    """Prints an operation: redraws a table on a terminal, else prints a line for each change."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._drawn = 0
        self._shown: dict[str, str] = {}

    def show(self, deployment: dict[str, Any]) -> None:
        """Print the current state of the deployment's operation."""
        rows = [_row(step) for step in deployment["operation"]["steps"]]
        if self._output.isatty():
            head = f"{deployment['status']} {deployment['operation']['percent']} %"
            lines = [head, *(text for _, text in rows)]
            self._output.write(UP_AND_CLEAR * self._drawn + "\n".join(lines) + "\n")
            self._drawn = len(lines)
        else:
            rows = [("", f"{deployment['status']}"), *rows]
            for name, text in rows:
                if self._shown.get(name) != text and not text.lstrip().startswith("."):
                    self._output.write(text + "\n")
                    self._shown[name] = text
        self._output.flush()

    def next(self) -> None:
        """Start another operation below the current output."""
        self._drawn = 0
        self._shown = {}


def _row(step: dict[str, Any]) -> tuple[str, str]:
    """Return the step's name and its line, without a duration that would change at every poll."""
    took = _seconds(step)
    duration = f"{took:6.2f} s" if took is not None else " " * 8
    message = step.get("message") or ""
    name = step["name"]
    return name, f"  {MARKS.get(step['status'], '?')} {name:<28} {duration}  {message}".rstrip()


def _seconds(step: dict[str, Any]) -> float | None:
    started, finished = step.get("started_at"), step.get("finished_at")
    if not (started and finished):
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
