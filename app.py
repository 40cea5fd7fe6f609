"""Wiring only: the routes, the authorizer and the Lambda steps, each one call long.

The steps stay here and off Chalice's blueprints: on AWS a function of a blueprint bypasses it.
"""

from typing import Any

from chalice.app import AuthRequest, AuthResponse, CloudWatchEvent, Rate, Response

from chalicelib import __version__
from chalicelib.api import auth, deployments, observation, tokens
from chalicelib.api.answer import Answer
from chalicelib.api.endpoint import SlipwayApi, endpoint
from chalicelib.api.requests import Request
from chalicelib.deployments.errors import Unauthenticated
from chalicelib.workflow import lifecycle, reconcile, steps

app = SlipwayApi(app_name="slipway")

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


@app.route("/health", methods=["GET"])
def health() -> Response:
    return Response({"status": "ok", "version": __version__}, status_code=200)


@app.route("/deployments", methods=["POST"], authorizer=authorizer, content_types=ANY_TYPE)
@endpoint(app, "deploy")
def create_deployment(request: Request) -> Answer:
    return deployments.create(request)


@app.route("/deployments", methods=["GET"], authorizer=authorizer)
@endpoint(app, "read")
def list_deployments(request: Request) -> Answer:
    return deployments.list_all(request)


@app.route("/deployments/{deployment}", methods=["GET"], authorizer=authorizer)
@endpoint(app, "read")
def get_deployment(request: Request, deployment: str) -> Answer:
    return deployments.get(request, deployment)


@app.route(
    "/deployments/{deployment}", methods=["PATCH"], authorizer=authorizer, content_types=ANY_TYPE
)
@endpoint(app, "deploy")
def update_deployment(request: Request, deployment: str) -> Answer:
    return deployments.update(request, deployment)


@app.route(
    "/deployments/{deployment}", methods=["DELETE"], authorizer=authorizer, content_types=ANY_TYPE
)
@endpoint(app, "deploy")
def delete_deployment(request: Request, deployment: str) -> Answer:
    return deployments.delete(request, deployment)


@app.route(
    "/deployments/{deployment}/retry",
    methods=["POST"],
    authorizer=authorizer,
    content_types=ANY_TYPE,
)
@endpoint(app, "deploy")
def retry_deployment(request: Request, deployment: str) -> Answer:
    return deployments.retry(request, deployment)


@app.route(
    "/deployments/{deployment}/rollback",
    methods=["POST"],
    authorizer=authorizer,
    content_types=ANY_TYPE,
)
@endpoint(app, "deploy")
def rollback_deployment(request: Request, deployment: str) -> Answer:
    return deployments.rollback(request, deployment)


@app.route(
    "/deployments/{deployment}/pause",
    methods=["POST"],
    authorizer=authorizer,
    content_types=ANY_TYPE,
)
@endpoint(app, "deploy")
def pause_deployment(request: Request, deployment: str) -> Answer:
    return deployments.pause(request, deployment)


@app.route(
    "/deployments/{deployment}/resume",
    methods=["POST"],
    authorizer=authorizer,
    content_types=ANY_TYPE,
)
@endpoint(app, "deploy")
def resume_deployment(request: Request, deployment: str) -> Answer:
    return deployments.resume(request, deployment)


@app.route(
    "/deployments/{deployment}/extend",
    methods=["POST"],
    authorizer=authorizer,
    content_types=ANY_TYPE,
)
@endpoint(app, "deploy")
def extend_deployment(request: Request, deployment: str) -> Answer:
    return deployments.extend(request, deployment)


@app.route("/deployments/{deployment}/events", methods=["GET"], authorizer=authorizer)
@endpoint(app, "read")
def list_events(request: Request, deployment: str) -> Answer:
    return deployments.events(request, deployment)


@app.route("/deployments/{deployment}/tasks", methods=["GET"], authorizer=authorizer)
@endpoint(app, "read")
def list_tasks(request: Request, deployment: str) -> Answer:
    return deployments.tasks(request, deployment)


@app.route("/deployments/{deployment}/logs", methods=["GET"], authorizer=authorizer)
@endpoint(app, "read")
def list_log_lines(request: Request, deployment: str) -> Answer:
    return observation.logs(request, deployment)


@app.route("/deployments/{deployment}/metrics", methods=["GET"], authorizer=authorizer)
@endpoint(app, "read")
def get_metrics(request: Request, deployment: str) -> Answer:
    return observation.metrics(request, deployment)


@app.route("/tokens", methods=["POST"], authorizer=authorizer, content_types=ANY_TYPE)
@endpoint(app, "admin")
def create_token(request: Request) -> Answer:
    return tokens.create(request)


@app.route("/tokens", methods=["GET"], authorizer=authorizer)
@endpoint(app, "admin")
def list_tokens(request: Request) -> Answer:
    return tokens.list_all(request)


@app.route("/tokens/{token_id}", methods=["DELETE"], authorizer=authorizer, content_types=ANY_TYPE)
@endpoint(app, "admin")
def revoke_token(request: Request, token_id: str) -> Answer:
    return tokens.revoke(request, token_id)


@app.lambda_function(name="network")
def network(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return steps.run(steps.NETWORK, event, context)


@app.lambda_function(name="load_balancing")
def load_balancing(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return steps.run(steps.LOAD_BALANCING, event, context)


@app.lambda_function(name="cluster")
def cluster(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return steps.run(steps.CLUSTER, event, context)


@app.lambda_function(name="service")
def service(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return steps.run(steps.SERVICE, event, context)


@app.lambda_function(name="verification")
def verification(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return steps.run(steps.VERIFICATION, event, context)


@app.lambda_function(name="lifecycle")
def lifecycle_step(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if event["step"] == "diagnose":
        return lifecycle.diagnose(event)
    return steps.run(lifecycle.STEPS, event, context)


@app.schedule(Rate(5, unit=Rate.MINUTES), name="reconciler")
def reconciler(event: CloudWatchEvent) -> dict[str, Any]:
    return reconcile.run(event.to_dict())
