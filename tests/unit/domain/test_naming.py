from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import naming

NAMES = st.from_regex(rf"\A{naming.NAME_PATTERN}\Z")


@given(NAMES)
def test_an_id_is_the_name_and_six_characters_of_base32(name: str) -> None:
    made = naming.new_id(name)
    assert naming.ID_PATTERN.fullmatch(made)
    assert made[:-7] == name
    assert set(made[-6:]) <= set(naming.ID_ALPHABET)


@given(NAMES)
def test_an_id_fits_into_a_load_balancer_name(name: str) -> None:
    assert len(naming.new_id(name)) <= 31


@given(NAMES)
def test_every_resource_name_contains_the_id(name: str) -> None:
    made = naming.new_id(name)
    assert naming.load_balancer_security_group(made) == f"slipway-{made}-lb"
    assert naming.task_security_group(made) == f"slipway-{made}-task"
    assert naming.log_group(made, "stack") == f"/slipway/stack/deployments/{made}"
    assert len(naming.execution(made, 10**9)) <= 80


def test_ids_for_the_same_name_differ() -> None:
    assert len({naming.new_id("recommender") for _ in range(100)}) == 100


def test_the_stacks_tags_override_the_callers_tags() -> None:
    tags = naming.tags("x-abcdef", "team-a", "slipway", {"team": "a", naming.TAG_OWNER: "other"})
    assert tags == {
        "team": "a",
        "slipway:deployment": "x-abcdef",
        "slipway:owner": "team-a",
        "slipway:stack": "slipway",
    }
