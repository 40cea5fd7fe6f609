"""The smallest Chalice project that the local stack can run."""

import json
import shutil
from pathlib import Path

import yaml

from local.stack import ROOT

APP = """
import os
from chalice import Chalice
app = Chalice(app_name="small")
SETTINGS = ("CALLBACKS_ON_LOOPBACK", "SLACK_API_URL", "RETRY_TIME_SCALE")

@app.route("/health")
def health():
    return {"endpoint": os.environ["AWS_ENDPOINT_URL"]}

@app.route("/settings")
def settings():
    return {name: os.environ.get(name) for name in SETTINGS}

@app.lambda_function(name="step")
def step(event, context):
    return event
"""
TOKENS = """
def issue(*, table_name, owner, scopes, client):
    item = {"pk": {"S": owner}, "scopes": {"SS": scopes}}
    client.put_item(TableName=table_name, Item=item)
    return owner, f"token-of-{owner}"
"""
SHARED_SECRETS = """
SLACK_SIGNING_SECRET, SLACK_BOT_TOKEN = "slack-signing-secret", "slack-bot-token"
SLACK_INCOMING_WEBHOOK, WEBHOOK_SECRETS = "slack-incoming-webhook", "webhook-secrets"

def parameter(stack, name):
    return f"/of/{stack}/{name}"
"""
CONFIG = {
    "version": "2.0",
    "app_name": "small",
    "autogen_policy": False,
    "lambda_functions": {"api_handler": {}, "step": {}},
}
SHARED_STATEMENTS = {
    "Traces": {"Effect": "Allow", "Action": ["xray:PutTraceSegments"], "Resource": "*"}
}
DEFINITION = {
    "StartAt": "Step",
    "States": {"Step": {"Type": "Task", "Resource": "${StepArn}", "End": True}},
}
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    },
}
RESOURCES = {
    "Parameters": {"LogRetentionDays": {"Type": "Number", "Default": 1}},
    "Resources": {
        "Table": TABLE,
        "StateMachine": {
            "Type": "AWS::Serverless::StateMachine",
            "Properties": {
                "DefinitionSubstitutions": {"StepArn": {"Fn::GetAtt": ["Step", "Arn"]}},
                "Policies": [{"LambdaInvokePolicy": {"FunctionName": {"Ref": "Step"}}}],
            },
        },
    },
    "Outputs": {
        "TableName": {"Value": {"Ref": "Table"}},
        "StateMachineArn": {"Value": {"Ref": "StateMachine"}},
    },
}


def write_project(folder: Path) -> Path:
    """Write the project into the new `folder`, with Slipway's own requirements; return `folder`."""
    files = {
        "app.py": APP,
        "chalicelib/__init__.py": "",
        "chalicelib/store/__init__.py": "",
        "chalicelib/store/tokens.py": TOKENS,
        "chalicelib/platform/__init__.py": "",
        "chalicelib/platform/shared_secrets.py": SHARED_SECRETS,
        ".chalice/config.json": json.dumps(CONFIG),
        "statemachine/definition.py": f"print({json.dumps(DEFINITION)!r})\n",
        "infra/template.yaml": yaml.safe_dump(RESOURCES, sort_keys=False),
        "infra/policies/shared.yaml": yaml.safe_dump(SHARED_STATEMENTS),
        "infra/policies/api_handler.yaml": "[]",
        "infra/policies/step.yaml": "[]",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    shutil.copy(ROOT / "requirements.txt", folder)
    return folder
