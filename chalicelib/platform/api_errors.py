"""Errors of AWS's APIs, as data: what each means to the caller.

Common codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html and
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_API = "https://docs.aws.amazon.com/"
_PROVIDER = "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/"
# ECS puts the error of EC2 or Elastic Load Balancing in the message of its own error.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/request-throttling.html
# EC2 also puts `Client.` or `Server.` in front of its codes.
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_CODE = r"(?:Client\.|Server\.)?(\w+(?:\.\w+)*)"
_INNER_CODE = re.compile(
    rf"\bError ?Code ?[:=] ?{_CODE}|\bapi error {_CODE}:|\bAn error occurred \({_CODE}\)"
    rf"|\b{_CODE}: [^:]{{0,500}}\bstatus code: \d{{3}}, request id",
    re.IGNORECASE,
)
_INNER_STATUS = re.compile(r"\bStatus ?Code: ?(\d{3})\b")
_INNER = re.compile(r"\(Service: [^()]*\)")
_NAMES = re.compile(r"https?://\S+|\barn:aws[a-z-]*:\S+|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)")


class ErrorKind(Enum):
    """What an error of AWS means to the caller.

    The first five are transient: the same call may succeed later.
    """

    THROTTLED = auto()
    ROLE_IN_CREATION = auto()
    CONCURRENT = auto()
    IN_USE = auto()
    UNAVAILABLE = auto()
    DENIED = auto()
    QUOTA = auto()
    ACCOUNT = auto()
    REFUSED = auto()


@dataclass(frozen=True)
class ApiError:
    """A row: error codes, or a phrase of the message, and what they mean.

    Attributes:
        codes: the row needs one of them; empty means any code.
        code_pattern: the row needs a code that matches it whole; "" means any code.
        phrase: a pattern that the message must have too, without the names in it; "" means none.
        examples: (code, message) pairs that the row must recognize.
    """

    kind: ErrorKind
    source: str
    examples: tuple[tuple[str, str], ...]
    codes: frozenset[str] = frozenset()
    phrase: str = ""
    code_pattern: str = ""

    def matches(self, code: str, message: str) -> bool:
        """Whether the row recognizes `code` and a message without names."""
        if self.codes and code not in self.codes:
            return False
        if self.code_pattern and not re.fullmatch(self.code_pattern, code):
            return False
        return not self.phrase or re.search(self.phrase, message, re.IGNORECASE) is not None


THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "SlowDown",
    }
)
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"}
)
ROWS = (
    ApiError(
        ErrorKind.ACCOUNT,
        _API + "AmazonECS/latest/APIReference/CommonErrors.html",
        (
            ("BlockedException", "Your account is currently blocked."),
            ("Blocked", "Your account is currently blocked. Contact AWS."),
            ("PendingVerification", "Your request for accessing resources is being validated."),
            ("OptInRequired", "You are not subscribed to this service."),
            ("AccountProblem", "There is a problem with your AWS account."),
        ),
        codes=frozenset(
            {
                "BlockedException",
                "Blocked",
                "PendingVerification",
                "OptInRequired",
                "SubscriptionRequiredException",
                "AccountProblem",
            }
        ),
    ),
    ApiError(
        ErrorKind.ACCOUNT,
        "https://repost.aws/knowledge-center/create-and-activate-aws-account",
        (
            (
                "OperationNotPermitted",
                "This AWS account currently does not support creating load balancers. For more "
                "information, please contact AWS Support.",
            ),
            (
                "OperationNotPermittedException",
                "This AWS account currently does not support creating load balancers.",
            ),
        ),
        phrase=r"this aws account currently does not support ",
    ),
    ApiError(
        ErrorKind.ACCOUNT,
        _API + "AmazonECS/latest/APIReference/API_RunTask.html",
        (
            ("ClientException", "Your account is currently blocked."),
            (
                "InvalidParameterException",
                "This account is currently blocked and not recognized as a valid account.",
            ),
        ),
        phrase=r"\baccount (is|was) (currently )?blocked\b",
    ),
    ApiError(
        ErrorKind.THROTTLED,
        _API + "AmazonECS/latest/developerguide/request-throttling.html",
        (("ThrottlingException", "Rate exceeded"), ("RequestLimitExceeded", "")),
        codes=THROTTLED,
    ),
    ApiError(
        ErrorKind.THROTTLED,
        _PROVIDER + "appautoscaling/policy.go",
        (
            ("FailedResourceAccessException", "Rate exceeded"),
            ("InvalidParameterException", "Request limit exceeded."),
        ),
        phrase=r"\brate exceeded\b|\brequest limit exceeded\b",
    ),
    ApiError(
        ErrorKind.DENIED,
        _API + "IAM/latest/UserGuide/troubleshoot_access-denied.html",
        (
            ("AccessDeniedException", "User: x is not authorized to perform: ecs:CreateCluster"),
            ("AccessDenied", "not authorized to create the service-linked role"),
            ("UnauthorizedOperation", "You are not authorized to perform this operation."),
        ),
        codes=DENIED,
    ),
    # Until the service-linked role exists, which takes a moment at the first use in an account.
    ApiError(
        ErrorKind.ROLE_IN_CREATION,
        _API + "AmazonECS/latest/developerguide/using-service-linked-roles.html",
        (
            (
                "InvalidParameterException",
                "Unable to assume the service linked role. Please verify that the ECS service "
                "linked role exists.",
            ),
            ("ClientException", "The service-linked role is being created"),
        ),
        phrase=r"\bservice[- ]linked role\b",
    ),
    ApiError(
        ErrorKind.ROLE_IN_CREATION,
        _PROVIDER + "appautoscaling/target.go",
        (
            (
                "ValidationException",
                "Unable to assume IAM role: arn:aws:iam::123456789012:role/aws-service-role/"
                "ecs.application-autoscaling.amazonaws.com/"
                "AWSServiceRoleForApplicationAutoScaling_ECSService",
            ),
        ),
        codes=frozenset({"ValidationException"}),
        phrase=r"unable to assume iam role\b",
    ),
    ApiError(
        ErrorKind.ROLE_IN_CREATION,
        _API + "autoscaling/application/APIReference/API_PutScalingPolicy.html",
        (
            (
                "FailedResourceAccessException",
                "Unable to retrieve capacity for resource: service/x/x, scalable dimension: "
                "ecs:service:DesiredCount. Reason: The security token included in the request is "
                "invalid",
            ),
        ),
        codes=frozenset({"FailedResourceAccessException"}),
    ),
    ApiError(
        ErrorKind.DENIED,
        _API + "IAM/latest/UserGuide/troubleshoot_access-denied.html",
        (
            (
                "ValidationException",
                "ECS: User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to "
                "perform: ecs:UpdateService on resource: arn:aws:ecs:us-east-1:123456789012:"
                "service/x/x",
            ),
        ),
        phrase=r"\bis not authorized to perform: [\w-]+:\w+",
    ),
    ApiError(
        ErrorKind.QUOTA,
        _API + "elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html",
        (
            ("TooManyLoadBalancers", "The maximum number of load balancers has been reached"),
            ("SecurityGroupLimitExceeded", "The maximum number of security groups is reached."),
            ("LimitExceededException", "The limit for the resource was exceeded."),
        ),
        codes=frozenset(
            {
                "LimitExceededException",
                "LimitExceeded",
                "ServiceQuotaExceededException",
                "ResourceLimitExceeded",
                "TooManyLoadBalancers",
                "TooManyTargetGroups",
                "TooManyListeners",
                "TooManyRules",
                "TooManyTargets",
                "TooManyCertificates",
                "TooManyUniqueTargetGroupsPerLoadBalancer",
                "TooManyRegistrationsForTargetId",
                "SecurityGroupLimitExceeded",
                "SecurityGroupsPerInterfaceLimitExceeded",
                "RulesPerSecurityGroupLimitExceeded",
                "NetworkInterfaceLimitExceeded",
            }
        ),
    ),
    # After the row of RequestLimitExceeded, which is no quota. EC2 has many codes of this form.
    ApiError(
        ErrorKind.QUOTA,
        _API + "AWSEC2/latest/APIReference/errors-overview.html",
        (
            ("AddressLimitExceeded", "The maximum number of addresses has been reached."),
            ("VcpuLimitExceeded", "You have requested more vCPU capacity than your limit."),
        ),
        code_pattern=r"[A-Z]\w*LimitExceeded(Exception)?",
    ),
    # Two runs of one step called AWS at once; the second run finds what the first one created.
    ApiError(
        ErrorKind.CONCURRENT,
        _API + "AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html",
        (("OperationAbortedException", "A conflicting operation is currently in progress"),),
        codes=frozenset(
            {
                "OperationAbortedException",
                "ConcurrentModificationException",
                "ConcurrentUpdateException",
            }
        ),
    ),
    ApiError(
        ErrorKind.CONCURRENT,
        _API + "AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html",
        (
            (
                "ClientException",
                "Too many concurrent attempts to create a new revision of the specified family.",
            ),
        ),
        phrase=r"\btoo many concurrent attempts\b",
    ),
    ApiError(
        ErrorKind.IN_USE,
        _PROVIDER + "ecs/service.go",
        (
            (
                "InvalidParameterException",
                "The service cannot be stopped while deployments are active.",
            ),
        ),
        phrase=r"cannot be stopped while deployments are active",
    ),
    ApiError(
        ErrorKind.IN_USE,
        _PROVIDER + "ecs/service.go",
        (("DependencyViolation", "resource sg-0a1b has a dependent object"),),
        codes=frozenset({"DependencyViolation"}),
    ),
    ApiError(
        ErrorKind.UNAVAILABLE,
        _API + "AWSEC2/latest/APIReference/errors-overview.html",
        (("ServerException", "Service Unavailable"), ("InternalError", ""), ("Unavailable", "")),
        codes=frozenset(
            {
                "ServerException",
                "InternalError",
                "InternalFailure",
                "InternalServerError",
                "InternalServiceError",
                "InternalServiceException",
                "ServiceUnavailable",
                "ServiceUnavailableException",
                "Unavailable",
                "RequestTimeout",
                "RequestTimeoutException",
            }
        ),
    ),
)


def kind_of(code: str, message: str, status: int = 0) -> ErrorKind:
    """The kind of an error. If its message has the error of another service, that one decides.

    Args:
        status: the HTTP status of the response; 0 if it is not known.
    """
    for inner_code, inner_status in inner_errors(message):
        kind = _kind(inner_code, "", inner_status)
        if kind is not ErrorKind.REFUSED:
            return kind
    return _kind(code, _INNER.sub("", message), status)


def inner_errors(message: str) -> list[tuple[str, int]]:
    """(code, HTTP status) of the errors inside a message, innermost first; 0: no status.

    The forms are those of AWS's SDKs: `(Service: AmazonEC2; Status Code: 503; Error Code: X; ...)`
    of Java, `api error X: ...` and `X: ... status code: 503, request id: ...` of Go, and `An error
    occurred (X) when calling ...` of Python.
    """
    message = " ".join(message.split())
    inside = [_only(each) for each in _INNER.findall(message)]
    outside = [("".join(codes), 0) for codes in _INNER_CODE.findall(_INNER.sub("", message))]
    return [*outside, *inside][::-1]


def _only(part: str) -> tuple[str, int]:
    code, status = _INNER_CODE.search(part), _INNER_STATUS.search(part)
    return "".join(filter(None, code.groups())) if code else "", int(status[1]) if status else 0


def _kind(code: str, message: str, status: int) -> ErrorKind:
    text = " ".join(_NAMES.sub("<name>", message).split())
    row = next((row for row in ROWS if row.matches(code, text)), None)
    if row:
        return row.kind
    return ErrorKind.UNAVAILABLE if status >= 500 else ErrorKind.REFUSED
