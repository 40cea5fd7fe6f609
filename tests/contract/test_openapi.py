"""schemathesis sends the API everything that its OpenAPI document allows, over HTTP.

The API and its workflow run in this process on simulated time: the packaged application on the
local stack takes ten times as long for each request, and `tests/stack/test_edge.py` tests it.
"""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from chalicelib.api.idempotency import HEADER as KEY
from chalicelib.platform import aws
from chalicelib.store import tokens as tokens_store
from local import callbacks
from tests.faults import invariants
from tests.faults.environment import image, opened
from tests.support.http_gateway import served
from tests.support.in_process import STACK, TABLE

CONFIG = Path(__file__).with_name("schemathesis.toml")
COMMAND = "from schemathesis.cli import schemathesis; schemathesis()"
SECONDS = 400
# The simulated time between two requests, in which running operations continue.
BETWEEN_REQUESTS = 5.0
# The image does not exist, so a create ends immediately.
MISSING = image("none")
# One run per line, all concurrent. `--workers` is not used: with threads, hypothesis sometimes hits
# CPython's "AST constructor recursion depth mismatch". Coverage of the two bodies with specs needs
# 1500 more requests, so only in a full run.
IS_FULL = os.environ.get("SLIPWAY_FULL_SCHEMATHESIS") == "1"
SPECS = "^(create|update)_deployment$"
CHANGES = "^(delete|retry|rollback|pause|resume|extend)_deployment$"
TOKENS = "_(tokens?|subscriptions?)$"
BODY_PHASES = "coverage,fuzzing" if IS_FULL else "fuzzing"
# Mode, phases, examples per operation, and the operations.
RUNS = {
    "good bodies": ("positive", BODY_PHASES, 15, "--include", SPECS),
    "changes": ("all", "coverage,fuzzing", 5, "--include", CHANGES),
    "looks": ("all", "coverage,fuzzing", 5, "--exclude", f"{SPECS}|{CHANGES}|{TOKENS}"),
}
# Another owner: two concurrent creates of the same name can return 503, which asks for a retry.
OTHERS_RUNS = {"one after another": ("positive", "stateful", 10, "--exclude", TOKENS)}
# With the original document: `narrowed` adds no rule that a request could break.
PLAIN_RUNS = {"bad bodies": ("negative", BODY_PHASES, 15, "--include", SPECS)}
# Not stateful: it would soon find its own token and revoke it.
ADMIN_RUNS = {"tokens": ("all", "coverage,fuzzing", 5, "--include", TOKENS)}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0123-abcd"
# No server listens there. A public host name would cause a DNS lookup outside this machine.
CALLBACK = "http://127.0.0.1:9/hooks"
SCALING = {"min": 1, "max": 2, "metric": "cpu", "target": 60}
Options = tuple[str, str, int, str, str]
Run = tuple[str, str, dict[str, Any], Options]  # name, token, document, options


def start(
    url: str, token: str, document: dict[str, Any], folder: Path, options: Options
) -> "subprocess.Popen[str]":
    """Start one run of schemathesis for a document, with every check except one."""
    mode, phases, examples, which, operations = options
    folder.mkdir()
    described = folder / "openapi.json"
    described.write_text(json.dumps(document))
    command = [sys.executable, "-c", COMMAND, "--config-file", str(CONFIG), "--no-color"]
    command += [
        "run",
        str(described),
        "--url",
        url,
        "--checks",
        "all",
        "--phases",
        phases,
        "--mode",
        mode,
    ]
    command += ["--max-examples", str(examples), f"{which}-operation-id-regex", operations]
    command += ["--header", f"Authorization: Bearer {token}", "--continue-on-failure"]
    # The default of 10 s is short, because the server answers one request at a time.
    command += ["--generation-deterministic", "--request-timeout", "60"]
    # By contract, a deleted deployment stays readable for 30 days, with its receipt.
    command += ["--exclude-checks", "use_after_free"]
    output = (folder / "output.txt").open("w")
    return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, text=True)


