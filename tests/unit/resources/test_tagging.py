from chalicelib.resources import tagging
from tests.support.builders import ID, deployment_of


def test_a_resource_gets_every_tag() -> None:
    tags = tagging.tags_of(deployment_of(tags={"team": "a"}), Name="x")
    assert tags == {
        "team": "a",
        "slipway:deployment": ID,
        "slipway:owner": "team-a",
        "slipway:stack": "slipway-test",
        "Name": "x",
    }


def test_tags_have_the_format_of_each_service() -> None:
    assert tagging.upper({"a": "b"}) == [{"Key": "a", "Value": "b"}]
    assert tagging.lower({"a": "b"}) == [{"key": "a", "value": "b"}]
