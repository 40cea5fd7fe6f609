import pytest
from pydantic import ValidationError

from chalicelib.platform.settings import settings


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBNET_IDS", "subnet-1, subnet-2,")
    monkeypatch.setenv("ALLOWED_REGISTRIES", "a.example,b.example/team")
    monkeypatch.setenv("ALLOWED_SECRETS", "arn:a,arn:b*")
    assert settings().subnet_ids == ("subnet-1", "subnet-2")
    assert settings().allowed_secrets == ("arn:a", "arn:b*")
    assert settings().allowed_registries == ("a.example", "b.example/team")


def test_an_empty_parameter_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPC_ID", "")
    monkeypatch.setenv("SUBNET_IDS", "")
    monkeypatch.setenv("MAX_TASKS", "")
    monkeypatch.setenv("ALLOWED_SECRETS", "")
    assert (settings().vpc_id, settings().subnet_ids, settings().max_tasks) == ("", (), 10)
    assert settings().allowed_secrets == ()


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_public_addresses_can_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    monkeypatch.setenv("ASSIGN_PUBLIC_IP", text)
    assert settings().assign_public_ip is value


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE_NAME")
    with pytest.raises(ValidationError, match="table_name"):
        settings()
