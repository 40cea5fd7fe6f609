"""Every endpoint of the API, one row each: the composition root.

Besides the workers, this is the only module that imports api, chat, slack and webhooks. `app.py`
registers the routes with Chalice, and `api/openapi.py` describes them.

A new endpoint is a new row. A row does not list what follows from it: the problems of a token, a
body, a name or an Idempotency-Key (`Route.refusals`).
"""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel

from chalicelib.api import about, answers, deployments, observation, parameters, tokens
from chalicelib.api.idempotency import METHODS as KEY_METHODS
from chalicelib.api.route import Handler, PathParameter, Refusals, Route
from chalicelib.chat import endpoint as chat
from chalicelib.domain import errors
from chalicelib.domain.spec import extension, spec
from chalicelib.slack import endpoints as slack
from chalicelib.slack import owner_endpoints as slack_owners
from chalicelib.webhooks import endpoints as webhooks

DEPLOYMENT = "/deployments/{deployment}"
DEPLOYMENT_REFERENCE = PathParameter(
    "deployment",
    "The ID of a deployment, or the name of a live deployment of the caller.",
    parameters.DEPLOYMENT,
)
POLLED = ("ETag", "Retry-After")
CHANGES: Refusals = (errors.InvalidState, errors.OperationInProgress)
# Another deployment may have the domain by now.
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
    query: type[parameters.Parameters] | None = None,
    conditions: tuple[str, ...] = (),
    also: Refusals = CHANGES,
    answered: dict[int, type[BaseModel] | None] | None = None,
) -> Route:
    """A change of one deployment: 202 with the deployment, whose operation has started."""
    answered = answered or {202: answers.Deployment}
    return Route(
        name,
        method,
        DEPLOYMENT + path,
        "deploy",
        handler,
        summary,
        answered,
        path_parameters=(DEPLOYMENT_REFERENCE,),
        parameters=query,
        body=body,
        partial=partial,
        takes_key=method in KEY_METHODS,
        conditions=conditions,
        headers=dict.fromkeys(answered, POLLED),
        also=also,
    )


