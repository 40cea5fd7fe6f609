"""A stack's Lambda functions, called as EventBridge's schedule calls them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from local.emulator import client as aws_client
from local.stack import Stack

SCHEDULED = {
    "version": "0",
    "id": "1",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-24T09:30:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}


@cache
def functions_of(stack: Stack) -> dict[str, Any]:
    """A Lambda client and the names of a stack's functions, cached while the stack runs."""
    functions = aws_client("lambda", stack)
    pages = functions.get_paginator("list_functions").paginate()
    names = [found["FunctionName"] for page in pages for found in page["Functions"]]
    return {"client": functions, "names": names}


def name_of(stack: Stack, logical_id: str) -> str:
    """The name that CloudFormation generated for a function of the template."""
    names = functions_of(stack)["names"]
    (name,) = (name for name in names if logical_id in name)
    return str(name)


def run_scheduled(stack: Stack, logical_id: str) -> dict[str, Any]:
    """Invoke a function as its schedule does and return its result. Fail the test on an error."""
    functions = functions_of(stack)["client"]
    answer = functions.invoke(
        FunctionName=name_of(stack, logical_id), Payload=json.dumps(SCHEDULED)
    )
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return dict(body)


def sweep(stack: Stack) -> None:
    """Run the courier's sweep, which is scheduled once a minute."""
    run_scheduled(stack, "Courier")
