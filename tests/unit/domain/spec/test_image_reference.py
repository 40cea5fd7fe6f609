import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.domain.spec import image_reference
from tests.support.builders import DIGEST, IMAGE, REGISTRY


def test_the_parts_of_a_reference() -> None:
    image = image_reference.parse(f"{REGISTRY}/team/recommend:1.2@{DIGEST}")
    assert (image.registry, image.repository) == (REGISTRY, "team/recommend")
    assert (image.tag, image.digest) == ("1.2", DIGEST)


def test_a_reference_without_tag_and_digest_means_latest() -> None:
    assert image_reference.parse(f"{REGISTRY}/recommend").tag == "latest"
    assert image_reference.parse(f"{REGISTRY}/recommend@{DIGEST}").tag is None


@pytest.mark.parametrize(
    "reference",
    [
        "registry.example.com:5000/a/b__c:v1",
        "localhost:5000/recommend",
        "public.ecr.aws/nginx/nginx:1",
        "ghcr.io/a/b-c--d.e_f",
        f"{REGISTRY}/recommend:" + "t" * 128,
    ],
)
def test_a_valid_reference_is_parsed(reference: str) -> None:
    image_reference.parse(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "recommend",
        "recommend:1",
        "team/recommend:1",
        f"https://{IMAGE}",
        f"{REGISTRY}/Recommend:1",
        f"{REGISTRY}/recommend:",
        f"{REGISTRY}/recommend:" + "t" * 129,
        f"{REGISTRY}/recommend@sha256:abc",
        f"{REGISTRY}/recommend@sha256:{'AB' * 32}",
        f"{REGISTRY}//recommend",
        f"{REGISTRY}/recommend/",
        f"{REGISTRY}/recommend:1 ",
        f"{IMAGE}\n",
        f"{REGISTRY}/{'a' * 512}",
    ],
)
def test_a_malformed_reference_is_refused(reference: str) -> None:
    with pytest.raises(ValueError, match="must be an image reference that starts with a registry"):
        image_reference.parse(reference)


@pytest.mark.parametrize(
    ("reference", "fix"),
    [
        (f"https://{IMAGE}", "Remove https://"),
        (f"docker://{IMAGE}", "Remove docker://"),
        (f"{IMAGE} ", "Remove the spaces and line breaks"),
        (f"{IMAGE}\n", "Remove the spaces and line breaks"),
        (f"{REGISTRY}/Recommend:1", "Write the repository and the digest in lowercase"),
        (f"{REGISTRY}/a@sha256:{'AB' * 32}", "Write the repository and the digest in lowercase"),
        (f"{REGISTRY}/{'a' * 512}", "At most 512 characters are allowed"),
        ("nginx", "Example: 123456789012.dkr.ecr.us-east-1.amazonaws.com/recommend:1"),
    ],
)
def test_a_malformed_reference_gets_its_own_fix(reference: str, fix: str) -> None:
    with pytest.raises(ValueError) as raised:
        image_reference.parse(reference)
    assert str(raised.value).endswith(f". {fix}")


def test_an_ecr_registry_reports_account_and_region() -> None:
    assert image_reference.parse(IMAGE).ecr == ("123456789012", "us-east-1")
    china = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/recommend:1"
    assert image_reference.parse(china).ecr == ("123456789012", "cn-north-1")
    assert image_reference.parse("ghcr.io/a/b").ecr is None


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        (REGISTRY, True),
        (f"{REGISTRY}/", True),
        (f"{REGISTRY}/team", True),
        (f"{REGISTRY}/team/recommend", True),
        (f"{REGISTRY}/te", False),
        (f"{REGISTRY}/team/recommend/more", False),
        (REGISTRY[:-1], False),
        ("", False),
    ],
)
def test_the_allow_list_compares_whole_path_segments(entry: str, allowed: bool) -> None:
    image = image_reference.parse(f"{REGISTRY}/team/recommend:1")
    assert image_reference.is_allowed(image, (entry,)) is allowed


def test_a_registry_that_only_shares_a_prefix_is_refused() -> None:
    image = image_reference.parse(f"{REGISTRY}.example.com/recommend:1")
    assert not image_reference.is_allowed(image, (REGISTRY,))


@given(st.text())
@example("a." * 256 + "/x")
@example("a.b/" + "a-" * 250)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        image_reference.parse(text)


PART = st.from_regex(r"\A[a-z0-9]+(-[a-z0-9]+)*\Z").filter(lambda part: len(part) < 40)


@given(st.lists(PART, min_size=1, max_size=4), PART)
def test_a_pinned_reference_keeps_the_repository(parts: list[str], tag: str) -> None:
    image = image_reference.parse(f"registry.example.com/{'/'.join(parts)}:{tag}")
    pinned = image_reference.parse(image.pinned(DIGEST))
    assert (pinned.registry, pinned.repository) == (image.registry, image.repository)
    assert (pinned.tag, pinned.digest) == (None, DIGEST)