def narrowed(document: dict[str, Any], deployment: str, image: str) -> dict[str, Any]:
    """The document plus the rules that only a running stack knows or that no schema can express.

    Valid requests must be accepted, so the schema needs the stack's allow-lists and limits, which
    are not public. The image does not exist, so that a create ends immediately.
    """
    schemas = document["components"]["schemas"]
    # Not every regular expression engine can match all Unicode letters.
    words = {"type": "string", "pattern": "^[a-z]{1,9}$"}
    without_nul = {"type": "string", "pattern": r"^[^\u0000]*$"}
    short = {"minLength": 1, "maxLength": 99}
    tags = {"maxProperties": 3, "propertyNames": words, "additionalProperties": words}
    for name in ("SpecInput", "SpecChange"):
        fields = schemas[name]["properties"]
        fields["domain"] = {"enum": [None]}
        # Only this stack accepts loopback, and such a response would not match the document.
        fields["callback_url"] = {"enum": [None]}
        fields["certificate_arn"] = {"enum": [None, CERTIFICATE]}
        # The stack allows no role.
        fields["task_role_arn"] = {"enum": [None]}
        fields["ingress_cidrs"] = {"enum": [["0.0.0.0/0"], ["203.0.113.0/24", "198.51.100.7/32"]]}
        fields["image"] = {"enum": [image]}
        fields["tags"] |= tags
        fields["secrets"]["maxProperties"] = 0
        # 4 KiB in total, and no name or value that looks like a secret.
        fields["environment"] |= {
            "maxProperties": 3,
            "propertyNames": {"pattern": "^V[A-Z0-9]{0,9}$"},
            "additionalProperties": {**without_nul, "maxLength": 99},
        }
        # Only names of the environment.
        fields["not_secret"]["maxItems"] = 0
        # The whole command fits into a task definition.
        fields["command"] = {
            "anyOf": [
                {"type": "array", "minItems": 1, "maxItems": 9, "items": {**without_nul, **short}},
                {"type": "null"},
            ]
        }
    schemas["SubscriptionRequestInput"]["properties"]["url"] = {"enum": [CALLBACK]}
    # One of the two, with ordered bounds.
    schemas["SpecInput"]["properties"].pop("count")
    schemas["SpecInput"]["properties"]["scaling"] = {"enum": [None, SCALING]}
    # A change of either must match the deployment's other value.
    schemas["SpecChange"]["properties"].pop("count")
    schemas["SpecChange"]["properties"].pop("scaling")
    # Ordered ranges, a timeout below every interval, and durations within their range.
    schemas["HealthCheckInput"]["properties"]["status"] = {"enum": ["200", "200,204", "200-399"]}
    schemas["HealthCheckInput"]["properties"]["timeout"]["maximum"] = 4
    # Ordered ranges, JSON Pointers without a faulty escape, no header of the connection,
    # and a body only with a method that has one.
    test = schemas["SmokeTestInput"]
    test["required"] = ["method"]
    test["properties"] |= {
        "method": {"enum": ["POST", "PUT"]},
        "status": {"enum": [200, "200-299", "200,404"]},
        "json_has": {"type": "array", "maxItems": 3, "items": words},
    }
    test["properties"]["headers"] |= {"maxProperties": 3, "propertyNames": words}
    durations: list[str | None] = ["10m", "8h", "365d"]
    schemas["ExtensionInput"]["properties"]["ttl"] = {"enum": durations}
    ttl = {"enum": [*durations, None]}
    schemas["SpecInput"]["properties"]["ttl"] = schemas["SpecChange"]["properties"]["ttl"] = ttl
    schemas["TokenRequestInput"]["properties"]["expires_in"] = ttl
    # If only one of the two is sent, the deployment's value applies for the other.
    schemas["SpecChange"]["anyOf"] = [
        {**pair, "required": ["cpu", "memory"]} for pair in schemas["SpecInput"]["anyOf"]
    ]
    # A key of another request returns 422, which tests/unit/api/test_idempotency.py checks.
    for operation in (each for path in document["paths"].values() for each in path.values()):
        for parameter in operation["parameters"]:
            if parameter["name"] == "deployment":
                known = {"enum": [deployment]}
                parameter["schema"] = {"anyOf": [known, parameter["schema"]]}
        operation["parameters"] = [p for p in operation["parameters"] if p["name"] != KEY]
    return document


def test_schemathesis_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACKS_ON_LOOPBACK", "true")
    with opened() as world, served(lambda: world.run_for(BETWEEN_REQUESTS)) as url:
        tokens = {owner: issue(owner, "read", "deploy") for owner in ("schemathesis", "other")}
        tokens["admin"] = issue("schemathesis", "admin")
        callbacks.put_secrets(aws.client("ssm"), STACK)
        assert world.create("schemathesis", name="asked", image=MISSING).status == 202
        assert world.run_until_idle()
        (failed,) = (record.id for record in invariants.Table(world).records.values())
        with urlopen(f"{url}/openapi.json") as answer:
            plain = json.load(answer)
        known = narrowed(copy.deepcopy(plain), failed, MISSING)
        runs = [
            (name, tokens[owner], document, options)
            for owner, document, group in (
                ("schemathesis", known, RUNS),
                ("other", known, OTHERS_RUNS),
                ("schemathesis", plain, PLAIN_RUNS),
            )
            for name, options in group.items()
        ]
        found = outputs_of_failed(url, tmp_path, runs)
        for owner in ("schemathesis", "other"):  # otherwise the runs met only 401
            assert status_of_list(url, tokens[owner]) == 200
        # These come last, because they revoke every token that they find.
        admin = [(name, tokens["admin"], known, options) for name, options in ADMIN_RUNS.items()]
        found += outputs_of_failed(url, tmp_path, admin)
        assert not found, "\n".join(found)
        assert world.troubles == []


def outputs_of_failed(url: str, folder: Path, runs: list[Run]) -> list[str]:
    """Run schemathesis for each of `runs` at the same time; return the outputs with findings."""
    started = {
        name: start(url, token, document, folder / name, options)
        for name, token, document, options in runs
    }
    try:
        codes = {name: process.wait(SECONDS) for name, process in started.items()}
    finally:
        for process in started.values():
            process.kill()
    return [(folder / name / "output.txt").read_text() for name, code in codes.items() if code]


def status_of_list(url: str, token: str) -> int:
    """The status of `GET /deployments` with this token."""
    request = Request(f"{url}/deployments", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request) as answer:
        return int(answer.status)


def issue(owner: str, *scopes: str) -> str:
    """A token of the API."""
    dynamodb = aws.client("dynamodb")
    _, token = tokens_store.issue(
        table_name=TABLE, owner=owner, scopes=list(scopes), client=dynamodb
    )
    return token
