"""Texts of service events: why ECS starts no task.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
An event can also have the reason of a stopped task, such as `CannotPullContainerError: ...`.
"""

from __future__ import annotations

from chalicelib.domain.errors import FailureCode
from chalicelib.workflow.diagnosis.known_texts.known_text import DOCS, KnownText

EVENTS = DOCS + "service-event-messages-list.html"
# ECS retries, and the next attempt may find capacity.
ATTEMPTS = 3
_PLACE = "(service {name}) was unable to place a task. Reason: "
_LAUNCH = "(service {name}) failed to launch a task with (error "
_ENI = "Unexpected EC2 error while attempting to Create Network Interface "
# An error code of EC2 in a text of ECS.
_INNER = r"(unexpected ec2 error while attempting to .*\b|\berror ?code: ?(client\.)?)"
_SUPPORT = "Ask the owner of the AWS account to contact AWS Support, then retry."

# These can also be the reason of a stopped task.
TEXTS = (
    KnownText(
        pattern=r"limit on the number of vcpus",
        code=FailureCode.AWS_QUOTA_EXCEEDED,
        message="The account's Fargate vCPU quota is used up, so no task can start.",
        hint="Delete deployments that you do not need, or request an increase of the quota "
        "L-3032A538 "
        "from AWS.",
        source=EVENTS,
        examples=(
            _PLACE
            + "You\u2019ve reached the limit on the number of vCPUs you can run concurrently",
            _PLACE + "You've reached the limit on the number of vCPUs you can run concurrently.",
        ),
    ),
    KnownText(
        pattern=r"limit on the number of tasks",
        code=FailureCode.AWS_QUOTA_EXCEEDED,
        message="The account may not run more Fargate tasks, so no task can start.",
        hint="Delete deployments that you do not need, or ask AWS Support to raise the limit. A "
        "new "
        "account has low limits, which Service Quotas does not show.",
        source=EVENTS,
        examples=(
            _PLACE + "You've reached the limit on the number of tasks you can run concurrently",
        ),
    ),
    KnownText(
        pattern=r"requested (cpu|memory) configuration is above your limit",
        code=FailureCode.AWS_QUOTA_EXCEEDED,
        message="A task of this size is above the account's limit.",
        hint="Deploy with less `cpu` and `memory`, or ask AWS Support to raise the limit.",
        source=EVENTS,
        examples=(
            _PLACE + "The requested CPU configuration is above your limit.",
            _PLACE + "The requested MEMORY configuration is above your limit.",
        ),
    ),
    KnownText(
        pattern=r"account (is|was) (currently )?blocked",
        code=FailureCode.AWS_QUOTA_EXCEEDED,
        message="AWS has blocked this account, so no task can start.",
        hint=_SUPPORT,
        source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html",
        examples=(
            _PLACE + "Your account is currently blocked.",
            _LAUNCH + "This account is currently blocked and not recognized as a valid account.)",
            _PLACE + "Your Amazon Web Services account was blocked. For more information, contact "
            "Amazon Web Services Support.",
        ),
    ),
    KnownText(
        pattern=r"unable to assume (the )?role",
        code=FailureCode.AWS_ACCESS_DENIED,
        message="ECS cannot assume the task roles of the deployment.",
        hint="Ask your platform team to check that the task roles exist and trust "
        "ecs-tasks.amazonaws.com.",
        source=DOCS + "task-iam-roles.html",
        examples=(
            _LAUNCH + "ECS was unable to assume the role '{role}' that was provided for this task. "
            "Please verify that the role being passed has the proper trust relationship and "
            "permissions and that your IAM user has permissions to pass this role.)",
        ),
    ),
    KnownText(
        pattern=r"capacity is unavailable",
        code=FailureCode.CAPACITY_UNAVAILABLE,
        message="AWS has no Fargate capacity for a task of this size at the moment.",
        hint="Retry later, or deploy with less `cpu` and `memory`.",
        source=EVENTS,
        examples=(
            _PLACE + "Capacity is unavailable at this time. Please try again later or in a "
            "different availability zone.",
        ),
        needed=ATTEMPTS,
    ),
    KnownText(
        pattern=r"reason: internal error",
        code=FailureCode.NETWORK_MISCONFIGURED,
        message="Fargate cannot place a task in these subnets. Most often their availability "
        "zone does not "
        "have Fargate.",
        hint="Ask your platform team to deploy the stack with SubnetIds in availability zones "
        "that have "
        "Fargate.",
        source=EVENTS,
        examples=(_PLACE + "Internal error.",),
        needed=ATTEMPTS,
    ),
    KnownText(
        pattern=r"insufficientfreeaddressesinsubnet|create network interface with public ip "
        r"assignment "
        r"enabled in subnet (<quoted>|'\S+)\.?$|insufficient free addresses",
        code=FailureCode.NETWORK_MISCONFIGURED,
        message="A subnet has no free IP address for the task.",
        hint="Ask your platform team for larger subnets, or delete resources that use their "
        "addresses.",
        source=DOCS + "failed-to-start-error.html",
        examples=(
            _ENI + "with public IP assignment enabled in subnet 'subnet-0a1b2c3d",
            _PLACE + _ENI + "in subnet 'subnet-0a1b': InsufficientFreeAddressesInSubnet",
        ),
    ),
    KnownText(
        pattern=r"unexpected ec2 error while attempting to .*\b(unauthorizedoperation|authfailure|"
        r"tagpolicyviolation)\b",
        code=FailureCode.AWS_ACCESS_DENIED,
        message="AWS did not allow ECS to create the task's network interface.",
        hint="Ask your platform team to check service control policies and tag policies for "
        "ec2:CreateNetworkInterface.",
        source=DOCS + "failed-to-start-error.html",
        examples=(
            _ENI + "in subnet 'subnet-0a1b': UnauthorizedOperation",
            "Unexpected EC2 error while attempting to tag the network interface: "
            "TagPolicyViolation",
        ),
    ),
    KnownText(
        pattern=_INNER + r"(requestlimitexceeded|throttling\w*)\b",
        code=FailureCode.CAPACITY_UNAVAILABLE,
        message="AWS throttled the calls that ECS needs to start the task.",
        hint="Retry later.",
        source=DOCS + "throttling.html",
        examples=(
            _ENI + "in subnet 'subnet-0a1b': RequestLimitExceeded",
            _PLACE + "Request limit exceeded. (Service: AmazonEC2; Status Code: 503; Error Code: "
            "RequestLimitExceeded; Request ID: 0a1b)",
        ),
        needed=ATTEMPTS,
    ),
    # After the row of RequestLimitExceeded, which is no quota.
    KnownText(
        pattern=_INNER + r"\w+limitexceeded\b",
        code=FailureCode.AWS_QUOTA_EXCEEDED,
        message="A quota of Amazon EC2 is used up, so the task has no network interface.",
        hint="Delete deployments that you do not need, or ask your platform team to request an "
        "increase of the quota that the service event names.",
        source="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html",
        examples=(
            _ENI + "in subnet 'subnet-0a1b': NetworkInterfaceLimitExceeded",
            _ENI + "with public IP assignment enabled in subnet 'subnet-0a1b': "
            "AddressLimitExceeded",
        ),
    ),
    KnownText(
        pattern=r"\bresource:(cpu|memory|eni|fargate)\b",
        code=FailureCode.CAPACITY_UNAVAILABLE,
        message="AWS has no Fargate capacity for a task of this size at the moment.",
        hint="Retry later, or deploy with less `cpu` and `memory`.",
        source=DOCS + "api_failures_messages.html",
        examples=("TaskFailedToStart: RESOURCE:CPU", "RESOURCE:ENI"),
        needed=ATTEMPTS,
    ),
)
