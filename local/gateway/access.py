"""Decides who may call: the stack's own access key, its functions, and users of its API.

The local API and the load balancers stay open on loopback. Every other request is a call to AWS.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from urllib.parse import unquote
from xml.sax.saxutils import escape

from local.emulator import ACCOUNT_ID, Keys
from local.gateway.messages import HttpAnswer

HEALTH = "/_ministack/health"
USER_REQUEST = re.compile(r"/restapis/[\w-]+/[\w-]+/_user_request_(?:[/?]|$)")
# MiniStack also routes by the host, so only a request to this machine itself is a user's request.
LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?")
REGISTRY, SIGNATURE = "/v2/", "X-Local-Signature"
CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/[^/]+/([^/]+)/aws4_request")
PRESIGNED = re.compile(r"[?&]X-Amz-Credential=([^&]+)")
# The key IDs of the sessions of roles. With AUTH=true, MiniStack verifies them itself.
SESSION_KEY = "ASIA"
# Services whose errors are XML, by their name in a signature, in addition to EC2 and S3.
XML = {
    "autoscaling",
    "cloudformation",
    "elasticloadbalancing",
    "iam",
    "rds",
    "route53",
    "sns",
    "sts",
}
# The texts and statuses of AWS, which differ between its protocols.
# https://docs.aws.amazon.com/general/latest/gr/common-errors.html and
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
UNKNOWN = "The security token included in the request is invalid."
MISSING = "Request is missing Authentication Token"


class Signer:
    """Signs paths that anyone may read who has the URL, like a presigned URL of S3."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def signed(self, path: str) -> str:
        """Return the path with its signature."""
        return f"{path}?{SIGNATURE}={self._of(path)}"

    def is_signed(self, path: str) -> bool:
        """Whether `signed` returned this path."""
        plain, _, signature = path.partition(f"?{SIGNATURE}=")
        return hmac.compare_digest(signature.encode(), self._of(plain).encode())

    def _of(self, path: str) -> str:
        return hmac.new(self._secret, path.encode(), "sha256").hexdigest()


class Access:
    """Checks the credentials of requests."""

    def __init__(self, keys: Keys, verified: bool) -> None:
        """Args: verified: whether MiniStack verifies signatures and sessions (AUTH=true)."""
        self._keys, self._verified = keys, verified
        self._signer = Signer(keys.secret_access_key)

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> HttpAnswer | None:
        """Return AWS's error for a request that may not pass, or None.

        Args:
            path: the path and query as they arrived.
        """
        if self._is_open(method, path, headers):
            return None
        if path.startswith(REGISTRY):
            return _registry_error()
        found = credential(path, headers)
        if found is not None and self._is_known(found[0], headers):
            return None
        service = found[1] if found else ""
        return _error(service, headers, missing=found is None)

    def _is_open(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        if USER_REQUEST.match(path):
            return bool(LOOPBACK.fullmatch(headers.get("Host", "")))
        if path.startswith(REGISTRY):
            if method == "GET" and self._signer.is_signed(path):
                return True
            return self._is_registry_login(headers.get("Authorization", ""))
        return path == HEALTH and method == "GET"

    def _is_registry_login(self, authorization: str) -> bool:
        """Whether it is the login that ECR's GetAuthorizationToken answers."""
        try:
            name_and_password = base64.b64decode(authorization.removeprefix("Basic "))
        except binascii.Error:
            return False
        expected = f"AWS:{self._keys.secret_access_key}"
        return hmac.compare_digest(name_and_password, expected.encode())

    def _is_known(self, key: str, headers: Mapping[str, str]) -> bool:
        if hmac.compare_digest(key.encode(), self._keys.access_key_id.encode()):
            return True
        if self._verified:
            return key.startswith(SESSION_KEY)
        # MiniStack gives every function the account ID as its key ID. The token tells them apart
        # from a caller who guesses it.
        token = headers.get("X-Amz-Security-Token", "")
        return key == ACCOUNT_ID and hmac.compare_digest(
            token.encode(), self._keys.session_token.encode()
        )


def credential(path: str, headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Return (access key ID, service) of a signed or presigned request; None if it is unsigned.

    The service is the name in the signature's scope.
    """
    if found := CREDENTIAL.search(headers.get("Authorization", "")):
        return found[1], found[2]
    if presigned := PRESIGNED.search(path):
        parts = unquote(presigned[1]).split("/")
        if len(parts) == 5:
            return parts[0], parts[3]
    return None


def _error(service: str, headers: Mapping[str, str], missing: bool) -> HttpAnswer:
    request_id = str(uuid.uuid4())
    identified = {"x-amzn-RequestId": request_id}
    if target := headers.get("X-Amz-Target"):
        code = "MissingAuthenticationTokenException" if missing else "UnrecognizedClientException"
        version = "1.0" if target.startswith("DynamoDB") else "1.1"
        body = json.dumps({"__type": code, "message": MISSING if missing else UNKNOWN})
        content_type = f"application/x-amz-json-{version}"
        return HttpAnswer(400, {**identified, "Content-Type": content_type}, body.encode())
    xml = {**identified, "Content-Type": "text/xml"}
    if service == "ec2":
        text = "AWS was not able to validate the provided access credentials"
        return HttpAnswer(401, xml, _ec2_xml("AuthFailure", text, request_id))
    form = headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
    if service in XML or form:
        code = "MissingAuthenticationToken" if missing else "InvalidClientTokenId"
        return HttpAnswer(403, xml, _query_xml(code, MISSING if missing else UNKNOWN, request_id))
    if service == "s3" or missing:  # S3 has no other mark than its path
        code, text = "AccessDenied", "Access Denied"
        if not missing:
            code = "InvalidAccessKeyId"
            text = "The AWS Access Key Id you provided does not exist in our records."
        return HttpAnswer(403, xml, _s3_xml(code, text, request_id))
    body = json.dumps({"message": UNKNOWN})
    json_type = {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": "UnrecognizedClientException",
    }
    return HttpAnswer(403, {**identified, **json_type}, body.encode())


def _registry_error() -> HttpAnswer:
    """Ask for the login, as ECR's registry does.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
    """
    error = {"code": "UNAUTHORIZED", "message": "Log in with the password of GetAuthorizationToken"}
    headers = {
        "Content-Type": "application/json",
        "Docker-Distribution-Api-Version": "registry/2.0",
        "WWW-Authenticate": 'Basic realm="ecr",service="ecr.amazonaws.com"',
    }
    return HttpAnswer(401, headers, json.dumps({"errors": [error]}).encode())


def _query_xml(code: str, text: str, request_id: str) -> bytes:
    error = (
        f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(text)}</Message></Error>"
    )
    return f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>".encode()


def _ec2_xml(code: str, text: str, request_id: str) -> bytes:
    error = f"<Errors><Error><Code>{code}</Code><Message>{escape(text)}</Message></Error></Errors>"
    return f"<Response>{error}<RequestID>{request_id}</RequestID></Response>".encode()


def _s3_xml(code: str, text: str, request_id: str) -> bytes:
    content = f"<Code>{code}</Code><Message>{escape(text)}</Message>"
    return f"<Error>{content}<RequestId>{request_id}</RequestId></Error>".encode()
