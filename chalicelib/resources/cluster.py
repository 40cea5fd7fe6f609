"""The ECS cluster: one per deployment, so that a teardown affects no other deployment."""

from __future__ import annotations

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.platform import aws
from chalicelib.resources.tagging import lower, retag_ecs, tags_of

KIND = ResourceKind.CLUSTER


def ensure(deployment: Deployment) -> Resource:
    """Creates the cluster. CreateCluster returns the existing cluster if there is one.

    AWS does not document what CreateCluster does to the tags of an existing cluster, so separate
    calls change them.
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
    """The name of the cluster unless AWS deleted it: a deleted one is INACTIVE for a while."""
    answer = aws.client("ecs").describe_clusters(clusters=[deployment_id])
    return [
        cluster["clusterName"] for cluster in answer["clusters"] if cluster["status"] != "INACTIVE"
    ]


def delete(deployment_id: str) -> None:
    """Deletes the cluster. Raises `NotReady` while a service drains or a task stops.

    A task takes 13 to 25 s to stop after its container exits.
    """
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
