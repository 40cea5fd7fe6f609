"""An image that Amazon ECR does not have yet, and gets through a pull-through cache rule."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, Retryable
from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.workflow import steps
from chalicelib.workflow.image import image, pull_through
from chalicelib.workflow.preflight import image_platform
from chalicelib.workflow.preflight.subject import NotKnown, Subject
from tests.support import aws_says
from tests.support.builders import ACCOUNT, DIGEST, REGISTRY, deployment_of
from tests.unit.conftest import push_image

pytestmark = pytest.mark.usefixtures("cloud")
REPOSITORY = "hub/library/nginx"
REFERENCE = f"{REGISTRY}/{REPOSITORY}:1.27"
RULES = {
    "hub": "registry-1.docker.io",
    "hub/library": "public.ecr.aws",
    "quay/": "quay.io",
}


def rules(**upstreams: str) -> None:
    listed = [
        {"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": url}
        for prefix, url in upstreams.items()
    ]
    aws_says.answer("ecr", "DescribePullThroughCacheRules", {"pullThroughCacheRules": listed})


def wanting(reference: str = REFERENCE) -> Deployment:
    deployment = deployment_of()
    deployment.image = Image(reference=reference)
    return deployment


def resolved(deployment: Deployment) -> str:
    """Runs the step, and returns its message."""
    outcome = steps.WORK["resolve_image"](deployment)
    if outcome.change:
        outcome.change(deployment)
    return outcome.message


def failure(reference: str = REFERENCE) -> DeploymentFailed:
    with pytest.raises(DeploymentFailed) as raised:
        resolved(wanting(reference))
    return raised.value


def upstream_says(**answer: Any) -> None:
    aws_says.answer("ecr", "BatchGetImage", {"images": [], "failures": [], **answer})


# --- the rule --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "prefix"),
    [
        ("hub/library/nginx", "hub/library"),
        ("hub/grafana", "hub"),
        ("quay/team/app", "quay"),
        ("hub", None),
        ("hubble/app", None),
        ("team/hub/app", None),
    ],
)
def test_the_longest_prefix_decides(repository: str, prefix: str | None) -> None:
    rules(**RULES)
    wanted = Image(reference=f"{REGISTRY}/{repository}:1").parsed
    rule = pull_through.rule_for(aws.client("ecr"), wanted, ACCOUNT)
    assert (rule and rule.prefix) == prefix


def test_the_root_rule_applies_to_what_has_no_other_rule() -> None:
    rules(ROOT="ghcr.io", **RULES)
    for repository, upstream in (("team/app", "ghcr.io"), ("hub/app", "registry-1.docker.io")):
        wanted = Image(reference=f"{REGISTRY}/{repository}:1").parsed
        rule = pull_through.rule_for(aws.client("ecr"), wanted, ACCOUNT)
        assert rule is not None and rule.upstream == upstream


# --- the first use ---------------------------------------------------------------------------


def test_the_step_imports_the_tag_and_pins_its_digest() -> None:
    rules(**RULES)
    pushed: list[str] = []

    def imported(params: Any) -> Any:
        aws.client("ecr").create_repository(repositoryName=REPOSITORY)
        pushed.append(push_image("1.27", repository=REPOSITORY))
        return {"images": [{"imageId": {"imageDigest": pushed[0]}}], "failures": []}

    aws_says.answer("ecr", "BatchGetImage", imported)
    deployment = wanting()
    assert resolved(deployment).startswith(pushed[0])
    assert deployment.image.digest == pushed[0]


@pytest.mark.parametrize("exists", [False, True], ids=["no repository", "no such tag"])
def test_an_image_that_is_not_imported_at_once_is_pulled_by_its_tag(exists: bool) -> None:
    rules(**RULES)
    if exists:
        aws.client("ecr").create_repository(repositoryName=REPOSITORY)
        upstream_says(failures=[{"failureCode": "ImageNotFound"}])
    deployment = wanting()
    assert resolved(deployment).startswith(
        "not in Amazon ECR yet: the first pull imports it from public.ecr.aws through the cache "
        "rule hub/library"
    )
    assert deployment.image.digest is None
    assert deployment.image.pinned == REFERENCE
    with pytest.raises(NotKnown, match="not in Amazon ECR yet"):
        image_platform.check(Subject(deployment))


def test_a_check_that_creates_nothing_does_not_import(aws_calls: list[str]) -> None:
    rules(**RULES)
    deployment = wanting()
    outcome = image.resolve(deployment)
    assert outcome.change is not None
    outcome.change(deployment)
    assert deployment.image.digest is None
    assert "the first pull imports it" in outcome.message
    assert "ecr.BatchGetImage" not in aws_calls


def test_the_missing_permission_is_named() -> None:
    rules(**RULES)
    message = f"User: x is not authorized to perform: ecr:CreateRepository on {REPOSITORY}"
    aws_says.refuse("ecr", "BatchGetImage", "AccessDeniedException", message)
    fault = failure()
    assert fault.code is FailureCode.IMAGE_ACCESS_DENIED
    assert "the permission ecr:CreateRepository is missing" in fault.message
    assert "execution role" in fault.hint


def test_both_permissions_are_named_if_aws_names_none() -> None:
    rules(**RULES)
    aws_says.refuse("ecr", "BatchGetImage", "AccessDeniedException", "denied")
    assert "ecr:BatchImportUpstreamImage and ecr:CreateRepository" in failure().message


@pytest.mark.parametrize("as_error", [True, False])
def test_refused_credentials_of_the_rule_are_reported(as_error: bool) -> None:
    rules(**RULES)
    if as_error:
        aws_says.refuse("ecr", "BatchGetImage", "UnableToGetUpstreamImageException", "no")
    else:
        upstream_says(failures=[{"failureCode": "UpstreamAccessDenied", "failureReason": "no"}])
    fault = failure()
    assert fault.code is FailureCode.IMAGE_ACCESS_DENIED
    assert "cannot import" in fault.message and "public.ecr.aws" in fault.message
    assert "credentials of the cache rule hub/library" in fault.hint


@pytest.mark.parametrize("code", ["UpstreamTooManyRequests", "UpstreamUnavailable"])
def test_an_upstream_that_is_busy_is_asked_again(code: str) -> None:
    rules(**RULES)
    upstream_says(failures=[{"failureCode": code}])
    with pytest.raises(Retryable):
        resolved(wanting())


def test_a_digest_is_imported_only_by_its_tag() -> None:
    rules(**RULES)
    fault = failure(f"{REGISTRY}/{REPOSITORY}@{DIGEST}")
    assert fault.code is FailureCode.IMAGE_NOT_FOUND
    assert "only by its tag" in fault.message


# --- without a rule --------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnknownOperationException"])
def test_without_the_list_of_rules_a_missing_image_does_not_exist(code: str) -> None:
    aws_says.refuse("ecr", "DescribePullThroughCacheRules", code)
    assert "does not exist" in failure().message


def test_an_emulator_without_cache_rules_changes_nothing() -> None:
    assert "does not exist" in failure().message


def test_a_throttled_list_of_rules_is_read_again() -> None:
    aws_says.refuse("ecr", "DescribePullThroughCacheRules", "ThrottlingException")
    with pytest.raises(ClientError):
        resolved(wanting())


def test_an_image_that_exists_needs_no_rules(aws_calls: list[str]) -> None:
    push_image()
    assert resolved(wanting(f"{REGISTRY}/recommend:1")).startswith("sha256:")
    assert "ecr.DescribePullThroughCacheRules" not in aws_calls
