"""Logs and traces. Nothing else imports the logging set-up or the X-Ray SDK.

Lambda's own JSON log format is on in the template, so a log call's `extra` becomes fields of the
line: no logging library is needed for that.
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

import logging
import os

logger = logging.getLogger("slipway")
logger.setLevel(logging.INFO)


def trace_aws_calls() -> None:
    """Makes every AWS call a subsegment of the function's trace.

    Does nothing outside Lambda. The SDK is imported here because it costs more than the
    rest of a cold start together, and only functions that call AWS need it.
    """
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        return
    from aws_xray_sdk.core import patch, xray_recorder

    xray_recorder.configure(service="slipway", context_missing="IGNORE_ERROR")
    patch(("botocore",))
