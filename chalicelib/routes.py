"""Every operation of the API in one table: `app.py` makes the routes from it, and `openapi.py` the
document that describes them.

A new endpoint is a row. What follows from a row is not said in it: the problems of a token, a body
or a name, the Idempotency-Key of what changes something (`Operation.refusals`, `openapi.py`).
"""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel

from chalicelib import __version__
from chalicelib.api import answers, deployments, parameters, tokens
from chalicelib.api.answer import Answer
from chalicelib.api.idempotency import METHODS as KEY_METHODS
from chalicelib.api.requests import Request
from chalicelib.api.route import Handler, Operation, Refusals
from chalicelib.chat import endpoint as chat
from chalicelib.domain import errors
from chalicelib.domain.spec import spec
from chalicelib.slack import endpoints as slack
from chalicelib.slack import owner_endpoints as slack_owners
from chalicelib.webhooks import endpoints as webhooks

DEPLOYMENT = "/deployments/{deployment}"
POLLED = ("ETag", "Retry-After")
CHANGES: Refusals = (errors.InvalidState, errors.OperationInProgress)
# The domain may be another deployment's by now.
WITH_A_DOMAIN: Refusals = (*CHANGES, errors.NameTaken)


def _change(
    name: str,
    path: str,
    handler: Handler,
    summary: str,
    *,
    method: str = "POST",
    body: type[BaseModel] | None = None,
    partial: bool = False,
    conditions: tuple[str, ...] = (),
    also: Refusals = CHANGES,
) -> Operation:
    """A change of one deployment: 202 with the deployment, whose operation has begun."""
    return Operation(
        name,
        method,
        DEPLOYMENT + path,
        "deploy",
        handler,
        summary,
        {202: answers.Deployment},
        body=body,
        partial=partial,
        takes_key=method in KEY_METHODS,
        conditions=conditions,
        headers=POLLED,
        also=also,
    )


def _look(
    name: str,
    path: str,
    handler: Handler,
    summary: str,
    model: type[BaseModel],
    query: type[parameters.Parameters] | None = None,
) -> Operation:
    """A look at one deployment."""
    return Operation(
        name, "GET", DEPLOYMENT + path, "read", handler, summary, {200: model}, parameters=query
    )


def _health(request: Request) -> Answer:
    return Answer(200, answers.Health(status="ok", version=__version__).document())


def _openapi(request: Request) -> Answer:
    return Answer(200, document())


def _logs(request: Request, reference: str) -> Answer:
    from chalicelib.api import observation

    return observation.logs(request, reference)


