"""A call that is waited for no longer than it may take."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from threading import Lock, Thread
from typing import Any, TypeVar

Result = TypeVar("Result")


def within(
    most: timedelta, call: Callable[[], Result], give_up: Callable[[], None] = lambda: None
) -> Result:
    """What `call` gives, or raises; `TimeoutError` when that takes longer than `most`.

    For a look-up in DNS, which takes no timeout, and for an answer that comes byte by byte, which
    outlives every timeout between two bytes. The thread is left behind and keeps no process alive;
    `give_up` is called to end it.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return future.result(most.total_seconds())
    except TimeoutError:
        give_up()
        raise


class Connections:
    """Those of a `requests.Session`, to be cut by another thread than the one that waits for them.

    An answer of nothing but `100 Continue` never ends, and takes all of a CPU.
    """

    def __init__(self, session: Any) -> None:
        self._made: list[Any] = []
        self._is_cut = False
        self._lock = Lock()
        for adapter in session.adapters.values():
            # https://urllib3.readthedocs.io/en/stable/reference/urllib3.poolmanager.html
            pools = adapter.poolmanager
            pools.pool_classes_by_scheme = {
                scheme: partial(self._pool, pool_class)
                for scheme, pool_class in pools.pool_classes_by_scheme.items()
            }

    def cut(self) -> None:
        """Ends what is waited for, and lets nothing new begin."""
        with self._lock:
            self._is_cut = True
            for connection in self._made:
                # Not `close`: the thread that waits still has the file's number.
                with contextlib.suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _pool(self, pool_class: Any, *parameters: Any, **named: Any) -> Any:
        pool = pool_class(*parameters, **named)
        pool.ConnectionCls = partial(self._connection, pool.ConnectionCls)
        return pool

    def _connection(self, connection_class: Any, *parameters: Any, **named: Any) -> Any:
        with self._lock:
            if self._is_cut:
                raise ConnectionAbortedError("it took too long already")
            self._made.append(connection_class(*parameters, **named))
            return self._made[-1]
