"""`python -m infra.api_reference`: writes docs/api-reference.md from the OpenAPI document."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from chalicelib.routes import document
from infra.package import ROOT

PAGE = ROOT / "docs" / "api-reference.md"
HEAD = """# API reference

<!-- made by: python -m infra.api_reference -->

The same content as `GET /openapi.json`. In a path, `{deployment}` is an ID, or the name of a live
deployment of the caller. Links and `Location` are relative to the root of the API.

Every answer that reports an error is `application/problem+json` (RFC 9457):
`{type, title, status, code, detail, instance, errors}`. `errors` lists each fault of the request.
Every endpoint can answer 429 `QUOTA_EXCEEDED` or 503 `AWS_UNAVAILABLE`, with `Retry-After`. A path
with another method is 405 with `Allow`. `HEAD` is `GET` without the body. Errors of API Gateway
itself have the same shape.
"""
EVERYWHERE = ("429", "503")


def page() -> str:
    """The page; a test compares it with the file."""
    made = document()
    schemas = made["components"]["schemas"]
    paths = made["paths"].items()
    operations = [(path, *each) for path, methods in paths for each in methods.items()]
    lines = [HEAD, "## Endpoints", "", *_overview(operations), ""]
    for path, method, operation in operations:
        lines += _operation(path, method, operation)
    lines += ["## Bodies", ""]
    answers = [name for name in schemas if not name.endswith(("Input", "Change"))]
    inputs = [name for name in schemas if name not in answers]
    for name in inputs:
        lines += _schema(name, schemas[name])
    lines += ["## Answers", ""]
    for name in answers:
        lines += _schema(name, schemas[name])
    return "\n".join(lines).rstrip() + "\n"


def _overview(operations: list[tuple[str, str, dict[str, Any]]]) -> Iterator[str]:
    """One row for each endpoint, which links to its details."""
    yield "| method and path | what it does | scope | answers |"
    yield "|---|---|---|---|"
    for path, method, operation in operations:
        title = f"{method.upper()} {path}"
        statuses = [status for status in operation["responses"] if int(status) < 400]
        cells = (
            f"[`{title}`](#{_anchor(title)})",
            operation["summary"],
            _scope(operation) or "no token",
            ", ".join(statuses),
        )
        yield "| " + " | ".join(cells) + " |"


def _anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _scope(operation: dict[str, Any]) -> str:
    """The scope that the token needs; empty if the endpoint needs no token."""
    return next((scope for need in operation["security"] for scope in need["token"]), "")


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    scope = _scope(operation)
    yield f"### `{method.upper()} {path}`"
    yield ""
    yield f"{operation['summary']}. {f'Scope `{scope}`' if scope else 'No token'}."
    yield ""
    if body := operation.get("requestBody"):
        yield f"- body: {_type(body['content']['application/json']['schema'])}"
    for parameter in operation["parameters"]:
        if parameter["in"] != "path":
            rules = ", ".join(
                filter(None, (_type(parameter["schema"]), _rules(parameter["schema"])))
            )
            text = f"- {parameter['in']} `{parameter['name']}`: {rules}"
            yield f"{text}. {parameter.get('description', '')}".rstrip(". ") + "."
    problems = []
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            codes = answer["description"].partition(": ")[2]
            problems += [f"{status} {codes}"] if status not in EVERYWHERE else []
            continue
        content = answer.get("content", {}).get("application/json", {})
        shown = _type(content["schema"]) if content else answer["description"]
        headers = [f"`{name}`" for name in answer.get("headers", {})]
        yield f"- {status} {shown}" + (f", with {', '.join(headers)}" if headers else "")
    yield f"- problems: {'; '.join(problems)}" if problems else "- no problem of its own"
    yield ""


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if text := schema.get("description"):
        yield text
        yield ""
    if values := schema.get("enum"):
        yield ", ".join(f"`{value}`" for value in values)
    else:
        yield "| field | type | rules | |"
        yield "|---|---|---|---|"
    for field, rules in schema.get("properties", {}).items():
        needed = field in schema.get("required", ()) and name.endswith("Input")
        cells = (
            f"`{field}`",
            _type(rules) + (", required" if needed else ""),
            _rules(rules),
            rules.get("description", ""),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _type(schema: dict[str, Any]) -> str:
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if alternatives := schema.get("anyOf"):
        return " or ".join(map(_type, alternatives))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type") or "any")


def _rules(schema: dict[str, Any]) -> str:
    """The rules of a field in short; if the field may be null, those of the other alternative."""
    others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    merged = {**(others[0] if len(others) == 1 else {}), **schema}
    words = {"minimum": "≥", "maximum": "≤", "maxLength": "length ≤", "maxItems": "items ≤"}
    rules = [f"{word} {merged[key]}" for key, word in words.items() if key in merged]
    if "enum" in merged:
        rules.append(" ".join(f"`{json.dumps(each)}`" for each in merged["enum"]))
    if "pattern" in merged and len(merged["pattern"]) < 80:
        rules.append(f"`{merged['pattern']}`")
    if merged.get("default") is not None:
        rules.append(f"default `{json.dumps(merged['default'])}`")
    return ", ".join(rules)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
