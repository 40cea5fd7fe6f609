"""Deploys the packaged template to the emulator with CloudFormation, as on AWS."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator import ACCOUNT_ID, REGION, Endpoint, client

STACK_NAME = "slipway"
BUCKET = "slipway-code"
STACK_SECONDS = 120.0
# Secrets and parameters whose name begins with slipway/ are allowed.
ALLOWED_SECRETS = (
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:slipway/*",
    f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:parameter/slipway/*",
)
# RFC 2606 reserves example.com for examples.
ALLOWED_DOMAINS = "*.example.com"
# An example for `task_role_arn`. Local tasks use no AWS credentials.
ALLOWED_TASK_ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/model-reader"


class DeployError(Exception):
    """CloudFormation did not create the stack; the message names the resources and reasons."""


@dataclass(frozen=True)
class Deployed:
    """The outputs of the created stack."""

    api_url: str
    table_name: str
    state_machine_arn: str


def deploy(
    template: dict[str, Any],
    archive: Path,
    aws: Endpoint,
    load_balancer_url: str,
    environment: Mapping[str, str],
) -> Deployed:
    """Create the stack from `template` with the functions' code in `archive`.

    Args:
        template: a SAM template; this function changes `CodeUri` to the emulator's S3.
        archive: the zip that all functions share.
        load_balancer_url: the URL of a load balancer, with `{name}` for its name.
        environment: variables of the functions in addition to those of the template.

    Raises:
        DeployError: a resource failed, or an output is missing.
    """
    s3 = client("s3", aws)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=archive.name, Body=archive.read_bytes())
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if "CodeUri" in properties:
            properties["CodeUri"] = f"s3://{BUCKET}/{archive.name}"
            variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
            variables.update(environment)
    parameters = {
        "LoadBalancerUrl": load_balancer_url,
        "AllowedSecrets": ",".join(ALLOWED_SECRETS),
        "AllowedDomains": ALLOWED_DOMAINS,
        "AllowedTaskRoles": ALLOWED_TASK_ROLE,
    }
    outputs = _create_stack(template, parameters, aws)
    try:
        stage = _stage_name(template)
        _apply_gateway_responses(template, outputs["RestAPIId"], stage, aws)
        return Deployed(
            api_url=f"{aws.aws_endpoint_url}/restapis/{outputs['RestAPIId']}/{stage}/_user_request_",
            table_name=outputs["TableName"],
            state_machine_arn=outputs["StateMachineArn"],
        )
    except KeyError as error:
        raise DeployError(f"The stack has no output {error}, only {sorted(outputs)}") from error


def _create_stack(
    template: dict[str, Any], parameters: dict[str, str], aws: Endpoint
) -> dict[str, str]:
    cloudformation = client("cloudformation", aws)
    # Like `aws cloudformation deploy --s3-bucket`: TemplateBody accepts at most 51,200 bytes.
    client("s3", aws).put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(template))
    declared = template.get("Parameters", {})
    cloudformation.create_stack(
        StackName=STACK_NAME,
        TemplateURL=f"{aws.aws_endpoint_url}/{BUCKET}/template.json",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in parameters.items()
            if key in declared
        ],
    )
    deadline = time.monotonic() + STACK_SECONDS
    while True:
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
        if stack["StackStatus"] != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            raise DeployError(_failures(cloudformation, stack))
        time.sleep(0.1)


def _failures(cloudformation: Any, stack: dict[str, Any]) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    failed = [
        f"  {event['LogicalResourceId']} ({event['ResourceType']}): "
        f"{event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED")
    ]
    reason = stack.get("StackStatusReason", "")
    return "\n".join([f"CloudFormation reports {stack['StackStatus']} {reason}".rstrip(), *failed])


def _apply_gateway_responses(
    template: dict[str, Any], api_id: str, stage: str, aws: Endpoint
) -> None:
    """Set the gateway responses of the API, and deploy the stage with them.

    SAM writes them into the API's OpenAPI document, but the emulator does not read them there.
    """
    gateway = client("apigateway", aws)
    for resource in template["Resources"].values():
        for kind, response in resource.get("Properties", {}).get("GatewayResponses", {}).items():
            headers = response["ResponseParameters"]["Headers"]
            gateway.put_gateway_response(
                restApiId=api_id,
                responseType=kind,
                statusCode=response["StatusCode"],
                responseTemplates=response["ResponseTemplates"],
                responseParameters={
                    f"gatewayresponse.header.{name}": value for name, value in headers.items()
                },
            )
    gateway.create_deployment(restApiId=api_id, stageName=stage)


def _stage_name(template: dict[str, Any]) -> str:
    """Return the stage of the REST API: "api", or the value of .chalice/config.json."""
    for resource in template["Resources"].values():
        if resource.get("Type") == "AWS::Serverless::Api":
            return str(resource["Properties"].get("StageName", "api"))
    raise DeployError("The template has no AWS::Serverless::Api")
