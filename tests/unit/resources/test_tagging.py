from chalicelib.resources import tagging
from tests.support.builders import ID, deployment_of


def test_every_tag_of_a_resource() -> None:
    tags = tagging.tags_of(deployment_of(tags={"team": "a"}), Name="x")
    assert tags == {
        "team": "a",
        "slipway:deployment": ID,
        "slipway:owner": "team-a",
        "slipway:stack": "slipway-test",
        "Name": "x",
    }


def test_the_forms_that_services_want() -> None:
    assert tagging.upper({"a": "b"}) == [{"Key": "a", "Value": "b"}]
    assert tagging.lower({"a": "b"}) == [{"key": "a", "value": "b"}]
