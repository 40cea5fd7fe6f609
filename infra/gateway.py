"""Sends every method and every path to the API function, not only those of its routes.

API Gateway itself returns 403 for an unknown method or path. If the request has an `Authorization`
header, API Gateway reads it as an AWS signature and returns an error about that. The API function
returns 404, 405 with `Allow`, and HEAD, as RFC 9110 requires (`chalicelib/api/endpoint.py`).
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-set-up-simple-proxy.html
"""

import copy
from typing import Any

# One entry per method, because the CloudFormation of the emulator ignores ANY.
METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
# A greedy path matches everything that no other path matches, except the root.
OTHER_PATHS = ("/", "/{proxy+}")
OPEN_PATH = "/health"


def forward_everything(template: dict[str, Any]) -> None:
    """Add all other methods and paths to the `RestAPI` of a SAM template."""
    paths = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    for path in OTHER_PATHS:
        paths[path] = copy.deepcopy(paths[OPEN_PATH])
    for path, methods in paths.items():
        # The same authorizer, so that a request without a token reveals nothing.
        known = next(iter(methods.values()))
        for method in METHODS:
            methods.setdefault(method, copy.deepcopy(known))
            if "+" in path:
                name = {"name": "proxy", "in": "path", "required": True, "type": "string"}
                methods[method]["parameters"] = [name]
