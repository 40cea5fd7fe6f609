"""HTTPS to one host with the server name of another: to a load balancer, as its domain."""

from __future__ import annotations

import http.client
import socket
import ssl

# OpenSSL's error codes for a chain that ends at an issuer which is not trusted here.
# https://docs.openssl.org/master/man1/openssl-verification-options/
UNKNOWN_ISSUER = {2, 18, 19, 20, 21}


class _Connection(http.client.HTTPSConnection):
    def __init__(self, netloc: str, name: str, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(netloc, timeout=timeout, context=context)
        self._name, self._tls = name, context

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self._name)


def connection(
    netloc: str, name: str | None, timeout: float, *, verified: bool
) -> http.client.HTTPSConnection:
    """A connection to `netloc` that asks for the certificate of `name` (default: the host).

    Args:
        timeout: seconds, for each wait on the network.
        verified: whether the certificate must be valid, for that name, and from a trusted issuer.
    """
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host = netloc.partition(":")[0]
    return _Connection(netloc, name or host, timeout, context)


def is_unknown_issuer(error: ssl.SSLCertVerificationError) -> bool:
    """Whether the only fault is an unknown issuer, as with a private CA."""
    return error.verify_code in UNKNOWN_ISSUER
