"""What API Gateway hands on beyond the routes: every other method, and every other path.

It answers both of them 403 by itself, and where the request has an `Authorization` header it takes
that for a signature of AWS and complains of it. So the API function is asked, and tells 404, 405
with `Allow`, and HEAD, as RFC 9110 has them (`chalicelib/api/endpoint.py`).
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-set-up-simple-proxy.html
"""

import copy
from typing import Any

ANY_METHOD = "x-amazon-apigateway-any-method"
# A greedy path takes what no other path does, except the root.
OTHER_PATHS = ("/", "/{proxy+}")


def hand_on_everything(template: dict[str, Any]) -> None:
    """Add the other methods and paths to the `RestAPI` of a SAM template."""
    paths = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    for path in paths.values():
        # With the authorizer of the others: who has no token learns nothing.
        path[ANY_METHOD] = copy.deepcopy(next(iter(path.values())))
    for other in OTHER_PATHS:
        method = copy.deepcopy(paths["/health"][ANY_METHOD])
        if "{" in other:
            name = {"name": "proxy", "in": "path", "required": True, "type": "string"}
            method["parameters"] = [name]
        paths[other] = {ANY_METHOD: method}
