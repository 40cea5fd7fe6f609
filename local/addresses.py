"""Gives each task its own loopback address, because on AWS each task has its own address."""

import errno
import random
import socket
import threading
from dataclasses import dataclass

HOST_ATTEMPTS = 32


@dataclass(frozen=True)
class Address:
    """The address on which a task's process listens.

    Attributes:
        host: the address to bind, e.g. "127.83.9.2".
        port: the container's port, or a free high port if the process may not bind that one.
        target_id: the address as a target of the load balancer.
    """

    host: str
    port: int
    target_id: str


class Addresses:
    """Returns addresses on which no process of this machine listens."""

    def __init__(self) -> None:
        # Agents of several stacks share 127/8, so each picks a random network.
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
                    break  # macOS has only 127.0.0.1
        # In MiniStack a target group accepts an address only once, whatever the port. MiniStack
        # compares text, so leading zeros make the same address different.
        return Address("127.0.0.1", _free_port("127.0.0.1"), f"127.0.0.{'0' * self._next()}1")

    def _next(self) -> int:
        with self._lock:
            self._given += 1
            return self._given


def _bindable(host: str, port: int) -> int:
    """Return `port`, or a free port if the process may not bind it; OSError if it is taken."""
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
