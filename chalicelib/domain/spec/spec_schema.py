"""The JSON Schema of the spec, built from the patterns that validate it.

Only `api/openapi.py` imports this module, so that no other request pays for it. A 422 reports what
JSON Schema cannot express: the stack's allow-lists, `timeout` below `interval`, 4 KiB in total,
what looks like a secret.
"""

from __future__ import annotations

import re
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.spec import (
    certificate_reference,
    domain_name,
    image_reference,
    ingress,
    request_headers,
    request_rules,
    scaling,
    secret_reference,
    spec,
    status_codes,
    task_role,
    time_to_live,
    variables,
    web_address,
)
from chalicelib.domain.spec.fargate import MEMORY_BY_CPU


def pattern(*alternatives: re.Pattern[str] | str) -> str:
    """Python patterns for a full match as one ECMA 262 pattern, the dialect of JSON Schema."""
    return "^(" + "|".join(_ecma(each) for each in alternatives) + ")$"


def _ecma(python: re.Pattern[str] | str) -> str:
    text = python if isinstance(python, str) else python.pattern
    text = re.sub(r"\?P<\w+>", "", text).replace(r"\d", "[0-9]")
    # Inside a character class first, then elsewhere.
    text = re.sub(r"\[([^\]]*)\\w", r"[\1A-Za-z0-9_", text)
    return text.replace(r"\w", "[A-Za-z0-9_]")


_PATH = {"pattern": pattern(request_rules.PATH)}
_VARIABLE = {"pattern": pattern(variables.NAME)}
_WITHOUT_NUL = {"type": "string", "pattern": r"^[^\u0000]*$"}

FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "Spec": {
        "name": {
            "description": "The name of the deployment, unique among the owner's live deployments.",
            # AWS reserves the prefix `internal-` of load balancer names.
            "pattern": f"^(?!internal(-|$)){naming.NAME_PATTERN}$",
            "maxLength": 24,
        },
        "image": {
            "description": "A container image in an allowed registry, by tag or digest.",
            "pattern": pattern(image_reference.REFERENCE),
            "maxLength": image_reference.MAX_LENGTH,
        },
        "port": {
            "description": "The port that the container listens on. Without it: the only TCP port "
            "that the image exposes, else 80. It is null until the image is resolved."
        },
        "cpu": {
            "description": "CPU units. 1024 units are one vCPU.",
            "enum": list(MEMORY_BY_CPU),
        },
        "memory": {"description": "Memory in MiB. Fargate limits the sizes for each `cpu`."},
        "architecture": {"description": "The CPU architecture of the image and of its tasks."},
        "count": {
            "description": "The number of tasks. The stack sets a limit. For none, use `pause`.",
            "minimum": 1,
        },
        "scaling": {"description": "Automatic scaling between two bounds, in place of `count`."},
        "command": {
            "description": "The command of the container, in place of the image's CMD. The image's "
            "ENTRYPOINT stays.",
            "items": _WITHOUT_NUL,
        },
        "environment": {
            "description": "Environment variables, at most 4 KiB in total. Slipway refuses what "
            "looks like a secret, by the end of its name or by its value. Every container also "
            "receives `PORT`.",
            "propertyNames": _VARIABLE,
            "additionalProperties": _WITHOUT_NUL,
        },
        "not_secret": {
            "description": "Names in `environment` that look like secrets but are not.",
            "items": {"type": "string", **_VARIABLE},
            "uniqueItems": True,
        },
        "secrets": {
            "description": "Maps a variable to the ARN of an allowed Secrets Manager secret or SSM "
            "parameter. Never send a value.",
            "propertyNames": _VARIABLE,
            "additionalProperties": {
                "type": "string",
                "pattern": pattern(secret_reference.PARAMETER, secret_reference.SECRET),
            },
        },
        "health_check": {"description": "How the load balancer checks that a task is healthy."},
        "smoke_test": {
            "description": "One real prediction request. "
            "It must pass before the deployment is ACTIVE."
        },
        "storage_gib": {
            "description": "The ephemeral storage of a task in GiB, for large images and models."
        },
        "task_role_arn": {
            "description": "The ARN of an allowed IAM role that the container uses. The default is "
            "a role without permissions.",
            "pattern": pattern(task_role.ARN),
        },
        "request_timeout": {
            "description": "The seconds that one request may take. Sets the idle timeout of the "
            "load balancer, the deregistration delay, and the stop timeout of the container (at "
            "most 120). The default is 60. Null only in a deployment of an earlier version that "
            "has not set it."
        },
        "load_balancer": {"description": "Each deployment has its own load balancer."},
        "ingress_cidrs": {
            "description": "The IPv4 ranges that can reach the deployment.",
            "minItems": 1,
            "maxItems": ingress.MOST_CIDRS,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": pattern(r"(\d{1,3}\.){3}\d{1,3}/\d{1,2}")},
        },
        "certificate_arn": {
            "description": "The ARN of an AWS Certificate Manager certificate in the stack's "
            "region. With a certificate, port 443 serves and port 80 redirects to port 443.",
            "pattern": pattern(certificate_reference.ARN),
        },
        "domain": {
            "description": "An allowed DNS name. Slipway points it to the deployment.",
            "pattern": pattern(rf"{domain_name.LABEL.pattern}(\.{domain_name.LABEL.pattern})+"),
            "maxLength": domain_name.MOST_CHARACTERS,
        },
        "ttl": {
            "description": "The time to live. Slipway deletes the deployment when this time has "
            f"passed. The value {time_to_live.RULE}.",
        },
        "on_failure": {
            "description": "Whether Slipway deletes or keeps the resources if a create fails.",
        },
        "callback_url": {
            "description": "Slipway posts signed events to this URL. Its host must be public.",
            "pattern": pattern(web_address.URL),
            "maxLength": web_address.MOST_CHARACTERS,
        },
        "tags": {
            "description": "Tags for every AWS resource, in addition to the stack's own. Allowed: "
            "letters, digits, spaces and . : / = + - @ _",
            "propertyNames": {
                "minLength": 1,
                "maxLength": 128,
                # The prefixes are reserved in upper and lower case.
                "pattern": "^(?!([aA][wW][sS]|[sS][lL][iI][pP][wW][aA][yY]):)",
            },
            "additionalProperties": {"type": "string", "maxLength": 256},
        },
    },
    "Scaling": {
        "min": {"description": "The minimum number of tasks."},
        "max": {"description": "The maximum number of tasks. The stack sets a limit."},
        "metric": {"description": "The metric that AWS keeps near `target`."},
        "target": {
            "description": "; ".join(f"{metric}: {unit}" for metric, unit in scaling.UNITS.items())
            + ".",
            "minimum": min(least for least, _ in scaling.BOUNDS.values()),
            "maximum": max(most for _, most in scaling.BOUNDS.values()),
        },
    },
    "HealthCheck": {
        "path": {
            "description": "The path that the load balancer requests from each task. Without it: "
            "the image label `slipway.health_check.path`, else `/`.",
            **_PATH,
        },
        "status": {
            "description": "The HTTP codes of a healthy task, such as 200,204 or 200-399. Without "
            "it: `200-399` if the spec or a label sets the path, else `200-499`.",
            "pattern": pattern(status_codes.HEALTH),
        },
        "interval": {"description": "The seconds between two health checks."},
        "timeout": {
            "description": "The seconds after which a health check fails; less than `interval`."
        },
        "grace": {
            "description": "The seconds after the start of a task during which failed health "
            "checks do not count."
        },
    },
    "SmokeTest": {
        "path": {
            "description": "The path of the request. The image labels `slipway.smoke_test.path`, "
            "`.method` and `.body` apply if the spec sets none of the three. Without a path: the "
            "path of the health check.",
            **_PATH,
        },
        "method": {"description": "The method of the request."},
        "headers": {
            "description": "HTTP headers of the request. Slipway sets `Host` and `Content-Length`. "
            "Answers show the values.",
            "propertyNames": {"pattern": pattern(request_headers.NAME)},
            "additionalProperties": {
                "type": "string",
                "maxLength": request_headers.MOST_CHARACTERS,
                "pattern": pattern(request_headers.VALUE),
            },
        },
        "body": {
            "description": "The body of the request, for `POST` and `PUT`: a JSON value, or an "
            "object of exactly `text` and `content_type`, sent as that text. At most "
            "16 KiB. Null means no body."
        },
        "status": {
            "description": "The HTTP codes that the response may have: a number, or a list such "
            'as `"200-299"`. Without it: `200-299` if the spec or a label sets a member of '
            "`smoke_test`, else the status of the health check."
        },
        "json_has": {
            "description": "The places that the JSON response must have: keys, or JSON Pointers "
            "that start with `/`."
        },
        "max_latency_ms": {"description": "The maximum response time in milliseconds."},
    },
    "Extension": {
        "ttl": {"description": f"The new time to live, from now. The value {time_to_live.RULE}."}
    },
}


def described(model: str, schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` of a model of `spec.py`, with the rules and descriptions that pydantic lacks.

    The schema of any other model stays as it is.
    """
    for name, rules in FIELDS.get(model, {}).items():
        known = schema["properties"][name]
        _tighten(known, rules)
        if name == "ttl":
            _tighten(known, {"pattern": pattern(time_to_live.PATTERN)})
    if model == "Spec":
        schema["anyOf"] = [_size(cpu) for cpu in MEMORY_BY_CPU]
    return schema


def _tighten(known: dict[str, Any], rules: dict[str, Any]) -> None:
    """If null is an alternative, a rule applies to the other one, and a description to both."""
    rules = dict(rules)
    if "description" in rules:
        known["description"] = rules.pop("description")
    target = next((each for each in known.get("anyOf", ()) if each.get("type") != "null"), known)
    target.update(rules)


def _size(cpu: int) -> dict[str, Any]:
    """The memory sizes that Fargate offers with `cpu`. A default value can be left out."""
    sizes = MEMORY_BY_CPU[cpu]
    pair = {"cpu": {"const": cpu}, "memory": {"enum": list(sizes)}}
    defaults = {name: spec.Spec.model_fields[name].default for name in pair}
    needed = [] if cpu == defaults["cpu"] else ["cpu"]
    needed += [] if defaults["memory"] in sizes else ["memory"]
    return {"properties": pair, **({"required": needed} if needed else {})}
