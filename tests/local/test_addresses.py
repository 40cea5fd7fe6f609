"""Addresses of local tasks."""

import errno
import socket
from typing import Any

import pytest

from local import addresses
from local.addresses import Addresses
from local.emulator import free_port


class Refusing(socket.socket):
    """A socket that cannot bind a fixed port. The class attribute is the error."""

    error = errno.EACCES

    def bind(self, address: Any) -> None:
        host, port = address
        if port or (self.error == errno.EADDRNOTAVAIL and host != "127.0.0.1"):
            raise OSError(self.error, "refused")
        super().bind(address)


def test_each_task_has_its_own_address_and_the_containers_port() -> None:
    given, port = Addresses(), free_port()
    one, other = given.take(port), given.take(port)
    assert one.host != other.host
    assert one.port == other.port == port


def test_a_port_that_the_process_may_not_bind_becomes_a_high_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses.socket, "socket", Refusing)
    address = Addresses().take(80)
    assert address.host == address.target_id != "127.0.0.1"
    assert address.port >= 1024


def test_targets_differ_even_if_only_127_0_0_1_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusing, "error", errno.EADDRNOTAVAIL)
    monkeypatch.setattr(addresses.socket, "socket", Refusing)
    given = Addresses()
    one, other = given.take(80), given.take(80)
    assert one.host == other.host == "127.0.0.1"
    assert one.target_id != other.target_id
    assert socket.gethostbyname(other.target_id) == "127.0.0.1"
