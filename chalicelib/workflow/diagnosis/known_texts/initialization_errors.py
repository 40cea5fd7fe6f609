"""Texts of `ResourceInitializationError`: Fargate could not prepare the task.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
"""

from __future__ import annotations

from chalicelib.domain.errors import FailureCode
from chalicelib.workflow.diagnosis.known_texts.known_text import DOCS, KnownText
from chalicelib.workflow.diagnosis.known_texts.pull_errors import ROUTES, UNREACHABLE

INITIALIZATION = DOCS + "resource-initialization-error.html"
_AUTH = "ResourceInitializationError: unable to pull secrets or registry auth: "
_RETRIEVAL = _AUTH + "execution resource retrieval failed: "
_LOGGER = "ResourceInitializationError: failed to validate logger args: "
_STREAM = (
    _LOGGER + "create stream has been retried 1 times: failed to create Cloudwatch log stream: "
)
_DENIED = (
    "AccessDeniedException: User: {role} is not authorized to perform: {action} on resource: {arn} "
    "because no identity-based policy allows the {action} action status code: 400"
)

LOGS = (
    KnownText(
        pattern=rf"(logger args|logging driver|log stream)\b.*({UNREACHABLE})",
        code=FailureCode.NETWORK_MISCONFIGURED,
        message="The task could not reach CloudWatch Logs.",
        hint=ROUTES,
        source=INITIALIZATION,
        examples=(
            _LOGGER + "The task cannot find the Amazon CloudWatch log group defined in the task "
            "definition. There is a connection issue between the task and Amazon CloudWatch. "
            "Check your network configuration. : signal: killed",
            _LOGGER + "create stream: timeout",
            _STREAM.replace("ResourceInitializationError: ", "CannotStartContainerError: ")
            + 'RequestError: send request failed\ncaused by: Post "{url}": dial tcp '
            "52.46.146.82:443: i/o timeout",
        ),
    ),
    KnownText(
        pattern=r"is not authorized to perform: logs:\w+",
        code=FailureCode.AWS_ACCESS_DENIED,
        message="The task execution role is not allowed to write the deployment's logs.{denied}",
        hint="Ask your platform team to allow this action for the task execution role.",
        source="https://repost.aws/knowledge-center/ecs-resource-initialization-error",
        examples=(
            _STREAM + _DENIED.replace("{action}", "logs:CreateLogStream"),
            _STREAM.replace("ResourceInitializationError: ", "CannotStartContainerError: ")
            + _DENIED.replace("{action}", "logs:CreateLogGroup"),
        ),
        final=True,
    ),
    KnownText(
        pattern=r"log group does not exist",
        code=FailureCode.INTERNAL,
        message="The deployment's log group was deleted, and no task starts without it.",
        hint="Retry. Slipway then creates the log group again.",
        source="https://repost.aws/knowledge-center/ecs-resource-initialization-error",
        examples=(
            _STREAM + "ResourceNotFoundException: The specified log group does not exist.",
            "CannotStartContainerError: Error response from daemon: failed to initialize logging "
            "driver: failed to create Cloudwatch log stream: ResourceNotFoundException: The "
            "specified log group does not exist.",
        ),
        final=True,
    ),
)
TEXTS = (
    *LOGS,
    KnownText(
        pattern=UNREACHABLE,
        code=FailureCode.NETWORK_MISCONFIGURED,
        message="The task could not reach the registry, or an AWS API that it needs to start.",
        hint=ROUTES,
        source=INITIALIZATION,
        examples=(
            _AUTH + "The task cannot pull registry auth from Amazon ECR: There is a connection "
            "issue between the task and Amazon ECR. Check your task network configuration.",
            _AUTH + "unable to retrieve secrets from ssm: The task cannot pull secrets from AWS "
            "Systems Manager. There is a connection issue between the task and AWS Systems Manager "
            "Parameter Store. Check your task network configuration.",
            _AUTH + "unable to retrieve secret from asm: There is a connection issue between the "
            "task and AWS Secrets Manager. Check your task network configuration. failed to fetch "
            "secret {secret} from secrets manager",
            _RETRIEVAL + "unable to retrieve ecr registry auth: service call has been retried 3 "
            'time(s): RequestError: send request failed\ncaused by: Post "{url}": dial tcp '
            "52.46.146.82:443: i/o timeout",
            _AUTH + "pull command failed: : signal: killed",
        ),
    ),
    KnownText(
        pattern=r"failed to configure eni|netplugin failed",
        code=FailureCode.NETWORK_MISCONFIGURED,
        message="Fargate could not set up the task's network interface.",
        hint="Retry. If it fails again, ask your platform team to check the VPC's DHCP options "
        "and DNS "
        "settings.",
        source=INITIALIZATION,
        examples=(
            "ResourceInitializationError: failed to configure ENI: failed to setup regular eni: "
            "netplugin failed with no error message",
        ),
    ),
    KnownText(
        pattern=r"throttlingexception: |rate exceeded",
        code=FailureCode.CAPACITY_UNAVAILABLE,
        message="AWS throttled the calls that the task needs to start.",
        hint="Retry later.",
        source=DOCS + "throttling.html",
        examples=(
            _RETRIEVAL + "unable to retrieve secret from asm: service call has been retried 5 "
            "time(s): failed to fetch secret {secret} from secrets manager: ThrottlingException: "
            "Rate exceeded",
        ),
    ),
    KnownText(
        pattern=r"is not authorized to perform: ecr:\w+",
        code=FailureCode.AWS_ACCESS_DENIED,
        message="The task execution role is not allowed to sign in to Amazon ECR.{denied}",
        hint="Ask your platform team to allow this action for the task execution role.",
        source="https://repost.aws/knowledge-center/ecs-unable-to-pull-secrets",
        examples=(
            _RETRIEVAL + "unable to retrieve ecr registry auth: service call has been retried 1 "
            "time(s): " + _DENIED.replace("{action}", "ecr:GetAuthorizationToken"),
        ),
        final=True,
    ),
    KnownText(
        pattern=r"unable to retrieve secrets? from (asm|ssm)|failed to fetch secret|fetching "
        r"secret data|"
        r"invalid ssm parameters|is not authorized to perform: (secretsmanager|ssm|kms):\w+|"
        r"secrets manager can't find|did not contain json key",
        code=FailureCode.SECRET_UNAVAILABLE,
        message="ECS could not read a secret of the deployment when the task started.{denied}",
        hint="Check that the ARN in `secrets` is correct, that the secret has a value, and that "
        "the "
        "stack's AllowedSecrets includes it. Its KMS key must allow the task execution role to "
        "decrypt.",
        source="https://repost.aws/knowledge-center/ecs-unable-to-pull-secrets",
        examples=(
            _RETRIEVAL + "unable to retrieve secret from asm: service call has been retried 1 "
            "time(s): failed to fetch secret {secret} from secrets manager: "
            "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
            _RETRIEVAL + "unable to retrieve secret from asm: service call has been retried 1 "
            "time(s): retrieved secret from Secrets Manager did not contain json key {name}",
            _RETRIEVAL + "unable to retrieve secrets from ssm: service call has been retried 1 "
            "time(s): invalid ssm parameters: {name}",
            _RETRIEVAL + "unable to retrieve secret from asm: service call has been retried 1 "
            "time(s): failed to fetch secret {secret} from secrets manager: "
            + _DENIED.replace("{action}", "secretsmanager:GetSecretValue"),
            _RETRIEVAL + "unable to retrieve secret from asm: AccessDeniedException: Access to KMS "
            "is not allowed",
            "ResourceInitializationError: unable to pull secrets or registry auth: "
            + _DENIED.replace("{action}", "kms:Decrypt"),
        ),
        final=True,
    ),
)
