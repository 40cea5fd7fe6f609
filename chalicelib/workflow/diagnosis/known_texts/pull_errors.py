"""Texts of `CannotPullContainerError`: ECS could not pull the image.

AWS: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
The text after AWS's own comes from containerd (on Fargate since platform version 1.4) or Docker.
"""

from __future__ import annotations

from chalicelib.domain.errors import FailureCode
from chalicelib.workflow.diagnosis.known_texts.known_text import DOCS, KnownText

PULLS = DOCS + "task_cannot_pull_image.html"
CONTAINERD = "https://github.com/containerd/containerd/blob/main/"
UNREACHABLE = (
    r"i/o timeout|dial tcp|connection (issue between|timed out|refused|reset by peer)|no such host"
    r"|context (deadline exceeded|canceled)|tls handshake timeout|network is unreachable"
    r"|request canceled while waiting for connection|client\.timeout exceeded"
    r"|check your (task )?network configuration|: signal: killed|create stream: timeout"
)
ROUTES = (
    "Ask your platform team to check AssignPublicIp and the routes of the subnets. The tasks need "
    "the internet, or VPC endpoints for ECR, S3 and CloudWatch Logs."
)
_RETRIED = "CannotPullContainerError: pull image manifest has been retried 5 time(s): "
_REF = "failed to resolve ref {image}: "

