"""What API Gateway hands on beyond the routes: every other method, and every other path.

It answers both of them 403 by itself, and where the request has an `Authorization` header it takes
that for a signature of AWS and complains of it. So the API function is asked, and tells 404, 405
with `Allow`, and HEAD, as RFC 9110 has them (`chalicelib/api/endpoint.py`).
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-set-up-simple-proxy.html
"""

import copy
from typing import Any

# Each by its name and not as one ANY, which the emulator's CloudFormation leaves out.
METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
# A greedy path takes what no other path does, except the root.
OTHER_PATHS = ("/", "/{proxy+}")
OPEN_PATH = "/health"


def hand_on_everything(template: dict[str, Any]) -> None:
    """Add the other methods and paths to the `RestAPI` of a SAM template."""
    paths = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    for path in OTHER_PATHS:
        paths[path] = copy.deepcopy(paths[OPEN_PATH])
    for path, methods in paths.items():
        # With the authorizer of the others: who has no token learns nothing.
        known = next(iter(methods.values()))
        for method in METHODS:
            methods.setdefault(method, copy.deepcopy(known))
            if "+" in path:
                name = {"name": "proxy", "in": "path", "required": True, "type": "string"}
                methods[method]["parameters"] = [name]
