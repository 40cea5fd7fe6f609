"""The entry points of the Lambda functions: each is one call.

The steps are not in Chalice's blueprints, because on AWS Lambda calls such a function without its
blueprint.
"""

import os
from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, Rate

from chalicelib.api import auth
from chalicelib.api.endpoint import SlipwayApi, view
from chalicelib.domain.errors import Unauthenticated
from chalicelib.domain.plan import Function
from chalicelib.platform import aws
from chalicelib.routes import ROUTES

# The functions that serve requests do not need the workflow's steps, so they do not import them.
# The step functions import them at the start, when Lambda gives them a whole CPU, not a share.
# `_HANDLER`: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
WITHOUT_STEPS = ("app.app", "app.authorizer", "app.courier", "app.chat_worker", "app.health")
if os.environ.get("_HANDLER", "app.app") not in WITHOUT_STEPS:
    from chalicelib.workflow import lifecycle, reconcile, steps  # noqa: F401
# For the same reason every function creates the DynamoDB client here. That takes most of the CPU
# time of a cold request, and Slack waits only three seconds.
if "_HANDLER" in os.environ:
    aws.client("dynamodb")

# Chalice must not configure the logger of this name: it would log only errors, and as text.
app = SlipwayApi(app_name="slipway", configure_logs=False)

# Any content type reaches the view, so that a wrong one is answered with a problem.
ANY_TYPE = ["*/*"]
# How long API Gateway caches the authorizer's answer. A revoked token works that long, except for
# the endpoints below /tokens and /slack/owners.
AUTHORIZER_CACHE_SECONDS = 60


@app.authorizer(ttl_seconds=AUTHORIZER_CACHE_SECONDS)
def authorizer(request: AuthRequest) -> AuthResponse:
    try:
        caller = auth.authenticate(request.token)
    except Unauthenticated:
        # API Gateway answers 401 instead of 403 only for this exact word.
        raise Exception("Unauthorized") from None
    return AuthResponse(routes=["*"], principal_id=caller.token_id, context=auth.to_context(caller))


for route in ROUTES:
    app.route(
        route.path,
        methods=[route.method],
        name=route.name,
        authorizer=authorizer if route.scope else None,
        content_types=ANY_TYPE,
    )(view(app, route))


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


@app.lambda_function(name="health")
def health(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workflow.health import health as health_checks

    return health_checks.run(event)


@app.lambda_function(name="courier")
def courier(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workers import courier as couriers

    return couriers.run(event)


@app.lambda_function(name="chat_worker")
def chat_worker(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from chalicelib.workers import chat_worker as chat_work

    return chat_work.run(event)
