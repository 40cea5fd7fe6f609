"""The lifecycle of a deployment: from an image to a URL, changed while it serves, and deleted.

The tests of this module share one deployment. Each starts where the previous test ended, and the
last deletes the deployment.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from local.emulator import client
from local.inspection import leftovers, transitions
from local.stack import Stack
from tests.stack.client import (
    SAMPLE_PATH,
    Client,
    calling_continuously,
    issue_token,
    kill_task,
    predict,
    wait_for_tasks,
    wait_until,
)

BUDGET = 60


@pytest.fixture(scope="module")
def made(api: Client) -> Iterator[dict[str, Any]]:
    """The deployment as it was right after its create ended."""
    deployment = api.deploy("life")
    yield deployment
    api.delete(deployment["id"])


def second_tag(stack: Stack) -> str:
    """Push the sample model under a second tag."""
    return f"{stack.sample_image.rsplit(':', 1)[0]}:2"


def live_tasks(api: Client, deployment: str) -> set[str]:
    """Short IDs of the running tasks, in the format that tasks report."""
    tasks = api.send("GET", f"/deployments/{deployment}/tasks").json["tasks"]
    return {task["id"][:8] for task in tasks if task["status"] == "RUNNING"}


def test_the_deployment_is_active_with_a_prediction(made: dict[str, Any], stack: Stack) -> None:
    assert (made["status"], made["operation"]["status"]) == ("ACTIVE", "succeeded"), made["failure"]
    assert made["operation"]["percent"] == 100
    assert {step["status"] for step in made["operation"]["steps"]} == {"succeeded"}
    assert made["image"]["reference"] == stack.sample_image
    assert made["image"]["digest"].startswith("sha256:")
    assert (made["prediction"]["path"], made["prediction"]["status"]) == (SAMPLE_PATH, 200)
    assert "recommendations" in made["prediction"]["sample"]
    assert made["failure"] is None


def test_the_url_returns_titles(made: dict[str, Any]) -> None:
    answer = predict(made["url"])

    titles = [movie["title"] for movie in answer.json["recommendations"]]
    assert answer.status == 200
    assert len(titles) == len(set(titles)) == 10
    assert all(title.strip() for title in titles)


def test_an_unchanged_deployment_is_304(made: dict[str, Any], api: Client) -> None:
    path = f"/deployments/{made['id']}"
    tag = api.send("GET", path).headers["ETag"]

    assert api.send("GET", path, If_None_Match=tag).status == 304
    assert api.send("GET", path, If_None_Match='"another"').status == 200


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_another_owner_does_not_find_the_deployment(
    made: dict[str, Any], stack: Stack, method: str
) -> None:
    stranger = Client(stack, issue_token(stack, "stranger", "read", "deploy"))

    for reference in (made["id"], made["name"]):
        answer = stranger.send(method, f"/deployments/{reference}", {"count": 2})
        assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
    assert stranger.send("GET", "/deployments").json["deployments"] == []


def test_a_change_of_an_older_version_is_refused(made: dict[str, Any], api: Client) -> None:
    answer = api.send("PATCH", f"/deployments/{made['id']}", {"count": 2}, If_Match='"0-0.00"')

    assert (answer.status, answer.json["code"]) == (412, "PRECONDITION_FAILED")


def test_events_list_every_step_in_order(made: dict[str, Any], api: Client) -> None:
    events = api.events(made["id"])
    succeeded = [event["step"] for event in events if event["type"] == "step.succeeded"]

    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert sorted(succeeded) == sorted(step["name"] for step in made["operation"]["steps"])
    assert (events[0]["type"], events[-1]["type"]) == ("deployment.creating", "deployment.active")
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_the_create_stays_within_the_budget_of_transitions(
    made: dict[str, Any], stack: Stack
) -> None:
    counted = transitions(stack, made["id"])

    assert 0 < counted[f"{made['id']}-1"] <= BUDGET


def test_scaling_out_fails_no_request(made: dict[str, Any], api: Client) -> None:
    with calling_continuously(made["url"]) as caller:
        changed = api.change(made["id"], count=2)
        tasks = wait_for_tasks(made["url"], 2)

    assert (changed["status"], changed["operation"]["status"]) == ("ACTIVE", "succeeded")
    assert changed["generation"] == made["generation"] + 1
    assert changed["url"] == made["url"]
    assert tasks == live_tasks(api, made["id"])
    assert caller.answered and caller.failed == []


def test_a_new_image_fails_no_request(made: dict[str, Any], api: Client, stack: Stack) -> None:
    before = live_tasks(api, made["id"])

    with calling_continuously(made["url"]) as caller:
        changed = api.change(made["id"], image=second_tag(stack))
        tasks = wait_for_tasks(made["url"], 2)

    assert (changed["status"], changed["operation"]["status"]) == ("ACTIVE", "succeeded")
    assert changed["image"]["reference"] == second_tag(stack)
    assert changed["image"]["digest"] != made["image"]["digest"]
    assert not tasks & before
    assert caller.answered and caller.failed == []


def test_a_change_of_tags_reaches_aws_and_restarts_no_task(
    made: dict[str, Any], api: Client, stack: Stack
) -> None:
    before = live_tasks(api, made["id"])

    changed = api.change(made["id"], tags={"team": "b"})

    assert (changed["status"], changed["operation"]["status"]) == ("ACTIVE", "succeeded")
    assert live_tasks(api, made["id"]) == before
    arns = {r["arn"]: r["kind"] for r in changed["resources"] if r["arn"]}
    assert {kind for arn, kind in arns.items() if "b" in team_of(stack, arn)} == set(arns.values())


def team_of(stack: Stack, arn: str) -> list[str]:
    """The values of the tag `team` on a resource. A security group is given by its ID."""
    if arn.startswith("sg-"):
        groups = client("ec2", stack).describe_security_groups(GroupIds=[arn])["SecurityGroups"]
        return [tag["Value"] for tag in groups[0]["Tags"] if tag["Key"] == "team"]
    if ":ecs:" in arn:
        tags = client("ecs", stack).list_tags_for_resource(resourceArn=arn)["tags"]
        return [tag["value"] for tag in tags if tag["key"] == "team"]
    tags = client("elbv2", stack).describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    return [tag["Value"] for tag in tags if tag["Key"] == "team"]


def test_an_update_to_a_missing_image_is_rolled_back(
    made: dict[str, Any], api: Client, stack: Stack
) -> None:
    before = api.get(made["id"])

    with calling_continuously(made["url"]) as caller:
        changed = api.change(made["id"], image=f"{stack.sample_image.rsplit(':', 1)[0]}:none")

    assert (changed["status"], changed["operation"]["status"]) == ("ACTIVE", "rolled_back")
    assert changed["failure"]["code"] == "IMAGE_NOT_FOUND"
    assert (changed["image"], changed["spec"]) == (before["image"], before["spec"])
    assert caller.answered and caller.failed == []


def test_a_killed_task_is_replaced(made: dict[str, Any], api: Client) -> None:
    before = wait_for_tasks(made["url"], 2)
    killed = min(before)

    with calling_continuously(made["url"]) as caller:
        kill_task(killed)
        wait_until(lambda: killed not in live_tasks(api, made["id"]), f"the end of {killed}")
        after = wait_for_tasks(made["url"], 2)

    assert killed not in after
    assert before - after == {killed}
    # The load balancer notices when it sends the first requests there.
    assert {answer.status for answer in caller.failed} <= {502}
    assert caller.answered and caller.lost == []
    assert api.get(made["id"])["status"] == "ACTIVE"


def test_delete_by_name_leaves_nothing(made: dict[str, Any], api: Client, stack: Stack) -> None:
    assert leftovers(stack, made["id"])

    gone = api.delete("life")

    assert (gone["id"], gone["status"]) == (made["id"], "DELETED")
    assert gone["operation"]["status"] == "succeeded"
    assert {resource["kind"] for resource in gone["resources"]} == {
        "cluster",
        "listener",
        "load_balancer",
        "log_group",
        "security_group",
        "service",
        "target_group",
        "task_definition",
    }
    assert all(resource["verified_gone"] for resource in gone["resources"])
    assert all(resource["deleted_at"] for resource in gone["resources"])
    assert gone["leftovers"] == []
    assert gone["url"] is None and gone["deleted_at"]
    assert leftovers(stack, made["id"]) == []
    assert predict(made["url"]).status != 200


def test_a_repeated_delete_is_not_an_error(made: dict[str, Any], api: Client) -> None:
    again = api.send("DELETE", f"/deployments/{made['id']}")

    assert (again.status, again.json["status"]) == (202, "DELETED")


def test_events_stay_in_order_to_the_end(made: dict[str, Any], api: Client) -> None:
    events = api.events(made["id"])

    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "deployment.deleted"
