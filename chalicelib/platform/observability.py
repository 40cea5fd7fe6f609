"""Logs and traces. No other module configures logging or imports the X-Ray SDK.

The template turns Lambda's JSON log format on, which makes the `extra` of a log call fields of the
line. So no logging library is needed.
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

import logging
import os

logger = logging.getLogger("slipway")
logger.setLevel(logging.INFO)


def trace_aws_calls() -> None:
    """Records every AWS call as a subsegment of the function's trace. No effect outside Lambda.

    The SDK is imported here, because its import takes longer than the rest of a cold start and only
    functions that call AWS need it.
    """
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        return
    from aws_xray_sdk.core import patch, xray_recorder

    xray_recorder.configure(service="slipway", context_missing="IGNORE_ERROR")
    patch(("botocore",))
