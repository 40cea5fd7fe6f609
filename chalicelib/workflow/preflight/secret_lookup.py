"""Checks that the secrets of the deployment exist, without reading a value."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.spec import secret_reference
from chalicelib.domain.spec.secret_reference import SecretReference
from chalicelib.platform import aws
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.settings import settings
from chalicelib.workflow.preflight.subject import NotKnown, Subject

# DescribeParameters accepts at most 50 values per filter, and a parameter can need two.
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html
PARAMETERS_BATCH = 25
ONE_PAGE = {"PageSize": 50}


def check(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`SECRET_UNAVAILABLE`) with variables and ARNs, or `NotKnown`."""
    secrets = subject.deployment.spec.secrets
    references = {name: secret_reference.parse(value) for name, value in secrets.items()}
    if not references:
        return False
    stored = {name: ref for name, ref in references.items() if not ref.parameter}
    faults = {name: fault for name, ref in stored.items() if (fault := _fault_of_secret(ref))}
    parameters = {name: ref for name, ref in references.items() if ref.parameter}
    own = {name: ref for name, ref in parameters.items() if ref.account == _account()}
    faults |= _faults_of_parameters(own)
    if faults:
        raise _unavailable({name: (secrets[name], faults[name]) for name in sorted(faults)})
    if own != parameters:
        raise NotKnown("Slipway cannot look up SSM parameters of another account")
    return True


def _account() -> str:
    """The ID of this account, from the ARN of the stack's execution role."""
    return settings().execution_role_arn.split(":")[4]


def _fault_of_secret(reference: SecretReference) -> str:
    secretsmanager = aws.client("secretsmanager")
    try:
        secret: dict[str, Any] = secretsmanager.describe_secret(SecretId=reference.arn)
    except secretsmanager.exceptions.ResourceNotFoundException:
        return "the secret does not exist"
    if "DeletedDate" in secret:
        return f"the secret is scheduled for deletion ({rfc3339(secret['DeletedDate'])})"
    # DescribeSecret omits versions without a label, so a version named by its ID cannot be checked.
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    stages = {stage for labels in secret.get("VersionIdsToStages", {}).values() for stage in labels}
    if reference.stage and reference.stage not in stages:
        return f"the secret has no version with the label {reference.stage}"
    return ""


def _faults_of_parameters(references: dict[str, SecretReference]) -> dict[str, str]:
    faults: dict[str, str] = {}
    names = sorted(references)
    for start in range(0, len(names), PARAMETERS_BATCH):
        batch = names[start : start + PARAMETERS_BATCH]
        wanted = sorted({p for name in batch for p in references[name].parameter_names})
        filters = [{"Key": "Name", "Option": "Equals", "Values": wanted}]
        paginator = aws.client("ssm").get_paginator("describe_parameters")
        pages = paginator.paginate(ParameterFilters=filters, PaginationConfig=ONE_PAGE)
        existing = {parameter["Name"] for page in pages for parameter in page["Parameters"]}
        faults |= {
            name: "the parameter does not exist"
            for name in batch
            if not existing & set(references[name].parameter_names)
        }
    return faults


def _unavailable(faults: dict[str, tuple[str, str]]) -> DeploymentFailed:
    reasons = "; ".join(f"{name} ({arn}): {fault}" for name, (arn, fault) in faults.items())
    return DeploymentFailed(
        FailureCode.SECRET_UNAVAILABLE,
        f"A secret is not available. {reasons}.",
        hint="Check the ARN in `secrets`, including its last six random characters. Check that the "
        "secret has a value and is not scheduled for deletion.",
        evidence={
            "secrets": [
                {"variable": name, "arn": arn, "reason": fault}
                for name, (arn, fault) in faults.items()
            ]
        },
    )
