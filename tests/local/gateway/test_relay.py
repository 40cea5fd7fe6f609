"""The relay passes requests and answers on as they are."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import zlib
from typing import Any

import pytest
from aiohttp import web

from local.gateway.relay import WHOLE_BYTES
from tests.local.gateway.conftest import KEYS, Upstream

SIGNED = (
    f"AWS4-HMAC-SHA256 Credential={KEYS.access_key_id}/20261124/us-east-1/s3/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=00"
)


def send(
    url: str, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Send a signed request; return status, headers and body of the answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {"Authorization": SIGNED, **headers}.items():
            connection.putheader(name, value)
        if body is not None and "Transfer-Encoding" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body, encode_chunked="Transfer-Encoding" in headers)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()


def test_what_the_signature_covers_arrives_unchanged(relay_url: str, upstream: Upstream) -> None:
    path = "/bucket/a%20b%2Fc//d?list-type=2&prefix=%C3%BC&empty="
    send(relay_url, "GET", path, **{"x-amz-Date": "20261124T000000Z", "X-Odd-CASE": "  kept "})

    ((method, arrived, headers, body),) = upstream.seen
    assert (method, arrived, body) == ("GET", path, b"")
    assert headers == [
        ("Host", relay_url.removeprefix("http://")),
        ("Authorization", SIGNED),
        ("x-amz-Date", "20261124T000000Z"),
        ("X-Odd-CASE", "kept"),
    ]


@pytest.mark.parametrize("size", [0, 1, WHOLE_BYTES, WHOLE_BYTES + 1, 3_000_000])
def test_a_body_of_any_size_arrives(relay_url: str, upstream: Upstream, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    upstream.respond = lambda: web.Response(body=body[:size][::-1])

    status, _, answered = send(relay_url, "PUT", "/", body[:size])

    assert (status, answered) == (200, body[:size][::-1])
    ((_, _, headers, arrived),) = upstream.seen
    assert arrived == body[:size]
    assert dict(headers)["Content-Length"] == str(size)


def test_a_compressed_body_arrives_as_it_is(relay_url: str, upstream: Upstream) -> None:
    packed = gzip.compress(b"{}")
    send(relay_url, "POST", "/", packed, **{"Content-Encoding": "gzip"})
    ((_, _, headers, arrived),) = upstream.seen
    assert arrived == packed
    assert dict(headers)["Content-Encoding"] == "gzip"


def test_a_long_query_arrives(relay_url: str, upstream: Upstream) -> None:
    path = f"/?{'a' * 50_000}"
    assert send(relay_url, "GET", path)[0] == 200
    assert upstream.seen[0][1] == path


def test_a_body_without_a_length_arrives(relay_url: str, upstream: Upstream) -> None:
    chunks = (b"one", b"two" * 100_000)
    send(relay_url, "PUT", "/", iter(chunks), **{"Transfer-Encoding": "chunked"})
    assert upstream.seen[0][3] == b"".join(chunks)


def test_a_client_that_waits_before_its_body_is_told_to_continue(
    relay_url: str, upstream: Upstream
) -> None:
    host, port = relay_url.removeprefix("http://").split(":")
    head = f"PUT / HTTP/1.1\r\nHost: a\r\nAuthorization: {SIGNED}\r\nContent-Length: 4\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(b"body")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    assert upstream.seen[0][3] == b"body"


def test_an_answer_arrives_with_its_status_headers_and_encoding(
    relay_url: str, upstream: Upstream
) -> None:
    packed = zlib.compress(b"text" * 100)

    def respond() -> web.Response:
        answer = web.Response(status=404, body=packed)
        answer.headers["Content-Encoding"] = "deflate"
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        answer.headers["x-amzn-ErrorType"] = "NotFound"
        return answer

    upstream.respond = respond
    status, headers, body = send(relay_url, "GET", "/")

    assert (status, body) == (404, packed)
    assert [value for name, value in headers if name == "Set-Cookie"] == ["a=1", "b=2"]
    assert ("x-amzn-ErrorType", "NotFound") in headers


def test_a_head_answer_keeps_the_length_of_the_object(relay_url: str, upstream: Upstream) -> None:
    upstream.respond = lambda: web.Response(headers={"Content-Length": "12345", "ETag": '"e"'})
    status, headers, body = send(relay_url, "HEAD", "/bucket/key")
    assert (status, body) == (200, b"")
    assert ("Content-Length", "12345") in headers


def test_a_redirect_is_not_followed(relay_url: str, upstream: Upstream) -> None:
    upstream.respond = lambda: web.Response(status=307, headers={"Location": "/elsewhere"})
    assert send(relay_url, "GET", "/")[0] == 307
    assert len(upstream.seen) == 1


def test_a_refused_call_never_reaches_the_emulator(relay_url: str, upstream: Upstream) -> None:
    status, _, body = send(
        relay_url, "POST", "/", b"{}", Authorization="", **{"X-Amz-Target": "E.L"}
    )
    assert (status, upstream.seen) == (400, [])
    assert b"MissingAuthenticationToken" in body


def test_an_emulator_that_is_gone_is_reported(relay_url: str, upstream: Upstream) -> None:
    def broken() -> web.StreamResponse:
        raise ConnectionResetError

    upstream.respond = broken
    assert send(relay_url, "GET", "/")[0] >= 500


@pytest.mark.parametrize("path", ["/deployments/a%20b", "/deployments?x=1", ""])
def test_an_error_of_the_local_api_names_its_path(
    relay_url: str, upstream: Upstream, path: str
) -> None:
    upstream.respond = lambda: web.json_response({"instance": "$context.path"}, status=401)
    _, _, body = send(relay_url, "GET", f"/restapis/abc123/dev/_user_request_{path}")
    assert json.loads(body) == {"instance": f"/dev{path.partition('?')[0]}"}


def test_a_text_of_a_caller_that_looks_like_a_variable_is_kept(
    relay_url: str, upstream: Upstream
) -> None:
    text = 'unknown field "$context.path" and $context.path'
    upstream.respond = lambda: web.json_response({"detail": text}, status=422)
    _, _, body = send(relay_url, "POST", "/restapis/abc123/dev/_user_request_/deployments", b"{}")
    assert json.loads(body) == {"detail": text}


def test_a_request_to_a_load_balancer_needs_no_key(relay_url: str, upstream: Upstream) -> None:
    host = "models-7f3k2q-0a1b2c3d.us-east-1.elb.amazonaws.com"
    connection = http.client.HTTPConnection(relay_url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/?uid=20", headers={"Host": f"{host}:443"})
    assert connection.getresponse().read() == b"answer"
    connection.request("GET", "/_alb/models-7f3k2q/a%2Fb?uid=20")
    assert connection.getresponse().read() == b"answer"
    connection.close()
    paths = [(path, dict(headers)["Host"]) for _, path, headers, _ in upstream.seen]
    assert paths[0] == ("/balancers/models-7f3k2q/?uid=20", f"{host}:443")
    assert paths[1][0] == "/balancers/models-7f3k2q/a%2Fb?uid=20"
