"""The spec's rules as far as JSON Schema can say them, from the very patterns that validate.

For whoever describes the API alone, so that nobody else loads it. What no schema can say (the
stack's allow-lists, a timeout below its interval, 4 KiB in all) is told by a 422.
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
    scaling,
    secret_reference,
    spec,
    time_to_live,
    variables,
    web_address,
)
from chalicelib.domain.spec.fargate import MEMORY_BY_CPU


def pattern(*alternatives: re.Pattern[str] | str) -> str:
    """Python patterns that must match as a whole, as one of ECMA 262, which JSON Schema takes."""
    return "^(" + "|".join(_ecma(each) for each in alternatives) + ")$"


def _ecma(python: re.Pattern[str] | str) -> str:
    text = python if isinstance(python, str) else python.pattern
    text = re.sub(r"\?P<\w+>", "", text).replace(r"\d", "[0-9]")
    # In a set of characters, and alone.
    text = re.sub(r"\[([^\]]*)\\w", r"[\1A-Za-z0-9_", text)
    return text.replace(r"\w", "[A-Za-z0-9_]")


_PATH = {"pattern": pattern(spec.PATH)}
_VARIABLE = {"pattern": pattern(variables.NAME)}

FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "Spec": {
        "name": {
            "description": "Unique among the owner's live deployments.",
            # AWS keeps `internal-` for load balancers.
            "pattern": f"^(?!internal(-|$)){naming.NAME_PATTERN}$",
            "maxLength": 24,
        },
        "image": {
            "description": "An image of an allowed registry, by tag or digest.",
            "pattern": pattern(image_reference.REFERENCE),
            "maxLength": image_reference.MAX_LENGTH,
        },
        "port": {"description": "The port that the container listens on."},
        "cpu": {
            "description": "CPU units, 1024 to a vCPU.",
            "enum": list(MEMORY_BY_CPU),
        },
        "memory": {"description": "MiB; only what Fargate offers with `cpu`."},
        "architecture": {"description": "Of the image, and so of the machine."},
        "count": {"description": "Tasks; at most the stack's limit."},
        "scaling": {"description": "Instead of `count`: the load decides, between bounds."},
        "command": {"description": "Instead of the image's own."},
        "environment": {
            "description": "At most 4 KiB in all; a name that looks like a secret's is refused.",
            "propertyNames": _VARIABLE,
        },
        "secrets": {
            "description": "Name to ARN of a Secrets Manager secret or SSM parameter that the "
            "stack allows; never a value.",
            "propertyNames": _VARIABLE,
            "additionalProperties": {
                "type": "string",
                "pattern": pattern(secret_reference.PARAMETER, secret_reference.SECRET),
            },
        },
        "health_check": {"description": "How the load balancer asks a task whether it is well."},
        "smoke_test": {
            "description": "One real prediction before the deployment is called ACTIVE."
        },
        "load_balancer": {"description": "One of its own."},
        "ingress_cidrs": {
            "description": "Who may reach it: IPv4 ranges.",
            "minItems": 1,
            "maxItems": ingress.MOST_CIDRS,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": pattern(r"(\d{1,3}\.){3}\d{1,3}/\d{1,2}")},
        },
        "certificate_arn": {
            "description": "A certificate of AWS Certificate Manager in the stack's region: port "
            "443 serves then, and port 80 redirects to it.",
            "pattern": pattern(certificate_reference.ARN),
        },
        "domain": {
            "description": "A DNS name that the stack allows, to lead to the deployment.",
            "pattern": pattern(rf"{domain_name.LABEL.pattern}(\.{domain_name.LABEL.pattern})+"),
            "maxLength": domain_name.MOST_CHARACTERS,
        },
        "ttl": {
            "description": f"Torn down by itself when it has passed; {time_to_live.RULE}.",
        },
        "on_failure": {
            "description": "What becomes of the resources of a create that failed.",
        },
        "callback_url": {
            "description": "Signed events are posted to it; its host must be public.",
            "pattern": pattern(web_address.URL),
            "maxLength": web_address.MOST_CHARACTERS,
        },
        "tags": {
            "description": "Put on every AWS resource beside the stack's own. Letters, digits, "
            "spaces and . : / = + - @ _",
            "propertyNames": {
                "minLength": 1,
                "maxLength": 128,
                # Reserved, in any case.
                "pattern": "^(?!([aA][wW][sS]|[sS][lL][iI][pP][wW][aA][yY]):)",
            },
            "additionalProperties": {"type": "string", "maxLength": 256},
        },
    },
    "Scaling": {
        "min": {"description": "The fewest tasks."},
        "max": {"description": "The most tasks; at most the stack's limit."},
        "metric": {"description": "What is kept near `target`."},
        "target": {
            "description": "; ".join(f"{metric}: {unit}" for metric, unit in scaling.UNITS.items())
            + ".",
            "minimum": min(least for least, _ in scaling.BOUNDS.values()),
            "maximum": max(most for _, most in scaling.BOUNDS.values()),
        },
    },
    "HealthCheck": {
        "path": {"description": "Asked of every task.", **_PATH},
        "status": {
            "description": "HTTP codes that are well, such as 200,204 or 200-399.",
            "pattern": pattern(spec.STATUS_LIST),
        },
        "interval": {"description": "Seconds from one look to the next."},
        "timeout": {"description": "Seconds; less than `interval`."},
        "grace": {"description": "Seconds that a task may take to start."},
    },
    "SmokeTest": {
        "path": {"description": "That of the health check by default.", **_PATH},
        "status": {"description": "The only HTTP code that passes."},
        "json_has": {"description": "Keys that the answer must have."},
        "max_latency_ms": {"description": "The most that the answer may take."},
    },
    "Extension": {"ttl": {"description": f"Counted from now; {time_to_live.RULE}."}},
}


def described(model: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a model of `spec.py`, with what pydantic does not know of it."""
    for name, rules in FIELDS.get(model, {}).items():
        known = schema["properties"][name]
        _tighten(known, rules)
        if name == "ttl":
            _tighten(known, {"pattern": pattern(time_to_live.PATTERN)})
    if model == "Spec":
        schema["anyOf"] = [_size(cpu) for cpu in MEMORY_BY_CPU]
    return schema


def _tighten(known: dict[str, Any], rules: dict[str, Any]) -> None:
    """Where null is an alternative, a rule is about the other one; a description is about both."""
    rules = dict(rules)
    if "description" in rules:
        known["description"] = rules.pop("description")
    target = next((each for each in known.get("anyOf", ()) if each.get("type") != "null"), known)
    target.update(rules)


def _size(cpu: int) -> dict[str, Any]:
    """What Fargate offers with `cpu`; the default of either may be left out."""
    sizes = MEMORY_BY_CPU[cpu]
    pair = {"cpu": {"const": cpu}, "memory": {"enum": list(sizes)}}
    defaults = {name: spec.Spec.model_fields[name].default for name in pair}
    needed = [] if cpu == defaults["cpu"] else ["cpu"]
    needed += [] if defaults["memory"] in sizes else ["memory"]
    return {"properties": pair, **({"required": needed} if needed else {})}
