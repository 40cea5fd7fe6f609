"""Images that Amazon ECR gets from another registry: a cache rule imports them at the first pull.

A rule applies to every repository below its prefix, and the rule with the prefix ROOT to all that
have no other rule. A repository of a rule does not exist before its first pull.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-private-wildcards.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode, Retryable
from chalicelib.domain.spec.image_reference import ImageReference
from chalicelib.platform import aws
from chalicelib.platform.observability import logger
from chalicelib.workflow import aws_errors

ROOT = "ROOT"
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html
IMPORT, CREATE = "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageFailure.html
_RETRYABLE = ("UpstreamTooManyRequests", "UpstreamUnavailable")


@dataclass(frozen=True)
class Rule:
    """A pull-through cache rule. `upstream` is the registry that it imports from."""

    prefix: str
    upstream: str


def rule_for(ecr: Any, image: ImageReference, account: str) -> Rule | None:
    """The rule of the image's repository: the one with the longest prefix.

    None if there is none, or if AWS does not list the rules. Raises botocore's error if a retry
    may help.
    """
    try:
        paginator = ecr.get_paginator("describe_pull_through_cache_rules")
        pages = list(paginator.paginate(registryId=account))
    except Exception as error:  # denied for the registry of another account, or an emulator
        if aws_errors.is_transient(error):
            raise
        logger.info("cache rules not read", extra={"account": account, "reason": str(error)})
        return None
    rules = [
        Rule(rule["ecrRepositoryPrefix"].rstrip("/"), rule.get("upstreamRegistryUrl", ""))
        for page in pages
        for rule in page["pullThroughCacheRules"]
    ]
    matching = [
        rule
        for rule in rules
        if rule.prefix == ROOT or image.repository.startswith(f"{rule.prefix}/")
    ]
    return max(matching, key=lambda r: 0 if r.prefix == ROOT else len(r.prefix), default=None)


def import_tag(ecr: Any, image: ImageReference, account: str, rule: Rule) -> None:
    """Lets Amazon ECR import the tag now, as the first pull would. It may not do so at once.

    BatchGetImage reports faults of the upstream registry, so it asks that registry. AWS does not
    document whether it always does, so `ImageNotFound` and any other answer decide nothing: then
    the first task pulls the image. Raises `DeploymentFailed` if no pull can succeed, `Retryable`,
    or botocore's error if a retry may help.
    """
    try:
        answer = ecr.batch_get_image(
            registryId=account,
            repositoryName=image.repository,
            imageIds=[{"imageTag": image.tag}],
        )
    except ecr.exceptions.ClientError as error:
        if aws_errors.is_transient(error):
            raise
        if aws.code_of(error) in aws.DENIED:
            raise _denied(image, rule, aws.message_of(error)) from None
        if aws.code_of(error) == "UnableToGetUpstreamImageException":
            raise _upstream_denied(image, rule, aws.message_of(error)) from None
        logger.info("image not imported", extra={"image": image.repository, "reason": str(error)})
        return
    for failure in answer.get("failures", []):
        code, reason = failure.get("failureCode", ""), failure.get("failureReason", "")
        if code in _RETRYABLE:
            raise Retryable(f"{rule.upstream}, the upstream of {rule.prefix}: {reason or code}")
        if code == "UpstreamAccessDenied":
            raise _upstream_denied(image, rule, reason or code)


def by_digest(image: ImageReference, rule: Rule) -> DeploymentFailed:
    """The failure for a digest that is not in the cache.

    https://github.com/aws/containers-roadmap/issues/2837
    """
    return DeploymentFailed(
        FailureCode.IMAGE_NOT_FOUND,
        f"Amazon ECR does not have {_name(image)}, and the cache rule {rule.prefix} imports an "
        "image only by its tag, not by its digest.",
        hint="Name the image by its tag. After the first pull its digest works too.",
    )


def not_yet_here(rule: Rule) -> str:
    """What a check says about an image that the first pull imports."""
    return (
        f"not in Amazon ECR yet: the first pull imports it from {rule.upstream} through the cache "
        f"rule {rule.prefix}"
    )


def _denied(image: ImageReference, rule: Rule, message: str) -> DeploymentFailed:
    named = [action for action in (IMPORT, CREATE) if action in message]
    actions = " and ".join(named or (IMPORT, CREATE))
    return DeploymentFailed(
        FailureCode.IMAGE_ACCESS_DENIED,
        f"{_name(image)} is not in Amazon ECR yet, and the permission {actions} is missing to "
        f"import it through the cache rule {rule.prefix}.",
        hint=f"Ask your platform team to allow {actions} on this repository for the stack's "
        "execution role and for Slipway's own role.",
        evidence={"aws_message": message},
    )


def _upstream_denied(image: ImageReference, rule: Rule, message: str) -> DeploymentFailed:
    return DeploymentFailed(
        FailureCode.IMAGE_ACCESS_DENIED,
        f"Amazon ECR cannot import {_name(image)} from {rule.upstream}.",
        hint=f"Ask your platform team to check the credentials of the cache rule {rule.prefix}: "
        "the secret that its `credentialArn` names.",
        evidence={"aws_message": message},
    )


def _name(image: ImageReference) -> str:
    suffix = f"@{image.digest}" if image.digest else f":{image.tag}"
    return f"{image.registry}/{image.repository}{suffix}"