NO_SPACE = KnownText(
    pattern=r"no space left on device",
    code=FailureCode.CONTAINER_CANNOT_START,
    message="The image {image} does not fit on the task's disk of {storage} GiB. The disk needs "
    "room for "
    "the compressed and the unpacked image.",
    hint='Deploy with a larger disk, for example "storage_gib": {more_storage}, or make the image '
    "smaller.",
    source=PULLS,
    examples=(
        "CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob111111111: no space left "
        "on device",
        "CannotPullContainerError: failed to register layer: Error processing tar file(exit status "
        "1): write /opt/conda/lib/libtorch_cuda.so: no space left on device",
    ),
    final=True,
)
TEXTS = (
    KnownText(
        pattern=r"descriptor matching platform|no match for platform in manifest|no matching "
        r"manifest for",
        code=FailureCode.ARCHITECTURE_MISMATCH,
        message="The image is not built for {architecture}, the deployment's CPU architecture.",
        hint="{build_for}",
        source="https://github.com/aviswerdlow/relay/issues/71",
        examples=(
            "CannotPullContainerError: pull image manifest has been retried 7 time(s): image "
            "Manifest does not contain descriptor matching platform 'linux/amd64'",
            "CannotPullContainerError: no matching manifest for linux/arm64/v8 in the manifest "
            "list entries",
        ),
        final=True,
    ),
    NO_SPACE,
    KnownText(
        pattern=r"\btoomanyrequests: |\b429 too many requests|reached your (unauthenticated "
        r")?pull rate "
        r"limit",
        code=FailureCode.IMAGE_ACCESS_DENIED,
        message="The registry's rate limit for pulling {image} is reached.",
        hint="Push the image to Amazon ECR and deploy it from there.",
        source=PULLS,
        examples=(
            "CannotPullContainerError: ERROR: toomanyrequests: Too Many Requests.",
            "CannotPullContainerError: inspect image has been retried 5 time(s): httpReadSeeker: "
            "failed open: unexpected status code {url}: 429 Too Many Requests",
            "CannotPullContainerError: Error response from daemon: You have reached your pull rate "
            "limit. You may increase the limit by authenticating and upgrading: {url}",
        ),
        final=True,
    ),
    KnownText(
        pattern=UNREACHABLE,
        code=FailureCode.NETWORK_MISCONFIGURED,
        message="The task could not reach the registry of {image}.",
        hint=ROUTES,
        source=PULLS,
        examples=(
            "CannotPullContainerError: The task cannot pull '{image}' from the Amazon ECR "
            "repository '{image}'. There is a connection issue between the task and Amazon ECR. "
            "Check your task network configuration.",
            "CannotPullContainerError: The task can\u2019t pull the image. Check your network "
            "configuration",
            "CannotPullContainerError: API error (500): Get {url}: net/http: request canceled "
            "while waiting for connection",
            "CannotPullContainerError: Context canceled",
            _RETRIED + _REF + 'failed to do request: Head "{url}": dial tcp 34.205.13.154:443: '
            "i/o timeout",
            _RETRIED + _REF + "failed to authorize: failed to fetch oauth token: Post "
            '"{url}": dial tcp: lookup {name} on 10.0.0.2:53: no such host',
        ),
    ),
    KnownText(
        pattern=r"unexpected (http )?status(?: code)?(?: from \w+ request to)?:?(?: <url>| "
        r"<quoted>)?:? "
        r"5\d\d\b|\b50[0234] (internal server error|bad gateway|service unavailable|gateway "
        r"time-?out)",
        code=FailureCode.CAPACITY_UNAVAILABLE,
        message="The registry of {image} is not available now: it returned a server error.",
        hint="Retry later. If it fails again, check the status page of the registry.",
        source=CONTAINERD + "core/remotes/errors/errors.go",
        examples=(
            "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: "
            "httpReadSeeker: failed open: unexpected status code {url}: 503 Service Unavailable",
            _RETRIED + _REF + "failed to authorize: failed to fetch anonymous token: unexpected "
            "status from GET request to {url}: 502 Bad Gateway",
            "CannotPullContainerError: Error response from daemon: received unexpected HTTP "
            "status: 500 Internal Server Error",
        ),
    ),
    KnownText(
        pattern=r"mismatched image rootfs|failed to register layer|failed to (unpack|extract) |"
        r"failed size validation|unexpected (commit digest|media type)|unsupported media type|"
        r"invalid (tar header|checksum|argument: unknown compression)|gzip: invalid|"
        r"wrong diff id|error processing tar file|unexpected eof|failed to unmarshal|"
        r"filesystem layer verification failed",
        code=FailureCode.IMAGE_INVALID,
        message="The image {image} is damaged or cannot be unpacked.",
        hint="Build the image again without a cache, push it, then deploy again.",
        source=CONTAINERD + "client/image.go",
        examples=(
            "CannotPullContainerError: ref pull has been retried 1 time(s): failed to unpack image "
            "on snapshotter overlayfs: mismatched image rootfs and manifest layers",
            "CannotPullContainerError: failed to register layer: Error processing tar file(exit "
            "status 1): archive/tar: invalid tar header",
            "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract "
            "layer sha256:0a1b: mount callback failed on /tmp/mount: gzip: invalid header: unknown",
            "CannotPullContainerError: filesystem layer verification failed for digest sha256:0a1b",
            "CannotPullContainerError: ref pull has been retried 1 time(s): commit failed: "
            "unexpected commit digest sha256:0a1b, expected sha256:2c3d: failed precondition",
        ),
        final=True,
    ),
    KnownText(
        pattern=r"pull access denied|insufficient_scope|authorization failed|failed to authorize|"
        r"no basic auth credentials|requested access to the resource is denied|"
        r"authorization token has expired|is not authorized to perform|"
        r"\b401 unauthorized|\b403 forbidden|\bhttp 40[13] response|"
        r"(: |<url> )(unauthorized|denied)\b|check that the role has the permissions|"
        r"failed open: unexpected status code$",
        code=FailureCode.IMAGE_ACCESS_DENIED,
        message="ECS is not allowed to pull {image}.{denied}",
        hint="Allow the stack's task execution role in the repository policy.",
        source=PULLS,
        examples=(
            "CannotPullContainerError: The task can\u2019t pull the image. Check that the role has "
            "the permissions to pull images from the registry.",
            _RETRIED + _REF + "pull access denied, repository does not exist or may require "
            "authorization: server message: insufficient_scope: authorization failed",
            _RETRIED + _REF + "failed to authorize: failed to fetch oauth token: unexpected status "
            "from GET request to {url}: 401 Unauthorized",
            "CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: "
            "httpReaderSeeker: failed open: unexpected status code",
            "CannotPullContainerError: unexpected status code 403 Forbidden",
            "CannotPullContainerError: error pulling image configuration: error parsing HTTP 403 "
            "response body",
            "CannotPullContainerError: Error response from daemon: Get {url}: unauthorized: "
            "authentication required",
            'CannotPullContainerError: Error response from daemon: Head "{url}": denied',
            "CannotPullContainerError: Error response from daemon: Head {url}: no basic auth "
            "credentials",
            "CannotPullContainerError: Error response from daemon: pull access denied for {name}, "
            "repository does not exist or may require 'docker login': denied: User: {role} is not "
            "authorized to perform: ecr:BatchGetImage on resource: {arn} because no "
            "identity-based policy allows the ecr:BatchGetImage action",
        ),
        final=True,
    ),
    KnownText(
        pattern=r"\S: not found\b|<image> not found|manifest unknown|name unknown|"
        r"\b404 not found|repository \S+ not found|(repository|image|tag|manifest) [^.;]{0,200}"
        r"does not exist",
        code=FailureCode.IMAGE_NOT_FOUND,
        message="The image {image} does not exist.",
        hint="Check that the tag is correct and the push is complete, then deploy again.",
        source=PULLS,
        examples=(
            _RETRIED + _REF + "{image}: not found",
            "CannotPullContainerError: API error (404): repository {image} not found",
            "CannotPullContainerError: Error response from daemon: manifest for {image} not found: "
            "manifest unknown: Requested image not found",
            "CannotPullContainerError: Error response from daemon: repository {name} not found: "
            "does not exist or no pull access",
            "CannotPullContainerError: Error response from daemon: name unknown: The repository "
            "with name '{name}' does not exist in the registry with id '123456789012'",
        ),
        final=True,
    ),
    KnownText(
        pattern=r"pull command failed: panic: runtime error: invalid memory address",
        code=FailureCode.NETWORK_MISCONFIGURED,
        message="The task could not reach Amazon S3, which has the layers of {image}.",
        hint=ROUTES,
        source=PULLS,
        examples=(
            "CannotPullContainerError: pull command failed: panic: runtime error: invalid memory "
            "address or nil pointer dereference",
        ),
    ),
)
