import json
from typing import Any

import pytest

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.spec import parsing
from chalicelib.platform import aws
from chalicelib.workflow.preflight import secret_lookup
from chalicelib.workflow.preflight.subject import NotKnown, Subject
from tests.support import aws_says
from tests.support.builders import ACCOUNT, LIMITS, REGION, SECRET, body_of, deployment_of

pytestmark = pytest.mark.usefixtures("cloud")
VALUE = "hush-value"
EVERYTHING_ALLOWED: dict[str, Any] = {**LIMITS, "allowed_secrets": ("arn:*",)}


def put_secret(name: str = "slipway/hub", **value: str) -> str:
    """Create a secret and return its ARN."""
    answer = aws.client("secretsmanager").create_secret(Name=name, **value)
    return str(answer["ARN"])


def put_parameter(name: str) -> str:
    """Create an encrypted parameter and return its ARN."""
    aws.client("ssm").put_parameter(Name=name, Value=VALUE, Type="SecureString")
    return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name.lstrip('/')}"


def checked(**secrets: str) -> bool:
    deployment = deployment_of()
    deployment.spec = parsing.parse(body_of(secrets=secrets), **EVERYTHING_ALLOWED)
    return secret_lookup.check(Subject(deployment))


def failure(**secrets: str) -> DeploymentFailed:
    with pytest.raises(DeploymentFailed) as raised:
        checked(**secrets)
    assert raised.value.code is FailureCode.SECRET_UNAVAILABLE
    assert VALUE not in f"{raised.value.message} {json.dumps(raised.value.evidence)}"
    return raised.value


def test_without_secrets_nothing_is_checked(aws_calls: list[str]) -> None:
    assert not checked()
    assert aws_calls == []


def test_existing_secrets_and_parameters_are_valid() -> None:
    assert checked(
        A=put_secret(SecretString=VALUE),
        B=put_parameter("/slipway/hub"),
        C=put_parameter("plain"),
        D=put_parameter("/root"),
    )


def test_no_value_is_read(aws_calls: list[str]) -> None:
    secret, parameter = put_secret(SecretString=VALUE), put_parameter("/slipway/hub")
    del aws_calls[:]
    checked(A=secret, B=parameter)
    assert sorted(aws_calls) == ["secrets-manager.DescribeSecret", "ssm.DescribeParameters"]


def test_a_missing_secret_is_reported_with_variable_and_arn() -> None:
    missing = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/slipway/none"
    fault = failure(TOKEN=SECRET, KEY=missing, WELL=put_secret(SecretString=VALUE))
    assert f"TOKEN ({SECRET}): the secret does not exist" in fault.message
    assert f"KEY ({missing}): the parameter does not exist" in fault.message
    assert "WELL" not in fault.message
    assert [entry["variable"] for entry in fault.evidence["secrets"]] == ["KEY", "TOKEN"]


def test_a_secret_that_is_being_deleted_is_reported() -> None:
    arn = put_secret(SecretString=VALUE)
    aws.client("secretsmanager").delete_secret(SecretId=arn)
    assert "scheduled for deletion" in failure(TOKEN=arn).message


def test_a_secret_without_a_value_is_reported() -> None:
    assert (
        "the secret has no version with the label AWSCURRENT" in failure(TOKEN=put_secret()).message
    )


def test_a_missing_version_stage_is_reported() -> None:
    arn = put_secret(SecretString=VALUE)
    assert checked(TOKEN=f"{arn}::AWSCURRENT:")
    assert "with the label AWSPREVIOUS" in failure(TOKEN=f"{arn}:key:AWSPREVIOUS:").message


def test_a_version_id_needs_no_version_stage() -> None:
    arn = put_secret(SecretString=VALUE)
    assert checked(TOKEN=f"{arn}:::{'0' * 8}-0000-0000-0000-{'0' * 12}")


def test_many_parameters_are_looked_up_in_batches() -> None:
    arns = {f"P{n}": put_parameter(f"p{n}") for n in range(30)}
    calls = aws_says.watch("ssm", "DescribeParameters")
    assert checked(**arns)
    first_pages = [call for call in calls if "NextToken" not in call]
    sizes = [len(call["ParameterFilters"][0]["Values"]) for call in first_pages]
    assert sizes == [50, 10]


def test_parameters_of_another_account_are_unknown() -> None:
    shared = f"arn:aws:ssm:{REGION}:{'9' * 12}:parameter/slipway/hub"
    with pytest.raises(NotKnown, match="another account"):
        checked(TOKEN=shared)
    assert "the secret does not exist" in failure(TOKEN=shared, KEY=SECRET).message
