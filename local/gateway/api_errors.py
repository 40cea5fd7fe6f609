"""Completes the error responses of API Gateway, in which MiniStack leaves `$context.path`.

The template's gateway responses name the path with this variable. On AWS it includes the stage.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
"""

from __future__ import annotations

import json
import re

USER_REQUEST = re.compile(r"/restapis/[^/]+/([^/]+)/_user_request_([^?]*)")
# As a whole value, so that a text which a caller has sent stays as it is.
VARIABLE = b'"$context.path"'


def completed(body: bytes, path: str) -> bytes:
    """Return the body of an error response with the path of its request.

    Args:
        path: the path and query of the request to the local API.
    """
    found = USER_REQUEST.match(path)
    if found is None or VARIABLE not in body:
        return body
    return body.replace(VARIABLE, json.dumps(f"/{found[1]}{found[2]}").encode())
