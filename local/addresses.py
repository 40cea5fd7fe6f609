"""Loopback addresses for tasks: on AWS each task has an address of its own, so also here."""

import errno
import random
import socket
import threading
from dataclasses import dataclass

HOST_ATTEMPTS = 32


@dataclass(frozen=True)
class Address:
    """Where a task's process listens.

    Attributes:
        host: the address to bind, e.g. "127.83.9.2".
        port: the container's port, or a free high one where the process may not bind that.
        target_id: the address as a target of the load balancer.
    """

    host: str
    port: int
    target_id: str


class Addresses:
    """Gives out addresses that nothing on this machine listens on."""

    def __init__(self) -> None:
        # Agents of several stacks share 127/8; each takes a network of its own by chance.
        self._network = f"127.{random.randint(16, 254)}.{random.randint(0, 255)}"
        self._given = 0
        self._lock = threading.Lock()

    def take(self, port: int) -> Address:
        """Return an address for a container that listens on `port`."""
        for _ in range(HOST_ATTEMPTS):
            host = f"{self._network}.{self._next() % 253 + 1}"
            try:
                return Address(host, _bindable(host, port), host)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    break  # macOS answers on 127.0.0.1 only
        # A target group holds an address once, whatever the port, and MiniStack compares text.
        # Leading zeros make the same address look different.
        return Address("127.0.0.1", _free_port("127.0.0.1"), f"127.0.0.{'0' * self._next()}1")

    def _next(self) -> int:
        with self._lock:
            self._given += 1
            return self._given


def _bindable(host: str, port: int) -> int:
    """Return `port`, or a free one when the process may not bind it; OSError when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:  # below 1024, and not root
            return _free_port(host)
    return port


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