def _metrics(request: Request, reference: str) -> Answer:
    from chalicelib.api import observation

    return observation.metrics(request, reference)


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the table; the same one at each call, not to be changed."""
    # Nobody else pays for the import, nor for the making.
    from chalicelib.api import openapi

    return openapi.document(OPERATIONS)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "create_deployment",
        "POST",
        "/deployments",
        "deploy",
        deployments.create,
        "Deploy an image",
        {202: answers.Deployment, 200: answers.Validation},
        parameters=parameters.CreateParameters,
        body=spec.Spec,
        takes_key=True,
        headers=("Location", *POLLED),
        also=(errors.NameTaken,),
    ),
    Operation(
        "list_deployments",
        "GET",
        "/deployments",
        "read",
        deployments.list_all,
        "List deployments, newest first; an admin sees every owner's",
        {200: answers.Deployments},
        parameters=parameters.ListParameters,
    ),
    Operation(
        "get_deployment",
        "GET",
        DEPLOYMENT,
        "read",
        deployments.get,
        "Look at a deployment",
        {200: answers.Deployment, 304: None},
        conditions=("If-None-Match",),
        headers=POLLED,
    ),
    _change(
        "update_deployment",
        "",
        deployments.update,
        "Change a deployment; it is rolled out without dropping requests",
        method="PATCH",
        body=spec.Spec,
        partial=True,
        conditions=("If-Match",),
        also=WITH_A_DOMAIN,
    ),
    _change(
        "delete_deployment",
        "",
        deployments.delete,
        "Take a deployment away, at any moment, and again when it is gone",
        method="DELETE",
        conditions=("If-Match",),
        also=(),
    ),
    _change("retry_deployment", "/retry", deployments.retry, "Go on with one that failed"),
    _change(
        "rollback_deployment",
        "/rollback",
        deployments.rollback,
        "Go back to what served before the present version",
        also=WITH_A_DOMAIN,
    ),
    _change(
        "pause_deployment",
        "/pause",
        deployments.pause,
        "Take all tasks away and keep the URL, which answers 503",
    ),
    _change("resume_deployment", "/resume", deployments.resume, "Let a paused one serve again"),
    Operation(
        "extend_deployment",
        "POST",
        f"{DEPLOYMENT}/extend",
        "deploy",
        deployments.extend,
        "Let a deployment live longer, counted from now",
        {200: answers.Deployment},
        body=spec.Extension,
        takes_key=True,
        headers=POLLED,
        also=CHANGES,
    ),
    _look(
        "list_events",
        "/events",
        deployments.events,
        "Every change of status and step, oldest first",
        answers.Events,
        parameters.EventsParameters,
    ),
    _look("list_tasks", "/tasks", deployments.tasks, "The tasks, live from ECS", answers.Tasks),
    _look(
        "list_log_lines",
        "/logs",
        _logs,
        "What the tasks wrote, oldest first",
        answers.Logs,
        parameters.LogsParameters,
    ),
    _look(
        "get_metrics",
        "/metrics",
        _metrics,
        "Requests, latency, errors and load per period",
        answers.Metrics,
        parameters.MetricsParameters,
    ),
    Operation(
        "receive_slack_command",
        "POST",
        "/slack/commands",
        None,
        slack.commands,
        "A command typed in Slack, as a form that Slack has signed",
        {200: answers.SlackAnswer},
        also=(errors.Unauthenticated,),
    ),
    Operation(
        "receive_slack_interaction",
        "POST",
        "/slack/interactions",
        None,
        slack.interactions,
        "A button pressed in Slack, as a form that Slack has signed",
        {200: None},
        also=(errors.Unauthenticated,),
    ),
    Operation(
        "list_slack_owners",
        "GET",
        "/slack/owners",
        "admin",
        slack_owners.list_all,
        "List the users and channels of Slack that act for an owner",
        {200: answers.SlackOwners},
    ),
    Operation(
        "put_slack_owner",
        "PUT",
        "/slack/owners/{slack_id}",
        "admin",
        slack_owners.put,
        "Have a user or a channel of Slack act for an owner",
        {200: answers.SlackOwner, 201: answers.SlackOwner},
        body=slack_owners.SlackOwnerRequest,
    ),
    Operation(
        "delete_slack_owner",
        "DELETE",
        "/slack/owners/{slack_id}",
        "admin",
        slack_owners.delete,
        "Have a user or a channel of Slack act for nobody",
        {204: None},
    ),
    Operation(
        "create_token",
        "POST",
        "/tokens",
        "admin",
        tokens.create,
        "Make a token; it is shown here and never again",
        {201: answers.IssuedToken},
        body=tokens.TokenRequest,
    ),
    Operation(
        "list_tokens",
        "GET",
        "/tokens",
        "admin",
        tokens.list_all,
        "List every owner's tokens, without the tokens themselves",
        {200: answers.Tokens},
    ),
    Operation(
        "revoke_token",
        "DELETE",
        "/tokens/{token_id}",
        "admin",
        tokens.revoke,
        "Revoke a token",
        {204: None},
    ),
    Operation(
        "run_chat_command",
        "POST",
        "/chat/commands",
        "deploy",
        chat.run,
        "Do what was typed in a chat; the answer is for its author to read",
        {200: answers.ChatReply},
        body=chat.ChatCommand,
        takes_key=True,
    ),
    Operation(
        "list_deliveries",
        "GET",
        "/webhooks/deliveries",
        "read",
        webhooks.list_deliveries,
        "List what was and is to be posted to callback URLs; an admin sees the subscriptions', too",
        {200: answers.Deliveries},
        parameters=parameters.DeliveriesParameters,
    ),
    Operation(
        "redeliver",
        "POST",
        "/webhooks/deliveries/{delivery_id}/redeliver",
        "deploy",
        webhooks.redeliver,
        "Send a delivery now, whatever came of it, and from its first try on",
        {202: answers.Delivery},
        takes_key=True,
        also=(errors.InvalidState,),
    ),
    Operation(
        "create_subscription",
        "POST",
        "/webhooks/subscriptions",
        "admin",
        webhooks.subscribe,
        "Have a URL told of every owner's events",
        {201: answers.Subscription},
        body=webhooks.SubscriptionRequest,
        takes_key=True,
        also=(errors.QuotaExceeded,),
    ),
    Operation(
        "list_subscriptions",
        "GET",
        "/webhooks/subscriptions",
        "admin",
        webhooks.list_subscriptions,
        "List the subscriptions of the stack",
        {200: answers.Subscriptions},
    ),
    Operation(
        "delete_subscription",
        "DELETE",
        "/webhooks/subscriptions/{subscription_id}",
        "admin",
        webhooks.unsubscribe,
        "End a subscription; what it has not taken is not sent any more",
        {204: None},
    ),
    Operation(
        "get_health",
        "GET",
        "/health",
        None,
        _health,
        "Whether the API answers",
        {200: answers.Health},
    ),
    Operation(
        "get_openapi",
        "GET",
        "/openapi.json",
        None,
        _openapi,
        "This description of the API",
        {200: answers.Document},
    ),
)
