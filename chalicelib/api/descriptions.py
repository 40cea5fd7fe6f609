"""What the fields of the answers mean, for the OpenAPI document.

They are not in the models, because only the document needs them, and a cold function would build
them for every request. `domain/spec/spec_schema.py` does the same for the fields of a spec. A
description in a model takes precedence.
"""

from __future__ import annotations

from typing import Any

Texts = dict[str, str]

_CREATED_AT = "When it was created."
_EXPIRES_AT = "When it expires. Null if it never does."
_CHECKS: Texts = {
    "valid": "Whether no check failed.",
    "checks": "Every check, in the order in which Slipway runs them.",
    "cost": "What the deployment would cost.",
    "image": "The image as its registry describes it.",
    "spec": "The spec as it would be accepted, with its defaults.",
}
_PRICE: Texts = {
    "usd_per_hour": "US dollars per hour while the deployment serves, by list prices.",
    "basis": "Which prices these are, and what they leave out.",
}
_TOKEN: Texts = {
    "id": "The ID of the token. Use it to revoke the token.",
    "owner": "The owner whose deployments the token may see and change.",
    "scopes": "What the token allows. `admin` includes `read` and `deploy`.",
    "expires_at": _EXPIRES_AT,
}

DESCRIPTIONS: dict[str, Texts] = {
    "ChangeValidation": _CHECKS,
    "ChatReply": {
        "text": "The reply to show to the user.",
        "deployment": "The deployment that the command was about. Null if there is none.",
    },
    "Check": {
        "name": "The name of the check.",
        "status": "`not_known`: AWS does not answer the check. `skipped`: nothing to check.",
        "code": "The code that a failed operation or a refused request would have.",
        "message": "What is wrong, or why the result is not known.",
        "hint": "What to do about a failed check.",
    },
    "Cost": {
        **_PRICE,
        "accrued_usd": "US dollars since the creation, rounded to cents.",
    },
    "Deliveries": {"deliveries": "The deliveries of this page."},
    "Delivery": {
        "id": "The ID of the delivery. Use it to send the event again.",
        "type": "The type of the event.",
        "deployment": "The ID of the deployment.",
        "owner": "The owner of the deployment.",
        "sequence": "The number of the event. It orders the events of a deployment.",
        "url": "The URL that receives the event.",
        "subscription_id": "The subscription. Null if the URL is the spec's `callback_url`.",
        "status": "`failed`: Slipway does not try again by itself.",
        "next_try_at": "When Slipway tries next. Null if it does not.",
        "tries": "The latest tries, oldest first.",
        "created_at": "When Slipway started to deliver the event to this URL.",
    },
    "Deployment": {
        "id": "The ID of the deployment: the name, and six characters. It never changes.",
        "name": "The name, which is unique among the owner's live deployments.",
        "owner": "The owner of the deployment, from the token that created it.",
        "status": "The status. Read `outcome` to find out whether a change has succeeded.",
        "generation": "Increases with each operation, and when Slipway resumes one.",
        "url": "Where predictions are requested. Null until the load balancer is ready.",
        "dns": "The DNS record of `domain`. Null without a domain.",
        "spec": "The spec as accepted, with its defaults.",
        "image": "The image that the spec names.",
        "operation": "The running operation, or the last one. A repair is an operation too.",
        "failure": "Why the last operation failed. Null if it did not.",
        "prediction": "The response to the latest smoke test. Null before the first one.",
        "resources": "Every AWS resource of the deployment, also the deleted ones.",
        "leftovers": "Resources that a teardown could not delete. They may cost money.",
        "cost": "What the deployment costs.",
        "created_at": "When the create was accepted.",
        "updated_at": "When the latest event was added.",
        "expires_at": "When Slipway deletes the deployment. Null if it never does.",
        "deleted_at": "When the deletion was verified. Null before.",
        "links": "Where to read more about the deployment.",
    },
    "DeploymentHealth": {
        "status": "Whether as many tasks serve as wanted.",
        "since": "When the status changed last.",
        "checked_at": "When Slipway checked last. Null if it has not checked yet.",
        "failure": "Why tasks are missing. Null if none are, or if the reason is not known.",
    },
    "Deployments": {"deployments": "The deployments of this page. `failure.evidence` is empty."},
    "Dns": {
        "name": "The domain.",
        "type": "The type of the record: an alias in Route 53, otherwise `CNAME`.",
        "value": "The DNS name of the load balancer.",
        "managed": "Whether Slipway created the record. If not, create it at your provider.",
    },
    "Document": {
        "openapi": "The version of the OpenAPI specification.",
        "paths": "Every endpoint, by its path.",
    },
    "Event": {
        "sequence": "The number of the event, from 1.",
        "at": "When it happened.",
        "type": "What happened.",
        "generation": "The deployment's generation at that time.",
        "operation": "The kind of the operation at that time.",
        "status": "The deployment's status after the event.",
        "step": "The step. Null if the event is about the deployment.",
        "message": "Details for people. It may be empty.",
    },
    "Events": {"events": "The events of this page."},
    "Failure": {
        "code": "The reason. `docs/failures.md` lists every code with its cause.",
        "step": "The step that failed.",
        "message": "What happened.",
        "hint": "What to do.",
        "evidence": "What AWS reported, such as log lines and service events. `{}` in lists.",
    },
    "Fault": {
        "field": "The field, parameter or header. Empty if the body as a whole is wrong.",
        "message": "What is wrong, and what is allowed.",
    },
    "Health": {"status": "The API responds.", "version": "The version of Slipway."},
    "Image": {
        "reference": "The reference as requested.",
        "digest": "The digest that tasks run. Null until it is known.",
        "size_bytes": "The compressed size in the registry. Null if it is not known.",
    },
    "IssuedToken": {**_TOKEN, "token": "The token. It cannot be read again."},
    "Leftover": {
        "kind": "The kind of the resource.",
        "name": "Its name or ARN.",
        "reason": "Why it was not deleted.",
    },
    "Links": {
        "self": "The deployment.",
        "events": "Its events.",
        "tasks": "Its tasks.",
        "logs": "Its log lines.",
    },
    "LogLine": {
        "at": "When the task wrote the line.",
        "task": "The ID of the task.",
        "message": "The line.",
    },
    "Logs": {"lines": "The lines of this page."},
    "Metrics": {
        "period_seconds": "The length of a period.",
        "from": "The start of the first period.",
        "to": "The end of the last period, which is not over yet.",
        "series": "One point for each period, oldest first.",
    },
    "MetricsPoint": {
        "at": "The start of the period.",
        "requests": "The number of requests.",
        "latency_p50_ms": "Half of the requests were answered within this time.",
        "latency_p99_ms": "99 percent of the requests were answered within this time.",
        "http_4xx": "The number of responses with a status from 400 to 499.",
        "http_5xx": "The number of responses with a status from 500 to 599.",
        "cpu_percent": "The average use of the tasks' CPU.",
        "memory_percent": "The average use of the tasks' memory.",
    },
    "Operation": {
        "kind": "What the operation does.",
        "status": "How it ended. `rolled_back`: it failed, and the version before serves.",
        "generation": "The generation of the deployment that the operation belongs to.",
        "percent": "Finished steps of all steps. 100 only after a success.",
        "started_at": "When it started.",
        "finished_at": "When it ended. Null while it runs.",
        "deadline": "When Slipway gives up, and rolls back or tears down.",
        "steps": "All steps, also those that have not started.",
    },
    "Prediction": {
        "path": "The path that was requested.",
        "status": "The HTTP status of the response.",
        "latency_ms": "How long the response took.",
        "sample": "The first 512 bytes of the response.",
    },
    "Price": _PRICE,
    "Problem": {
        "type": "Always `about:blank`. Use `code`.",
        "title": "The name of the HTTP status.",
        "status": "The HTTP status.",
        "code": "The reason, for programs.",
        "detail": "What is wrong, and what to do.",
        "instance": "The path of the request.",
        "errors": "Every fault of the request. It may be empty.",
    },
    "Resource": {
        "kind": "The kind of the resource.",
        "name": "Its name in AWS.",
        "arn": "Its ARN. Null if it has none.",
        "created_at": "When Slipway first found that it exists.",
        "deleted_at": "When it was verified that it is gone. Null before.",
        "verified_gone": "Whether AWS confirmed that it does not exist any more.",
    },
    "SlackAnswer": {
        "response_type": "Only the user who sent the command sees the text.",
        "text": "The text.",
    },
    "SlackOwner": {
        "id": "The ID of the user or channel in Slack.",
        "owner": "The owner for whom it acts.",
        "scopes": "What its commands may do.",
        "announce": "Whether this channel gets a message for every operation of the owner.",
        "created_at": _CREATED_AT,
    },
    "SlackOwners": {"owners": "Every user and channel."},
    "Step": {
        "name": "The name of the step. Steps of a rollback start with `rollback_`.",
        "status": "Whether the step runs, and how it ended.",
        "started_at": "When it started. Null before.",
        "finished_at": "When it ended. Null before.",
        "attempts": "How often it was tried.",
        "message": "What it waits for, or what it found. It may be empty.",
    },
    "Subscription": {
        "id": "The ID of the subscription.",
        "url": "The URL that receives the events.",
        "types": "The types of events that it receives.",
        "created_at": _CREATED_AT,
        "disabled_at": "When Slipway disabled it. Null if it is active.",
        "disabled_reason": "Why Slipway disabled it. Null if it is active.",
    },
    "Subscriptions": {"subscriptions": "Every subscription."},
    "Task": {
        "id": "The ID of the task.",
        "status": "ECS's `lastStatus`.",
        "health": "ECS's `healthStatus`.",
        "target_health": "The state of its target. Null if it is not registered.",
        "public_ip": "Its public address. Null if it has none.",
        "zone": "Its Availability Zone.",
        "started_at": "When it started. Null before.",
        "stopped_reason": "Why ECS stopped it. Null while it runs.",
    },
    "Tasks": {"tasks": "Every task that ECS still knows."},
    "Token": {
        **_TOKEN,
        "created_at": _CREATED_AT,
        "last_used_at": "When it was used last, to the hour. Null if it never was.",
    },
    "Tokens": {"tokens": "Every token."},
    "Try": {
        "at": "When Slipway sent the event.",
        "status": "The HTTP status of the response. Null without a response.",
        "error": "Why the try failed.",
        "duration_ms": "How long the try took.",
    },
    "Validation": _CHECKS,
}


def described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a model with the descriptions of its fields."""
    texts = DESCRIPTIONS.get(name, {})
    properties = {
        field: {"description": texts[field], **rules} if field in texts else rules
        for field, rules in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema
