"""The ECS cluster: one a deployment, so that a teardown touches nothing of another's."""

from __future__ import annotations

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.platform import aws
from chalicelib.resources.tagging import lower, retag_ecs, tags_of

KIND = ResourceKind.CLUSTER


def ensure(deployment: Deployment) -> Resource:
    """Creates the cluster; ECS answers the existing one when it is there.

    It does not say what becomes of other tags in that call, so they are changed apart from it.
    """
    arn = _live_arn(deployment.id) if deployment.retagged else None
    if arn:
        retag_ecs(deployment, arn)
        return Resource(kind=KIND, name=deployment.id, arn=arn)
    answer = aws.client("ecs").create_cluster(
        clusterName=deployment.id,
        tags=lower(tags_of(deployment)),
        settings=[{"name": "containerInsights", "value": "disabled"}],
    )
    return Resource(kind=KIND, name=deployment.id, arn=answer["cluster"]["clusterArn"])


def _live_arn(deployment_id: str) -> str | None:
    answer = aws.client("ecs").describe_clusters(clusters=[deployment_id])
    live = (cluster for cluster in answer["clusters"] if cluster["status"] == "ACTIVE")
    return next((str(cluster["clusterArn"]) for cluster in live), None)


def exists(deployment_id: str) -> list[str]:
    """The name of the cluster if it lives: AWS shows a deleted one as INACTIVE for a while."""
    answer = aws.client("ecs").describe_clusters(clusters=[deployment_id])
    return [
        cluster["clusterName"] for cluster in answer["clusters"] if cluster["status"] != "INACTIVE"
    ]


def delete(deployment_id: str) -> None:
    """Deletes it; raises `NotReady` while services drain or tasks stop (13 to 25 s after exit)."""
    ecs = aws.client("ecs")
    try:
        ecs.delete_cluster(cluster=deployment_id)
    except ecs.exceptions.ClusterNotFoundException:
        return
    except ecs.exceptions.ClusterContainsServicesException:
        raise NotReady(f"cluster {deployment_id} still has a draining service") from None
    except ecs.exceptions.ClusterContainsTasksException:
        raise NotReady(f"cluster {deployment_id} still has stopping tasks") from None
    except ecs.exceptions.UpdateInProgressException:
        raise NotReady(f"cluster {deployment_id} is being updated") from None