def _read(
    name: str,
    path: str,
    handler: Handler,
    summary: str,
    model: type[BaseModel],
    query: type[parameters.Parameters] | None = None,
) -> Route:
    """A read of one deployment."""
    return Route(
        name,
        "GET",
        DEPLOYMENT + path,
        "read",
        handler,
        summary,
        {200: model},
        path_parameters=(DEPLOYMENT_REFERENCE,),
        parameters=query,
    )


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the routes. Every call returns the same object; do not change it."""
    # Only the endpoint that serves the document needs it.
    from chalicelib.api import openapi

    return openapi.document(ROUTES)


ROUTES: tuple[Route, ...] = (
    Route(
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
        headers={202: ("Location", *POLLED)},
        also=(errors.NameTaken,),
    ),
    Route(
        "list_deployments",
        "GET",
        "/deployments",
        "read",
        deployments.list_all,
        "List deployments, newest first; an admin sees the deployments of every owner",
        {200: answers.Deployments},
        parameters=parameters.ListParameters,
    ),
    Route(
        "get_deployment",
        "GET",
        DEPLOYMENT,
        "read",
        deployments.get,
        "Get a deployment",
        {200: answers.Deployment, 304: None},
        path_parameters=(DEPLOYMENT_REFERENCE,),
        conditions=("If-None-Match",),
        headers={200: POLLED, 304: POLLED},
    ),
    _change(
        "update_deployment",
        "",
        deployments.update,
        "Change a deployment; the rollout drops no requests. A FAILED one is created again. "
        "200 if nothing changes",
        method="PATCH",
        body=spec.Spec,
        partial=True,
        conditions=("If-Match",),
        also=WITH_A_DOMAIN,
        query=parameters.UpdateParameters,
        answered={202: answers.Deployment, 200: answers.Unchanged},
    ),
    _change(
        "delete_deployment",
        "",
        deployments.delete,
        "Delete a deployment, whatever its status",
        method="DELETE",
        conditions=("If-Match",),
        also=(),
    ),
    _change("retry_deployment", "/retry", deployments.retry, "Retry a failed deployment"),
    _change(
        "rollback_deployment",
        "/rollback",
        deployments.rollback,
        "Roll back to the version that was ACTIVE before",
        also=WITH_A_DOMAIN,
    ),
    _change(
        "pause_deployment",
        "/pause",
        deployments.pause,
        "Stop all tasks; the URL returns 503",
    ),
    _change("resume_deployment", "/resume", deployments.resume, "Resume a paused deployment"),
    Route(
        "extend_deployment",
        "POST",
        f"{DEPLOYMENT}/extend",
        "deploy",
        deployments.extend,
        "Set a new time to live, counted from now",
        {200: answers.Deployment},
        path_parameters=(DEPLOYMENT_REFERENCE,),
        body=extension.Extension,
        takes_key=True,
        headers={200: POLLED},
        also=CHANGES,
    ),
    _read(
        "list_events",
        "/events",
        deployments.events,
        "List every change of status and step, oldest first",
        answers.Events,
        parameters.EventsParameters,
    ),
    _read(
        "list_tasks",
        "/tasks",
        deployments.tasks,
        "List the tasks as ECS reports them now",
        answers.Tasks,
    ),
    _read(
        "list_log_lines",
        "/logs",
        observation.logs,
        "List the log lines of the tasks, oldest first",
        answers.Logs,
        parameters.LogsParameters,
    ),
    _read(
        "get_metrics",
        "/metrics",
        observation.metrics,
        "Get requests, latency, errors and load per period",
        answers.Metrics,
        parameters.MetricsParameters,
    ),
    Route(
        "receive_slack_command",
        "POST",
        "/slack/commands",
        None,
        slack.commands,
        "Receive a command from Slack, as a form that Slack signed",
        {200: slack.SlackAnswer},
        also=(errors.Unauthenticated,),
    ),
    Route(
        "receive_slack_interaction",
        "POST",
        "/slack/interactions",
        None,
        slack.interactions,
        "Receive a button press from Slack, as a form that Slack signed",
        {200: None},
        also=(errors.Unauthenticated,),
    ),
    Route(
        "list_slack_owners",
        "GET",
        "/slack/owners",
        "admin",
        slack_owners.list_all,
        "List the Slack users and channels that act for an owner",
        {200: slack_owners.SlackOwners},
    ),
    Route(
        "put_slack_owner",
        "PUT",
        "/slack/owners/{slack_id}",
        "admin",
        slack_owners.put,
        "Map a Slack user or channel to an owner",
        {200: slack_owners.SlackOwner, 201: slack_owners.SlackOwner},
        path_parameters=(slack_owners.SLACK_ID,),
        body=slack_owners.SlackOwnerRequest,
    ),
    Route(
        "delete_slack_owner",
        "DELETE",
        "/slack/owners/{slack_id}",
        "admin",
        slack_owners.delete,
        "Remove the mapping of a Slack user or channel",
        {204: None},
        path_parameters=(slack_owners.SLACK_ID,),
    ),
    Route(
        "create_token",
        "POST",
        "/tokens",
        "admin",
        tokens.create,
        "Create a token; no other response shows it",
        {201: answers.IssuedToken},
        body=tokens.TokenRequest,
    ),
    Route(
        "list_tokens",
        "GET",
        "/tokens",
        "admin",
        tokens.list_all,
        "List the tokens of every owner, without their secret values",
        {200: answers.Tokens},
    ),
    Route(
        "revoke_token",
        "DELETE",
        "/tokens/{token_id}",
        "admin",
        tokens.revoke,
        "Revoke a token",
        {204: None},
        path_parameters=(tokens.TOKEN_ID,),
    ),
    Route(
        "run_chat_command",
        "POST",
        "/chat/commands",
        "deploy",
        chat.run,
        "Run a command that a user typed in a chat",
        {200: chat.ChatReply},
        body=chat.ChatCommand,
        takes_key=True,
    ),
    Route(
        "list_deliveries",
        "GET",
        "/webhooks/deliveries",
        "read",
        webhooks.list_deliveries,
        "List the deliveries to callback URLs; an admin also sees deliveries to subscriptions",
        {200: webhooks.Deliveries},
        parameters=parameters.DeliveriesParameters,
    ),
    Route(
        "redeliver",
        "POST",
        "/webhooks/deliveries/{delivery_id}/redeliver",
        "deploy",
        webhooks.redeliver,
        "Send a delivery again now, with a new schedule of tries",
        {202: webhooks.Delivery},
        path_parameters=(webhooks.DELIVERY_ID,),
        takes_key=True,
        also=(errors.InvalidState,),
    ),
    Route(
        "create_subscription",
        "POST",
        "/webhooks/subscriptions",
        "admin",
        webhooks.subscribe,
        "Subscribe a URL to every owner's events",
        {201: webhooks.Subscription},
        body=webhooks.SubscriptionRequest,
        takes_key=True,
        also=(errors.QuotaExceeded,),
    ),
    Route(
        "list_subscriptions",
        "GET",
        "/webhooks/subscriptions",
        "admin",
        webhooks.list_subscriptions,
        "List the subscriptions of the stack",
        {200: webhooks.Subscriptions},
    ),
    Route(
        "delete_subscription",
        "DELETE",
        "/webhooks/subscriptions/{subscription_id}",
        "admin",
        webhooks.unsubscribe,
        "Delete a subscription; its pending deliveries are not sent",
        {204: None},
        path_parameters=(webhooks.SUBSCRIPTION_ID,),
    ),
    Route(
        "get_health",
        "GET",
        "/health",
        None,
        about.health,
        "Check that the API responds",
        {200: answers.Health},
    ),
    Route(
        "get_openapi",
        "GET",
        "/openapi.json",
        None,
        about.openapi(document),
        "Get this description of the API",
        {200: answers.Document},
    ),
)
