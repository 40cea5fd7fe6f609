"""schemathesis asks the packaged application all that its own OpenAPI document allows, and more."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from chalicelib.api.idempotency import HEADER as KEY
from local.stack import Stack
from tests.stack.client import Client, issue_token

CONFIG = Path(__file__).with_name("schemathesis.toml")
COMMAND = "from schemathesis.cli import schemathesis; schemathesis()"
SECONDS = 400
# One run a line, all at once, for a request mostly waits for the emulator. Not `--workers`: with
# threads hypothesis now and then meets CPython's "AST constructor recursion depth mismatch".
# Coverage of the two bodies that are specs is some 1500 requests more: in a full run only.
IS_FULL = os.environ.get("SLIPWAY_FULL_SCHEMATHESIS") == "1"
SPECS = "^(create|update)_deployment$"
CHANGES = "^(delete|retry|rollback|pause|resume|extend)_deployment$"
TOKENS = "_(tokens?|subscriptions?)$"
BODY_PHASES = "coverage,fuzzing" if IS_FULL else "fuzzing"
# Mode, phases, examples an operation, and which operations.
RUNS = {
    "good bodies": ("positive", BODY_PHASES, 15, "--include", SPECS),
    "changes": ("all", "coverage,fuzzing", 5, "--include", CHANGES),
    "looks": ("all", "coverage,fuzzing", 5, "--exclude", f"{SPECS}|{CHANGES}|{TOKENS}"),
}
# Of another owner: two creates of one name at the same moment may be 503, to be sent again.
OTHERS_RUNS = {"one after another": ("positive", "stateful", 10, "--exclude", TOKENS)}
# Over the document as it is: what `narrowed` adds is no rule that a request could break.
PLAIN_RUNS = {"bad bodies": ("negative", BODY_PHASES, 15, "--include", SPECS)}
# Not one after another: it would find the token that it is sent with, and revoke it.
ADMIN_RUNS = {"tokens": ("all", "coverage,fuzzing", 5, "--include", TOKENS)}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0123-abcd"
# Nobody listens there; the name of a public host would be looked up beyond this machine.
CALLBACK = "http://127.0.0.1:9/hooks"
SCALING = {"min": 1, "max": 2, "metric": "cpu", "target": 60}
Options = tuple[str, str, int, str, str]


def start(
    url: str, token: str, document: dict[str, Any], folder: Path, options: Options
) -> "subprocess.Popen[str]":
    """One run of schemathesis over a document, with every check on but one."""
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
    command += ["--generation-deterministic"]
    # The contract has a deleted deployment stay readable for 30 days, with its receipt.
    command += ["--exclude-checks", "use_after_free"]
    output = (folder / "output.txt").open("w")
    return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, text=True)


def narrowed(document: dict[str, Any], deployment: str, image: str) -> dict[str, Any]:
    """The document with what only a running stack knows, or no schema can say.

    A valid request is to be accepted, so the stack's allow-lists and limits must be in the schema;
    they are not public. The image is one that does not exist, so that a create ends at once.
    """
    schemas = document["components"]["schemas"]
    # The letters of Unicode are more than a pattern can name everywhere.
    words = {"type": "string", "pattern": "^[a-z]{1,9}$"}
    tags = {"maxProperties": 3, "propertyNames": words, "additionalProperties": words}
    for name in ("SpecInput", "SpecChange"):
        fields = schemas[name]["properties"]
        fields["domain"] = {"enum": [None]}
        # On loopback, as this stack alone takes it, the answer would be none of the document.
        fields["callback_url"] = {"enum": [None]}
        fields["certificate_arn"] = {"enum": [None, CERTIFICATE]}
        fields["ingress_cidrs"] = {"enum": [["0.0.0.0/0"], ["203.0.113.0/24", "198.51.100.7/32"]]}
        fields["image"] = {"enum": [image]}
        fields["tags"] |= tags
        fields["secrets"]["maxProperties"] = 0
        # 4 KiB in all, and no name that looks like a secret's.
        fields["environment"] |= {
            "maxProperties": 3,
            "propertyNames": {"pattern": "^V[A-Z0-9]{0,9}$"},
            "additionalProperties": {"type": "string", "maxLength": 99},
        }
    schemas["SubscriptionRequestInput"]["properties"]["url"] = {"enum": [CALLBACK]}
    # One of the two, and bounds in order.
    schemas["SpecInput"]["properties"].pop("count")
    schemas["SpecInput"]["properties"]["scaling"] = {"enum": [None, SCALING]}
    # A change of either must fit what the deployment has.
    schemas["SpecChange"]["properties"].pop("count")
    schemas["SpecChange"]["properties"].pop("scaling")
    # Ranges in order; a timeout below every interval; durations in their range.
    schemas["HealthCheckInput"]["properties"]["status"] = {"enum": ["200", "200,204", "200-399"]}
    schemas["HealthCheckInput"]["properties"]["timeout"]["maximum"] = 4
    durations: list[str | None] = ["10m", "8h", "365d"]
    schemas["ExtensionInput"]["properties"]["ttl"] = {"enum": durations}
    ttl = {"enum": [*durations, None]}
    schemas["SpecInput"]["properties"]["ttl"] = schemas["SpecChange"]["properties"]["ttl"] = ttl
    schemas["TokenRequestInput"]["properties"]["expires_in"] = ttl
    # Where only one of the two is sent, the other is what the deployment has.
    for pair in schemas["SpecChange"]["anyOf"]:
        pair["required"] = ["cpu", "memory"]
    # A key that was used for another request is 422: tests/unit/api/test_idempotency.py has it.
    for operation in (each for path in document["paths"].values() for each in path.values()):
        for parameter in operation["parameters"]:
            if parameter["name"] == "deployment":
                known = {"enum": [deployment]}
                parameter["schema"] = {"anyOf": [known, parameter["schema"]]}
        operation["parameters"] = [p for p in operation["parameters"] if p["name"] != KEY]
    return document


def test_schemathesis_finds_nothing(stack: Stack, tmp_path: Path) -> None:
    owner = "schemathesis"
    api, other = (
        Client(stack, issue_token(stack, name, "read", "deploy")) for name in (owner, "other")
    )
    image = stack.sample_image.rpartition(":")[0] + ":none"
    failed = api.deploy("asked", image=image)
    plain = api.send("GET", "/openapi.json").json
    known = narrowed(copy.deepcopy(plain), failed["id"], image)
    admin = issue_token(stack, owner, "admin")
    runs = {
        name: start(stack.api_url, token, document, tmp_path / name, options)
        for token, document, group in (
            (api.token, known, RUNS),
            (other.token, known, OTHERS_RUNS),
            (api.token, plain, PLAIN_RUNS),
            (admin, known, ADMIN_RUNS),
        )
        for name, options in group.items()
    }
    try:
        codes = {name: run.wait(SECONDS) for name, run in runs.items()}
    finally:
        for run in runs.values():
            run.kill()
        for client in (api, other):
            for each in client.send("GET", "/deployments?limit=100").json["deployments"]:
                client.delete(each["id"])
    found = [(tmp_path / name / "output.txt").read_text() for name, code in codes.items() if code]
    assert not found, "\n".join(found)
