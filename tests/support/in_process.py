"""What tests that run Slipway in this process share: the functions' environment, and the table."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tests.support.project import ROOT

REGION = "us-east-1"
ACCOUNT = "123456789012"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
STACK, TABLE = "slipway-test", "slipway-test-table"
ENVIRONMENT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_XRAY_SDK_ENABLED": "false",
    # moto's images of EC2 take half a second to load, and nobody asks for them.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "TABLE_NAME": TABLE,
    "STACK_NAME": STACK,
    "STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:slipway",
    "TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/task",
    "EXECUTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/execution",
    "ALLOWED_REGISTRIES": REGISTRY,
}
TEMPLATE = ROOT / "infra" / "resources.json"
SHAPE = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


def make_table(dynamodb: Any, name: str = TABLE) -> None:
    """The table as the template says it, so that template and code cannot drift apart."""
    dynamodb.create_table(TableName=name, **_shape())


@cache
def _shape() -> dict[str, Any]:
    """The table's part of the template, which is read once for all tests."""
    properties = json.loads(TEMPLATE.read_text())["Resources"]["Table"]["Properties"]
    return {key: properties[key] for key in SHAPE}
