"""URLs that must not receive events, in any spelling and through any DNS name."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from chalicelib.platform import public_addresses
from chalicelib.platform.public_addresses import Refused, check_host
from chalicelib.platform.settings import settings
from chalicelib.usecases import callback_url
from tests.support.subscribers import Resolver, set_webhook_secrets

PUBLIC = "must point to a public address over https, not to a private, local or special one"
NOTATION = "must have a host name, or an address in standard notation such as 192.0.2.7"
UNKNOWN = "must have a host that DNS can resolve: DNS has no such host"
SHAPE = "must be a URL with a valid host name and port, such as https://example.com/hooks"
HTTPS = "must start with https://"
ASCII = (
    "must have only ASCII letters, digits and the punctuation of RFC 3986. Write an "
    "international host name as xn--..., and escape other characters (%20)"
)
CREDENTIALS = "must not contain a user or password: the signature proves the sender"
FRAGMENT = "must not contain a fragment: remove the # and everything after it"
LONG = "must have at most 2048 characters, not 2068"

# Refused URLs, by the kind of trick, with a part of the refusal.
HOSTILE: dict[str, tuple[str, str]] = {
    "metadata service": ("https://169.254.169.254/latest/meta-data/", PUBLIC),
    "metadata service, IPv6": ("https://[fd00:ec2::254]/latest/", PUBLIC),
    "task metadata": ("https://169.254.170.2/v2/credentials", PUBLIC),
    "loopback": ("https://127.0.0.1/", PUBLIC),
    "loopback, all of it": ("https://127.8.9.1/", PUBLIC),
    "loopback, IPv6": ("https://[::1]/", PUBLIC),
    "private 10/8": ("https://10.0.0.1/", PUBLIC),
    "private 172.16/12": ("https://172.31.255.254/", PUBLIC),
    "private 192.168/16": ("https://192.168.1.1:8443/", PUBLIC),
    "carrier-grade NAT": ("https://100.64.0.1/", PUBLIC),
    "Azure's wire server": ("https://168.63.129.16/", PUBLIC),
    "this network": ("https://0.0.0.0/", PUBLIC),
    "unspecified, IPv6": ("https://[::]/", PUBLIC),
    "multicast": ("https://224.0.0.1/", PUBLIC),
    "broadcast": ("https://255.255.255.255/", PUBLIC),
    "link-local, IPv6": ("https://[fe80::1]/", PUBLIC),
    "unique local, IPv6": ("https://[fc00::1]/", PUBLIC),
    "documentation": ("https://192.0.2.1/", PUBLIC),
    "decimal": ("https://2130706433/", NOTATION),
    "decimal metadata service": ("https://2852039166/", NOTATION),
    "octal": ("https://0177.0.0.1/", NOTATION),
    "hexadecimal": ("https://0x7f000001/", NOTATION),
    "hexadecimal parts": ("https://0x7f.0x0.0x0.0x1/", NOTATION),
    "two parts": ("https://127.1/", NOTATION),
    "zero": ("https://0/", NOTATION),
    "a public one in decimal": ("https://134744072/", NOTATION),
    "IPv4-mapped": ("https://[::ffff:127.0.0.1]/", PUBLIC),
    "IPv4-mapped, in hexadecimal": ("https://[::ffff:a9fe:a9fe]/", PUBLIC),
    "IPv4-compatible": ("https://[::127.0.0.1]/", PUBLIC),
    "IPv4-translated": ("https://[::ffff:0:127.0.0.1]/", PUBLIC),
    "NAT64": ("https://[64:ff9b::a9fe:a9fe]/", PUBLIC),
    "NAT64, local": ("https://[64:ff9b:1::a9fe:a9fe]/", PUBLIC),
    "6to4": ("https://[2002:a9fe:a9fe::]/", PUBLIC),
    "Teredo": ("https://[2001::1]/", PUBLIC),
    "zone of an address": ("https://[fe80::1%25eth0]/", SHAPE),
    "localhost": ("https://localhost/", PUBLIC),
    "localhost in capitals": ("https://LOCALHOST/", PUBLIC),
    "trailing dot": ("https://localhost./", SHAPE),
    "trailing dot of an address": ("https://127.0.0.1./", SHAPE),
    "name of a private address": ("https://inside.example.com/", PUBLIC),
    "name of the metadata service": ("https://metadata.example.com/", PUBLIC),
    "name of IPv4-mapped loopback": ("https://mapped.example.com/", PUBLIC),
    "a public and a private address": ("https://both.example.com/", PUBLIC),
    "name that does not resolve": ("https://nowhere.example.com/", UNKNOWN),
    "label that is too long": (f"https://{'a' * 64}.example.com/", UNKNOWN),
    "unicode digits": ("https://①②⑦.⓪.⓪.①/", ASCII),
    "unicode dots": ("https://127。0。0。1/", ASCII),
    "unicode letters": ("https://ⓛocalhost/", ASCII),
    "escaped host": ("https://%31%32%37.0.0.1/", SHAPE),
    "user and password": ("https://user:secret@example.com/", CREDENTIALS),
    "a public name as user": ("https://example.com@127.0.0.1/", CREDENTIALS),
    "backslash": ("https://example.com\\@127.0.0.1/", ASCII),
    "fragment": ("https://example.com/#@127.0.0.1/", FRAGMENT),
    "fragment for a path": ("https://example.com#@127.0.0.1/", FRAGMENT),
    "line break": ("https://example.com/\r\nX: y", ASCII),
    "null": ("https://example.com\x00.internal/", ASCII),
    "space": (" https://example.com/", ASCII),
    "tab in the scheme": ("ht\ttps://example.com/", ASCII),
    "http": ("http://example.com/", HTTPS),
    "http on loopback": ("http://127.0.0.1:8080/", HTTPS),
    "scheme in capitals": ("HTTPS://example.com/", HTTPS),
    "file": ("file:///etc/passwd", HTTPS),
    "gopher": ("gopher://127.0.0.1:6379/_INFO", HTTPS),
    "no scheme": ("//example.com/", HTTPS),
    "no host": ("https:///hooks", SHAPE),
    "nothing": ("", HTTPS),
    "only a scheme": ("https://", SHAPE),
    "port 0": ("https://example.com:0/", SHAPE),
    "port too high": ("https://example.com:65536/", SHAPE),
    "port that is none": ("https://example.com:https/", SHAPE),
    "IPv6 without brackets": ("https://::1/", SHAPE),
    "IPv6 that is none": ("https://[1:2:3]/", NOTATION),
    "too long": (f"https://example.com/{'a' * 2048}", LONG),
}
# The other URLs have a forbidden format, which DNS cannot change.
LEADING_INSIDE = {kind: url for kind, (url, words) in HOSTILE.items() if words in (PUBLIC, UNKNOWN)}
GOOD = [
    "https://example.com",
    "https://example.com/hooks?team=a&x=%41",
    "https://EXAMPLE.com:8443/hooks",
    "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]/hooks",
    "https://example.com/@team/[x]?next=//127.0.0.1",
]


@pytest.fixture(autouse=True)
def dns(resolver: Resolver, webhook_secret: str) -> Resolver:
    resolver.names |= {
        "EXAMPLE.com": ["93.184.215.14"],
        "localhost": ["127.0.0.1"],
        "LOCALHOST": ["127.0.0.1"],
        "inside.example.com": ["10.1.2.3"],
        "metadata.example.com": ["169.254.169.254"],
        "mapped.example.com": ["::ffff:127.0.0.1"],
        "both.example.com": ["93.184.215.14", "192.168.0.1"],
    }
    return resolver


@pytest.mark.parametrize(("url", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_forbidden_url_is_refused_with_the_fix(url: str, words: str) -> None:
    assert callback_url.fault(url) == words


@pytest.mark.parametrize("url", LEADING_INSIDE.values(), ids=LEADING_INSIDE)
def test_a_call_to_a_forbidden_url_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """DNS can change after a URL is accepted, so the call itself is checked again."""

    def connect(*_: Any, **__: Any) -> None:
        raise AssertionError(f"a connection to {url}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with (
        public_addresses.session(url) as session,
        pytest.raises(Refused),
        public_addresses.refusals(),
    ):
        session.post(url, data=b"{}", timeout=1)


@pytest.mark.parametrize("url", GOOD)
def test_a_public_url_is_accepted(url: str) -> None:
    assert callback_url.fault(url) is None


def test_without_a_secret_every_url_is_refused() -> None:
    set_webhook_secrets(" ")
    fault = callback_url.fault("https://example.com/hooks")
    assert fault == (
        "cannot be used because webhooks are not set up: ask your platform team to create "
        "the webhook secret"
    )


def test_a_slow_dns_lookup_is_given_up(monkeypatch: pytest.MonkeyPatch, resolver: Resolver) -> None:
    import threading

    over = threading.Event()
    monkeypatch.setattr(callback_url, "LONGEST_LOOKUP", callback_url.LONGEST_LOOKUP / 100)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
    fault = callback_url.fault("https://example.com/hooks")
    over.set()
    assert fault == "must have a host that DNS can resolve: the lookup timed out"


def test_a_call_uses_the_address_that_it_verified(
    monkeypatch: pytest.MonkeyPatch, resolver: Resolver
) -> None:
    """DNS rebinding: a record that changes between the check and the connection has no effect."""
    called: list[Any] = []

    def connect(_: socket.socket, address: Any) -> None:
        called.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    url = "https://example.com/hooks"
    with public_addresses.session(url) as session, pytest.raises(OSError):
        session.post(url, data=b"{}", timeout=1)
    assert called == ["93.184.215.14"]
    assert resolver.asked.count("example.com") == 1

    resolver.names["example.com"] = ["127.0.0.1"]
    with pytest.raises(Refused, match="public"):
        check_host(url)


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name itself."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with public_addresses.session("https://example.com/") as session:
        settled = session.merge_environment_settings("https://example.com/", {}, None, None, None)
    assert not settled["proxies"]


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACKS_ON_LOOPBACK", "true")
    settings.cache_clear()


@pytest.mark.usefixtures("on_loopback")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:8080/hooks", None),
        ("http://localhost:8080/hooks", None),
        ("http://[::1]:8080/hooks", None),
        ("https://127.0.0.1:8443/hooks", None),
        ("https://example.com/hooks", None),
        ("http://example.com/hooks", PUBLIC),
        ("http://10.0.0.1/hooks", PUBLIC),
        ("http://169.254.169.254/latest", PUBLIC),
        ("https://10.0.0.1/hooks", PUBLIC),
        ("ftp://127.0.0.1/", HTTPS),
        ("http://0x7f000001/", NOTATION),
    ],
)
def test_the_local_stack_also_accepts_loopback(url: str, words: str | None) -> None:
    assert callback_url.fault(url) == words
