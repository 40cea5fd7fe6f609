"""A call that is waited for no longer than it may take."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


def within(most: timedelta, call: Callable[[], Result]) -> Result:
    """What `call` gives, or raises; `TimeoutError` when that takes longer than `most`.

    For a look-up in DNS, which takes no timeout, and for an answer that comes byte by byte, which
    outlives every timeout between two bytes. The thread is left behind: it ends when its socket
    does, and keeps no process alive.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result(most.total_seconds())
