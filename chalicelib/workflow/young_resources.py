"""A denied call on a resource that was created a moment ago may succeed soon.

Policies allow such calls by the stack's tag, and AWS may not show the tag of a new resource yet.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/query-api-troubleshooting.html#eventual-consistency
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.operation import Kind

YOUNG = timedelta(minutes=1)
# These need no tag of an existing resource, so a denial is final.
INDEPENDENT = {
    "CreateCluster",
    "CreateLoadBalancer",
    "CreateLogGroup",
    "CreateSecurityGroup",
    "CreateTargetGroup",
    "RegisterTaskDefinition",
}


def may_pass(error: DeploymentFailed, deployment: Deployment, step: str, now: datetime) -> bool:
    """Whether AWS denied a call on a resource of the deployment in the resource's first minute.

    AWS's message names the resource. A resource that the running step has created is not in the
    record yet, so in a create the start of the step counts.
    """
    operation = error.evidence.get("aws_operation")
    if error.code is not FailureCode.AWS_ACCESS_DENIED or not operation:
        return False
    message = str(error.evidence.get("aws_message", ""))
    is_passed_role = "iam:PassRole" in message
    resources = [resource for resource in deployment.resources if resource.deleted_at is None]
    names = [deployment.id, *(resource.arn for resource in resources if resource.arn)]
    if operation in INDEPENDENT or is_passed_role or not any(name in message for name in names):
        return False
    moments = [resource.created_at for resource in resources if resource.created_at]
    if deployment.operation.kind is Kind.CREATE:
        moments += [started] if (started := deployment.operation.step(step).started_at) else []
    return any(now - moment < YOUNG for moment in moments)
