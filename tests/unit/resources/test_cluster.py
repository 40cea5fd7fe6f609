import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.resources import cluster
from tests.support import aws_says
from tests.support.builders import ID


def test_repeated_ensure_creates_one_cluster_with_the_stacks_tags(deployment: Deployment) -> None:
    first, second = cluster.ensure(deployment), cluster.ensure(deployment)
    assert first == second
    ecs = aws.client("ecs")
    assert ecs.list_clusters()["clusterArns"] == [first.arn]
    described = ecs.describe_clusters(clusters=[ID], include=["TAGS"])["clusters"][0]
    assert {tag["key"]: tag["value"] for tag in described["tags"]} == {
        "team": "a",
        "slipway:deployment": ID,
        "slipway:owner": "team-a",
        "slipway:stack": "slipway-test",
    }


def test_delete_removes_the_cluster(deployment: Deployment) -> None:
    cluster.ensure(deployment)
    assert cluster.exists(ID) == [ID]
    cluster.delete(ID)
    assert cluster.exists(ID) == []


@pytest.mark.usefixtures("cloud")
def test_deleting_a_missing_cluster_succeeds() -> None:
    cluster.delete(ID)
    assert cluster.exists(ID) == []


@pytest.mark.parametrize(
    "code",
    [
        "ClusterContainsServicesException",
        "ClusterContainsTasksException",
        "UpdateInProgressException",
    ],
)
def test_delete_waits_for_a_cluster_in_use(deployment: Deployment, code: str) -> None:
    cluster.ensure(deployment)
    aws_says.refuse("ecs", "DeleteCluster", code, times=1)
    with pytest.raises(NotReady, match=ID):
        cluster.delete(ID)
    cluster.delete(ID)
    assert cluster.exists(ID) == []
