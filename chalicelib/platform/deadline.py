"""A time limit for a call that has none of its own."""

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
    """What `call` returns or raises. Raises `TimeoutError` when `call` takes longer than `most`.

    A DNS lookup has no timeout, and a response that arrives byte by byte outlives any timeout
    between two bytes. After a timeout the thread goes on but does not keep the process alive;
    `give_up` is called to end its work.
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
    """The connections of a `requests.Session`, which another thread can cut.

    A response of nothing but `100 Continue` never ends and takes a whole CPU.
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
        """Ends the open connections and refuses new ones."""
        with self._lock:
            self._is_cut = True
            for connection in self._made:
                # Not `close`, because the waiting thread still uses the file descriptor.
                with contextlib.suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _pool(self, pool_class: Any, *parameters: Any, **named: Any) -> Any:
        pool = pool_class(*parameters, **named)
        pool.ConnectionCls = partial(self._connection, pool.ConnectionCls)
        return pool

    def _connection(self, connection_class: Any, *parameters: Any, **named: Any) -> Any:
        with self._lock:
            if self._is_cut:
                raise ConnectionAbortedError("the time limit has passed")
            self._made.append(connection_class(*parameters, **named))
            return self._made[-1]
