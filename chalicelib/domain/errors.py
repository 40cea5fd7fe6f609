"""Every error of the domain, defined once.

The API turns a `RequestRefused` into problem+json (RFC 9457). The state machine matches the names
of the `WorkflowError` classes (`ErrorEquals`).
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain.stored_enum import StoredEnum


class FailureCode(StoredEnum):
    """Why a deployment failed: the values of `failure.code`."""

    IMAGE_NOT_FOUND = "IMAGE_NOT_FOUND"
    IMAGE_ACCESS_DENIED = "IMAGE_ACCESS_DENIED"
    IMAGE_INVALID = "IMAGE_INVALID"
    ARCHITECTURE_MISMATCH = "ARCHITECTURE_MISMATCH"
    SECRET_UNAVAILABLE = "SECRET_UNAVAILABLE"
    NETWORK_MISCONFIGURED = "NETWORK_MISCONFIGURED"
    AWS_QUOTA_EXCEEDED = "AWS_QUOTA_EXCEEDED"
    AWS_ACCESS_DENIED = "AWS_ACCESS_DENIED"
    CAPACITY_UNAVAILABLE = "CAPACITY_UNAVAILABLE"
    CONTAINER_CANNOT_START = "CONTAINER_CANNOT_START"
    CONTAINER_EXITED = "CONTAINER_EXITED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    HEALTH_CHECK_FAILED = "HEALTH_CHECK_FAILED"
    SMOKE_TEST_FAILED = "SMOKE_TEST_FAILED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    # AWS refused something for a reason that Slipway does not recognize.
    AWS_REFUSED = "AWS_REFUSED"
    # A fault of Slipway itself.
    INTERNAL = "INTERNAL"


class WorkflowError(Exception):
    """What a step reports to the state machine.

    `evidence` holds what AWS has reported so far. The step frame keeps the latest evidence in the
    record, because AWS deletes it after a while.
    """

    def __init__(self, message: str, *, evidence: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.evidence = evidence or {}


class NotReady(WorkflowError):
    """Nothing is wrong, but AWS is not done yet. The state machine checks again soon."""


class StillProvisioning(WorkflowError):
    """Nothing is wrong, but AWS needs a while. The state machine checks again less often."""


class Throttled(WorkflowError):
    """AWS throttles the calls. The state machine retries with growing pauses."""


class Retryable(WorkflowError):
    """The call failed for a transient reason, or its response was lost. The step runs again."""


class Superseded(WorkflowError):
    """The deployment has a newer generation or another path. This step must not call AWS."""


class DeploymentFailed(WorkflowError):
    """The operation cannot succeed.

    `message` says what happened, `hint` what the caller can do, `evidence` what AWS reported.
    `unrecognized` is AWS's text if Slipway does not know it, so that it can be logged once.
    """

    def __init__(
        self,
        code: FailureCode,
        message: str,
        *,
        hint: str,
        evidence: dict[str, Any] | None = None,
        unrecognized: str = "",
    ) -> None:
        super().__init__(f"{code}: {message}", evidence=evidence)
        self.code = code
        self.message = message
        self.hint = hint
        self.unrecognized = unrecognized


class RequestRefused(Exception):
    """A request that Slipway refuses; the subclasses define the HTTP status and the code.

    `extensions` are additional members of the problem (RFC 9457, section 3.2).
    """

    status = 400
    code = "INVALID_REQUEST"

    def __init__(
        self,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.headers = headers or {}
        self.extensions = extensions or {}


class MalformedJson(RequestRefused):
    status, code = 400, "MALFORMED_JSON"


class Unauthenticated(RequestRefused):
    status, code = 401, "UNAUTHENTICATED"


class Forbidden(RequestRefused):
    status, code = 403, "FORBIDDEN"


class NotFound(RequestRefused):
    status, code = 404, "NOT_FOUND"


class MethodNotAllowed(RequestRefused):
    status, code = 405, "METHOD_NOT_ALLOWED"


class NameTaken(RequestRefused):
    status, code = 409, "NAME_TAKEN"


class OperationInProgress(RequestRefused):
    status, code = 409, "OPERATION_IN_PROGRESS"


class InvalidState(RequestRefused):
    status, code = 409, "INVALID_STATE"


class IdempotencyKeyInUse(RequestRefused):
    status, code = 409, "IDEMPOTENCY_KEY_IN_USE"


class PreconditionFailed(RequestRefused):
    status, code = 412, "PRECONDITION_FAILED"


class BodyTooLarge(RequestRefused):
    status, code = 413, "BODY_TOO_LARGE"


class UnsupportedMediaType(RequestRefused):
    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"


class ValidationFailed(RequestRefused):
    status, code = 422, "VALIDATION_FAILED"


class IdempotencyKeyReused(RequestRefused):
    status, code = 422, "IDEMPOTENCY_KEY_REUSED"


class QuotaExceeded(RequestRefused):
    status, code = 429, "QUOTA_EXCEEDED"


class AwsUnavailable(RequestRefused):
    status, code = 503, "AWS_UNAVAILABLE"
