"""Wiring only: the authorizer, the routes and the Lambda steps, each one call long.

The steps stay here and off Chalice's blueprints: on AWS a function of a blueprint bypasses it.
"""

import os
from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, Rate

from chalicelib.api import auth
from chalicelib.api.endpoint import SlipwayApi, view
from chalicelib.domain.errors import Unauthenticated
from chalicelib.domain.plan import Function
from chalicelib.platform import aws
from chalicelib.routes import OPERATIONS

# What serves requests does without the steps of the workflow, so each function imports its own. The
# steps' do so while they start: Lambda gives a whole CPU for that, and a share of one afterwards.
# `_HANDLER`: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
WITHOUT_STEPS = ("app.app", "app.authorizer", "app.courier", "app.chat_worker")
if os.environ.get("_HANDLER", "app.app") not in WITHOUT_STEPS:
    from chalicelib.workflow import lifecycle, reconcile, steps  # noqa: F401
# So with boto3 and the client that all of them need: most of the CPU that a cold request has left
# to pay, and Slack waits for three seconds.
if "_HANDLER" in os.environ:
    aws.client("dynamodb")

# Chalice would set up the logger of this name, which is Slipway's own: errors alone, and as text.
app = SlipwayApi(app_name="slipway", configure_logs=False)

# Any content type reaches the view, which answers 415 in the contract's words.
ANY_TYPE = ["*/*"]
# How long API Gateway keeps an answer, and so how long a revoked token may still work, except
# below /tokens.
AUTHORIZER_CACHE_SECONDS = 60


@app.authorizer(ttl_seconds=AUTHORIZER_CACHE_SECONDS)
def authorizer(request: AuthRequest) -> AuthResponse:
    try:
        caller = auth.authenticate(request.token)
    except Unauthenticated:
        # The very word that makes API Gateway answer 401 and not 403.
        raise Exception("Unauthorized") from None
    return AuthResponse(routes=["*"], principal_id=caller.token_id, context=auth.to_context(caller))


for operation in OPERATIONS:
    app.route(
        operation.path,
        methods=[operation.method],
        name=operation.name,
        authorizer=authorizer if operation.scope else None,
        content_types=ANY_TYPE,
    )(view(app, operation))


@app.lambda_function(name="network")
def network(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workflow import steps

    return steps.run(Function.NETWORK, event, context)


@app.lambda_function(name="load_balancing")
def load_balancing(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workflow import steps

    return steps.run(Function.LOAD_BALANCING, event, context)


@app.lambda_function(name="cluster")
def cluster(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workflow import steps

    return steps.run(Function.CLUSTER, event, context)


@app.lambda_function(name="service")
def service(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workflow import steps

    return steps.run(Function.SERVICE, event, context)


@app.lambda_function(name="verification")
def verification(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workflow import steps

    return steps.run(Function.VERIFICATION, event, context)


@app.lambda_function(name="lifecycle")
def lifecycle_step(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workflow import lifecycle, steps

    if event["step"] == "diagnose":
        return lifecycle.diagnose(event)
    return steps.run(Function.LIFECYCLE, event, context)


@app.schedule(Rate(5, unit=Rate.MINUTES), name="reconciler")
def reconciler(event: CloudWatchEvent) -> dict[str, Any]:
    from chalicelib.workflow import reconcile

    return reconcile.run(event.to_dict())


@app.lambda_function(name="courier")
def courier(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workers import courier as couriers

    return couriers.run(event)


@app.lambda_function(name="chat_worker")
def chat_worker(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workers import chat_worker as chat_work

    return chat_work.run(event)
