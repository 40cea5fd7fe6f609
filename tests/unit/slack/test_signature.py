from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.domain.errors import Unauthenticated
from chalicelib.platform import shared_secrets
from chalicelib.slack import signature
from tests.support import slack_request
from tests.support.slack_request import SECRET, SIGNATURE, TIMESTAMP, sign

pytestmark = pytest.mark.usefixtures("cloud")

# The example in Slack's documentation.
AT = datetime.fromtimestamp(1531420618, UTC)
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
    b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
HEADERS = {
    TIMESTAMP: ["1531420618"],
    SIGNATURE: ["v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
}


@pytest.fixture(autouse=True)
def secret(cloud: None) -> None:
    slack_request.set_up()


def headers(at: datetime, body: bytes = BODY) -> dict[str, list[str]]:
    stamp = str(int(at.timestamp()))
    return {TIMESTAMP: [stamp], SIGNATURE: [sign(body, stamp)]}


def test_the_example_in_slacks_documentation_is_valid() -> None:
    assert len(signature.verify(HEADERS, BODY, AT)) == 64


@pytest.mark.parametrize("changed", [str.lower, str.upper])
def test_header_names_can_have_any_case(changed) -> None:  # type: ignore[no-untyped-def]
    signature.verify({changed(name): values for name, values in HEADERS.items()}, BODY, AT)


@pytest.mark.parametrize("off", [timedelta(seconds=300), timedelta(seconds=-300)])
def test_a_signature_is_valid_for_five_minutes(off: timedelta) -> None:
    signature.verify(HEADERS, BODY, AT + off)


@pytest.mark.parametrize("off", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_a_signature_is_invalid_after_five_minutes(off: timedelta) -> None:
    with pytest.raises(Unauthenticated):
        signature.verify(HEADERS, BODY, AT + off)


def test_a_repeated_request_has_the_same_id() -> None:
    known = signature.verify(headers(AT), BODY, AT)
    assert signature.verify(headers(AT), BODY, AT + timedelta(minutes=1)) == known
    later, other = AT + timedelta(seconds=1), BODY + b"&x=1"
    assert signature.verify(headers(later), BODY, AT) != known
    assert signature.verify(headers(AT, other), other, AT) != known


def test_a_body_in_another_alphabet_is_signed_as_its_bytes() -> None:
    body = "text=Modèle 模型".encode()
    signature.verify(headers(AT, body), body, AT)


def test_all_refusals_are_equal_and_the_log_has_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    responses = set()
    with caplog.at_level("INFO", "slipway"):
        for sent, body in ((HEADERS, b"x"), ({}, BODY), (headers(AT, b"\xff"), b"\xff")):
            with pytest.raises(Unauthenticated) as refused:
                signature.verify(sent, body, AT)
            responses.add((refused.value.detail, str(refused.value.headers)))
    assert len(responses) == 1
    assert len({vars(record)["reason"] for record in caplog.records}) == 3


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_secret_signs_nothing(value: str) -> None:
    """HMAC accepts an empty key, with which anyone could sign."""
    slack_request.set_up(value or " ")
    stamp = str(int(AT.timestamp()))
    sent = {TIMESTAMP: [stamp], SIGNATURE: [sign(BODY, stamp, value)]}
    with pytest.raises(Unauthenticated):
        signature.verify(sent, BODY, AT)


def test_without_a_secret_the_log_says_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    from chalicelib.platform import aws

    name = shared_secrets.parameter("slipway-test", shared_secrets.SLACK_SIGNING_SECRET)
    aws.client("ssm").delete_parameter(Name=name)
    shared_secrets.forget()
    with caplog.at_level("ERROR", "slipway"), pytest.raises(Unauthenticated):
        signature.verify(HEADERS, BODY, AT)
    assert "make slack STAGE=" in caplog.text


def test_a_rotated_secret_replaces_the_old_one() -> None:
    slack_request.set_up("0" * 32)
    with pytest.raises(Unauthenticated):
        signature.verify(HEADERS, BODY, AT)
    stamp = str(int(AT.timestamp()))
    sent = {TIMESTAMP: [stamp], SIGNATURE: [sign(BODY, stamp, "0" * 32)]}
    signature.verify(sent, BODY, AT)
    assert SECRET != "0" * 32
