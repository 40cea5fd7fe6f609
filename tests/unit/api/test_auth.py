import pytest

import app
from chalicelib.api import auth
from chalicelib.domain.errors import Forbidden, Unauthenticated
from chalicelib.store.tokens import Caller
from chalicelib.usecases import access
from tests.support.gateway import METHOD_ARN, Gateway, call, proxy_event


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "  BEARER   {}  "])
def test_a_token_names_its_caller(gateway: Gateway, form: str) -> None:
    caller = auth.authenticate(form.format(gateway.tokens["reader"]))
    assert (caller.owner, caller.scopes) == ("team-a", frozenset({"read"}))


@pytest.mark.parametrize(
    "form", ["", "Bearer", "Bearer ", "{}", "Basic {}", "Bearer {}x", "Bearer x"]
)
def test_an_invalid_token_has_no_caller(gateway: Gateway, form: str) -> None:
    with pytest.raises(Unauthenticated):
        auth.authenticate(form.format(gateway.tokens["reader"]))


def test_a_caller_survives_the_authorizers_context() -> None:
    caller = Caller("team-a", frozenset({"read", "deploy"}), "tok_1")
    context = auth.to_context(caller)
    assert all(isinstance(value, str) for value in context.values())
    assert auth.from_context(context) == caller


@pytest.mark.parametrize("context", [{}, {"owner": ""}, {"scopes": "admin"}])
def test_a_context_without_an_owner_has_no_caller(context: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        auth.from_context(context)


@pytest.mark.parametrize(
    ("scopes", "scope", "allowed"),
    [
        ({"read"}, "read", True),
        ({"read"}, "deploy", False),
        ({"deploy"}, "read", False),
        ({"read", "deploy"}, "admin", False),
        ({"admin"}, "deploy", True),
        (set(), "read", False),
    ],
)
def test_scopes(scopes: set[str], scope: str, allowed: bool) -> None:
    caller = Caller("team-a", frozenset(scopes), "tok_1")
    if allowed:
        access.require(caller, scope)
    else:
        with pytest.raises(Forbidden, match=scope):
            access.require(caller, scope)


def test_the_authorizer_allows_every_route_because_its_response_is_cached(gateway: Gateway) -> None:
    event = {
        "type": "TOKEN",
        "authorizationToken": f"Bearer {gateway.tokens['team-a']}",
        "methodArn": METHOD_ARN,
    }
    [statement] = app.authorizer(event, None)["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert any(resource.endswith("*") for resource in statement["Resource"])


def test_the_authorizer_refuses_with_the_text_that_means_401(gateway: Gateway) -> None:
    event = {"type": "TOKEN", "authorizationToken": "Bearer x", "methodArn": METHOD_ARN}
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        app.authorizer(event, None)


def test_health_needs_no_token(aws_calls: list[str]) -> None:
    answer = call(proxy_event("GET", "/health", None, {}, {}))
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert aws_calls == []
