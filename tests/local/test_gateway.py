"""The responses of API Gateway itself, and the methods and paths that it forwards."""

import json
from typing import Any

import pytest

from chalicelib.api import problems
from infra.gateway import METHODS, OPEN_PATH, forward_everything
from infra.package import ROOT
from infra.template import resources

# Every type of gateway response, with Slipway's status and code.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
TYPES = {
    "ACCESS_DENIED": (403, "FORBIDDEN"),
    "API_CONFIGURATION_ERROR": (503, "AWS_UNAVAILABLE"),
    "AUTHORIZER_CONFIGURATION_ERROR": (503, "AWS_UNAVAILABLE"),
    "AUTHORIZER_FAILURE": (503, "AWS_UNAVAILABLE"),
    "BAD_REQUEST_BODY": (400, "INVALID_REQUEST"),
    "BAD_REQUEST_PARAMETERS": (400, "INVALID_REQUEST"),
    "DEFAULT_4XX": (400, "INVALID_REQUEST"),
    "DEFAULT_5XX": (503, "AWS_UNAVAILABLE"),
    "EXPIRED_TOKEN": (403, "FORBIDDEN"),
    "INTEGRATION_FAILURE": (503, "AWS_UNAVAILABLE"),
    "INTEGRATION_TIMEOUT": (503, "AWS_UNAVAILABLE"),
    "INVALID_API_KEY": (403, "FORBIDDEN"),
    "INVALID_SIGNATURE": (403, "FORBIDDEN"),
    "MISSING_AUTHENTICATION_TOKEN": (404, "NOT_FOUND"),
    "QUOTA_EXCEEDED": (429, "QUOTA_EXCEEDED"),
    "REQUEST_TOO_LARGE": (413, "BODY_TOO_LARGE"),
    "RESOURCE_NOT_FOUND": (404, "NOT_FOUND"),
    "THROTTLED": (429, "QUOTA_EXCEEDED"),
    "UNAUTHORIZED": (401, "UNAUTHENTICATED"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "UNSUPPORTED_MEDIA_TYPE"),
    "WAF_FILTERED": (403, "FORBIDDEN"),
}
# Only these may use the default response and its status.
SERVER_ERRORS = {name for name, (status, _) in TYPES.items() if status >= 500}
HEADERS = {401: ("WWW-Authenticate", "'Bearer'"), 429: ("Retry-After",), 503: ("Retry-After",)}


def responses() -> dict[str, Any]:
    template = resources(ROOT)
    declared: dict[str, Any] = template["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
    return declared


def test_every_type_has_a_response() -> None:
    known = set(responses())
    assert known <= set(TYPES)
    assert set(TYPES) - known <= SERVER_ERRORS


@pytest.mark.parametrize("name", TYPES)
def test_each_is_a_problem(name: str) -> None:
    status, code = TYPES[name]
    response = responses().get(name, responses()["DEFAULT_5XX"])
    headers = response["ResponseParameters"]["Headers"]
    [template] = response["ResponseTemplates"].values()
    body = json.loads(template)
    assert response["StatusCode"] == str(status)
    assert body == problems.document(status, code, body["detail"], "$context.path", [])
    assert headers["Content-Type"] == f"'{problems.CONTENT_TYPE}'"
    if status in HEADERS:
        header, *value = HEADERS[status]
        assert headers[header] in (value or [headers[header]])
        assert headers[header].strip("'")


def test_every_method_and_path_is_forwarded_with_the_authorizer_of_its_path() -> None:
    public, private = {"parameters": [], "x": 1}, {"security": [{"authorizer": []}], "x": 2}
    paths: dict[str, Any] = {OPEN_PATH: {"get": public}, "/deployments": {"post": private}}
    template = {"Resources": {"RestAPI": {"Properties": {"DefinitionBody": {"paths": paths}}}}}

    forward_everything(template)

    assert set(paths) == {OPEN_PATH, "/deployments", "/", "/{proxy+}"}
    assert all(set(methods) == set(METHODS) for methods in paths.values())
    assert all(each == private for each in paths["/deployments"].values())
    assert all(each == public for each in paths["/"].values())
    names = [each["parameters"][0]["name"] for each in paths["/{proxy+}"].values()]
    assert set(names) == {"proxy"}
