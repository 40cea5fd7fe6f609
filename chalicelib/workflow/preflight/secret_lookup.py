"""Are the secrets there that the deployment names? Asked without ever reading a value."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.spec import secret_reference
from chalicelib.domain.spec.secret_reference import SecretReference
from chalicelib.platform import aws
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.settings import settings
from chalicelib.workflow.preflight.subject import NotKnown, Subject

# DescribeParameters takes at most 50 values a filter, and a parameter may need two.
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html
PARAMETERS_BATCH = 25
ONE_PAGE = {"PageSize": 50}


def check(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`SECRET_UNAVAILABLE`) naming variables and ARNs, or `NotKnown`."""
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
        raise NotKnown("parameters of another account are not looked up")
    return True


def _account() -> str:
    """This account's id, from the ARN of a role that is its own."""
    return settings().execution_role_arn.split(":")[4]


def _fault_of_secret(reference: SecretReference) -> str:
    secretsmanager = aws.client("secretsmanager")
    try:
        found: dict[str, Any] = secretsmanager.describe_secret(SecretId=reference.arn)
    except secretsmanager.exceptions.ResourceNotFoundException:
        return "there is no such secret"
    if "DeletedDate" in found:
        return f"it is scheduled for deletion ({rfc3339(found['DeletedDate'])})"
    # Versions without a label are left out, so nothing can be said of one named by its id.
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    stages = {stage for labels in found.get("VersionIdsToStages", {}).values() for stage in labels}
    if reference.stage and reference.stage not in stages:
        return f"it has no value labelled {reference.stage}"
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
        found = {parameter["Name"] for page in pages for parameter in page["Parameters"]}
        faults |= {
            name: "there is no such parameter"
            for name in batch
            if not found & set(references[name].parameter_names)
        }
    return faults


def _unavailable(faults: dict[str, tuple[str, str]]) -> DeploymentFailed:
    told = "; ".join(f"{name} ({arn}): {fault}" for name, (arn, fault) in faults.items())
    return DeploymentFailed(
        FailureCode.SECRET_UNAVAILABLE,
        f"A secret cannot be read: {told}.",
        hint="Check the ARN in `secrets`, its six random characters at the end included, and that "
        "the secret holds a value and is not being deleted.",
        evidence={
            "secrets": [
                {"variable": name, "arn": arn, "reason": fault}
                for name, (arn, fault) in faults.items()
            ]
        },
    )
