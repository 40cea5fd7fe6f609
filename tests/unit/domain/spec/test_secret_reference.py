import re

import pytest

from chalicelib.domain.spec.secret_reference import is_allowed, parse
from infra.template import resources
from local.deploy import ALLOWED_SECRETS
from tests.support.builders import ACCOUNT, PARAMETER, REGION, SECRET
from tests.support.project import ROOT


def test_a_secrets_manager_arn_is_parsed() -> None:
    reference = parse(SECRET)
    assert (reference.arn, reference.region, reference.account) == (SECRET, REGION, ACCOUNT)
    assert (reference.service, reference.stage, reference.parameter) == (
        "secretsmanager",
        "AWSCURRENT",
        "",
    )


@pytest.mark.parametrize(
    ("suffix", "stage"),
    [
        (":token::", "AWSCURRENT"),
        (":token:AWSPREVIOUS:", "AWSPREVIOUS"),
        ("::AWSPREVIOUS:", "AWSPREVIOUS"),
        (":::9d4cb84b-ad69-40c0-a0ab-cead3EXAMPLE", ""),
        (":token::9d4cb84b-ad69-40c0-a0ab-cead3EXAMPLE", ""),
    ],
)
def test_a_key_and_a_version_may_follow(suffix: str, stage: str) -> None:
    reference = parse(SECRET + suffix)
    assert (reference.arn, reference.stage) == (SECRET, stage)


@pytest.mark.parametrize(
    ("path", "names"),
    [("slipway/hub", ("/slipway/hub",)), ("hub", ("hub", "/hub"))],
)
def test_a_parameters_arn_does_not_show_whether_its_name_starts_with_a_slash(
    path: str, names: tuple[str, ...]
) -> None:
    reference = parse(f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{path}")
    assert (reference.service, reference.parameter_names) == ("ssm", names)


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_other_partitions_are_parsed(partition: str) -> None:
    assert parse(SECRET.replace("aws", partition, 1)).region == REGION


@pytest.mark.parametrize(
    "value",
    [
        "",
        "hush",
        "hub-AbCdEf",
        f"{SECRET}:token",
        f"{SECRET}:token:AWSPREVIOUS:9d4cb84b-ad69-40c0-a0ab-cead3EXAMPLE",
        f"{SECRET}:a:b:c:d",
        f" {SECRET}",
        f"{SECRET}\n",
        f"{PARAMETER}:1",
        SECRET.replace(ACCOUNT, "12"),
        SECRET.replace("secretsmanager", "s3"),
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:",
    ],
)
def test_a_malformed_arn_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="never a value"):
        parse(value)


@pytest.mark.parametrize(
    ("allowed", "verdict"),
    [
        ((), False),
        ((SECRET,), True),
        ((SECRET[:-1],), False),
        ((f"{SECRET[:-6]}*",), True),
        ((PARAMETER, f"{SECRET}*"), True),
        ((f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other/*",), False),
    ],
)
def test_an_allowed_secret_is_a_full_arn_or_a_prefix(
    allowed: tuple[str, ...], verdict: bool
) -> None:
    assert is_allowed(parse(f"{SECRET}:token::"), allowed) is verdict


# --- the template's parameter, which IAM and this module read in the same way --------------


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("", True),
        (SECRET, True),
        (f"{SECRET},{PARAMETER}*", True),
        (",".join(ALLOWED_SECRETS), True),
        (f"{SECRET}, {PARAMETER}", False),
        (f"{SECRET},", False),
        ("*", False),
        (SECRET.replace(ACCOUNT, "*"), False),
        (f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:a*b", False),
        (f"arn:aws:s3:{REGION}:{ACCOUNT}:secret:a", False),
    ],
)
def test_the_template_allows_a_wildcard_only_at_the_end_of_an_arn(
    value: str, verdict: bool
) -> None:
    template = resources(ROOT)
    pattern = template["Parameters"]["AllowedSecrets"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) is verdict
