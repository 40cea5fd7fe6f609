"""The functions' environment and the table, for tests that run Slipway in this process."""

from __future__ import annotations

from typing import Any

from infra.template import resources
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
    "TABLE_NAME": TABLE,
    "STACK_NAME": STACK,
    "STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:slipway",
    "TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/task",
    "EXECUTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/execution",
    "ALLOWED_REGISTRIES": REGISTRY,
}
TABLE_RESOURCE = resources(ROOT)["Resources"]["Table"]["Properties"]
SHAPE = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


def make_table(dynamodb: Any, name: str = TABLE) -> None:
    """Create the table from the template's definition, so that tests cover the real keys."""
    dynamodb.create_table(TableName=name, **{key: TABLE_RESOURCE[key] for key in SHAPE})
