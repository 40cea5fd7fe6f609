"""Slack on the whole stack: from the signed command to the message that follows an operation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.stack import Stack
from tests.stack.client import SAMPLE_PATH, Client, ask, issue_token, predict, wait_until
from tests.stack.functions import sweep
from tests.stack.slack_client import (
    ELSEWHERE,
    STRANGER,
    USER,
    SlackClient,
    buttons,
    shown,
)
from tests.support.slack_server import CHANNEL, PRIVATE_CHANNEL, FakeSlack

OWNER = "team-chatops"
Message = dict[str, Any]


@pytest.fixture(scope="module")
def team(stack: Stack) -> Iterator[Client]:
    """The API of the owner that the channel and the user are mapped to."""
    admin = Client(stack, stack.admin_token)
    for slack_id in (CHANNEL, USER):
        answer = admin.send("PUT", f"/slack/owners/{slack_id}", {"owner": OWNER})
        assert answer.status in (200, 201), answer.text
    yield Client(stack, issue_token(stack, OWNER, "read", "deploy"))
    for slack_id in (CHANNEL, USER):
        assert admin.send("DELETE", f"/slack/owners/{slack_id}").status == 204


@pytest.fixture
def person(stack: Stack, slack: FakeSlack, team: Client) -> Iterator[SlackClient]:
    """A user of the team. Slack has no faults at first."""
    slack.release()
    slack.forget()
    yield SlackClient(stack, slack)
    slack.release()


def options(stack: Stack, image: str = "") -> str:
    """The options of `deploy` for the sample model."""
    return f"{image or stack.sample_image} health_check.path=/health smoke_test.path={SAMPLE_PATH}"


def missing(stack: Stack) -> str:
    return f"{stack.sample_image.rsplit(':', 1)[0]}:none"


def found(team: Client, name: str) -> dict[str, Any] | None:
    """The newest deployment with a name, including deleted ones."""
    listed = team.send("GET", f"/deployments?name={name}&show_deleted=true").json["deployments"]
    return team.get(listed[0]["id"]) if listed else None


def ended(team: Client, name: str) -> dict[str, Any]:
    """The deployment with a name, once it exists and its operation has ended."""

    def looked() -> dict[str, Any] | None:
        deployment = found(team, name)
        return deployment if deployment and deployment["operation"]["finished_at"] else None

    return dict(wait_until(looked, f"the end of the operation of {name}"))


def message_with(stack: Stack, slack: FakeSlack, has: Callable[[Message], bool]) -> Message:
    """Wait for the channel's message for which `has` is true. The sweep repeats lost calls."""

    def looked() -> Message | None:
        for (channel, _), message in reversed(list(slack.messages.items())):
            if channel == CHANNEL and has(message):
                return message
        sweep(stack)
        return None

    return dict(wait_until(looked, "the message in the channel"))


def response(slack: FakeSlack, has: Callable[[Message], bool]) -> Message:
    """Wait for the post to a response_url for which `has` is true."""

    def looked() -> Message | None:
        return next((body for body in slack.posts("response_url") if has(body)), None)

    return dict(wait_until(looked, "the post to a response_url"))


def about(deployment: dict[str, Any], *words: str) -> Callable[[Message], bool]:
    """A condition: the message is about the deployment and contains these words."""
    return lambda message: all(word in shown(message) for word in (deployment["id"], *words))


# --- the lifecycle -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployed(stack: Stack, slack: FakeSlack, team: Client) -> Iterator[dict[str, Any]]:
    """Deploy with a command. The tests here continue with it, and the last deletes it."""
    slack.release()
    slack.forget()
    said = SlackClient(stack, slack).says(f"deploy {options(stack)} name=chatted")
    assert "deploy" in said.lower()
    deployment = ended(team, "chatted")
    assert deployment["status"] == "ACTIVE", deployment["failure"]
    yield deployment
    team.delete(deployment["id"])


def test_a_command_deploys_and_one_message_follows_it(
    deployed: dict[str, Any], stack: Stack, slack: FakeSlack
) -> None:
    last = message_with(stack, slack, about(deployed, deployed["url"]))

    assert predict(deployed["url"]).status == 200
    assert deployed["owner"] == OWNER
    assert "recommendations" in shown(last)
    posted = [m for m in slack.posts("chat.postMessage") if deployed["id"] in shown(m)]
    updated = [m for m in slack.posts("chat.update") if deployed["id"] in shown(m)]
    assert len(posted) == 1
    assert updated and {m["ts"] for m in updated} == {posted[0]["ts"]}
    assert deployed["url"] not in shown(posted[0])


def test_scale_has_its_own_message(
    deployed: dict[str, Any], person: SlackClient, team: Client, stack: Stack, slack: FakeSlack
) -> None:
    person.says("scale chatted 2")

    wait_until(
        lambda: (
            (now := team.get(deployed["id"]))["spec"]["count"] == 2
            and now["operation"]["status"] == "succeeded"
        ),
        "two tasks",
    )
    message_with(stack, slack, about(deployed, "2"))
    assert len([m for m in slack.posts("chat.postMessage") if deployed["id"] in shown(m)]) == 1


@pytest.mark.parametrize(
    ("text", "word"), [("status chatted", "ACTIVE"), ("list", "chatted"), ("logs chatted", "```")]
)
def test_a_read_is_answered_only_to_its_user(
    deployed: dict[str, Any], person: SlackClient, slack: FakeSlack, text: str, word: str
) -> None:
    person.says(text)

    answer = response(slack, lambda body: word in shown(body))
    assert answer.get("response_type", "ephemeral") == "ephemeral"
    assert slack.posts("chat.postMessage") == []


def test_a_mistyped_command_gets_a_suggestion(person: SlackClient, slack: FakeSlack) -> None:
    assert "scale chatted 2" in person.says("scael chatted 2")

    assert "deploy" in person.says("help")
    assert slack.calls == []


def test_a_delete_asks_for_confirmation_and_then_deletes(
    deployed: dict[str, Any], person: SlackClient, team: Client, stack: Stack, slack: FakeSlack
) -> None:
    person.says("delete chatted")

    question = response(slack, lambda body: "delete" in buttons(body))
    assert buttons(question)["delete"] == buttons(question)["cancel"] == deployed["id"]
    assert deployed["url"] in shown(question)
    assert team.get(deployed["id"])["status"] == "ACTIVE"

    assert person.send(person.click("cancel", deployed["id"])).status == 200
    response(slack, lambda body: body.get("replace_original") is True)
    assert team.get(deployed["id"])["status"] == "ACTIVE"

    slack.forget()
    clicked = person.send(person.click("delete", deployed["id"]))
    assert (clicked.status, clicked.text) == (200, "")
    response(slack, lambda body: body.get("replace_original") is True)
    wait_until(lambda: team.get(deployed["id"])["status"] == "DELETED", "the end of the delete")
    message_with(stack, slack, about(deployed, "gone"))


# --- failure -------------------------------------------------------------------------------


def test_a_failure_shows_its_hint_and_a_retry_button(
    person: SlackClient, team: Client, stack: Stack, slack: FakeSlack
) -> None:
    person.says(f"deploy {options(stack, missing(stack))} name=chat-failing")
    failed = ended(team, "chat-failing")
    last = message_with(stack, slack, lambda m: buttons(m).get("retry") == failed["id"])

    assert failed["failure"]["code"] in shown(last)
    assert failed["failure"]["hint"].split(",")[0] in shown(last)

    assert person.send(person.click("retry", failed["id"])).status == 200
    wait_until(
        lambda: (
            (now := team.get(failed["id"]))["generation"] > failed["generation"]
            and now["operation"]["finished_at"]
        ),
        "the retry's end",
    )


def test_an_operation_from_elsewhere_is_announced_in_the_teams_channel(
    person: SlackClient, team: Client, stack: Stack, slack: FakeSlack
) -> None:
    failed = team.deploy("chat-elsewhere", image=missing(stack))

    message_with(stack, slack, lambda m: buttons(m).get("retry") == failed["id"])


# --- who may ---------------------------------------------------------------------------------


def test_an_unmapped_user_is_refused_with_a_contact(
    person: SlackClient, team: Client, stack: Stack
) -> None:
    said = person.says(
        f"deploy {options(stack)} name=chat-stranger", user=STRANGER, channel=ELSEWHERE
    )

    assert STRANGER in said and ELSEWHERE in said
    assert found(team, "chat-stranger") is None


def test_a_replayed_request_is_refused(person: SlackClient, team: Client, stack: Stack) -> None:
    request = person.command(f"deploy {options(stack, missing(stack))} name=chat-replayed")

    assert [person.send(request).status for _ in range(2)] == [200, 401]

    ended(team, "chat-replayed")
    path = "/deployments?name=chat-replayed&show_deleted=true"
    assert len(team.send("GET", path).json["deployments"]) == 1


def test_an_unsigned_request_is_refused(person: SlackClient, stack: Stack) -> None:
    request = person.command("list")
    old = person.command("list", moment=time.time() - 301)

    assert person.send(request, X_Slack_Signature="v0=" + "0" * 64).status == 401
    assert person.send(request, X_Slack_Request_Timestamp="soon").status == 401
    assert person.send(old).status == 401
    # An API token does not replace the signature either.
    form = {"Content-Type": request.headers["Content-Type"]}
    bearer = {**form, "Authorization": f"Bearer {stack.admin_token}"}
    assert ask(stack.api_url + request.path, "POST", request.body, bearer).status == 401


# --- faults of Slack -------------------------------------------------------------------------


def test_a_slack_that_throttles_and_hangs_delays_nothing(
    person: SlackClient, team: Client, stack: Stack, slack: FakeSlack
) -> None:
    slack.throttle(1, target="chat.postMessage")
    slack.hang(target="chat.postMessage")
    person.says(f"deploy {options(stack, missing(stack))} name=chat-storm")

    failed = ended(team, "chat-storm")
    assert failed["failure"]["code"] == "IMAGE_NOT_FOUND"

    message_with(stack, slack, lambda m: buttons(m).get("retry") == failed["id"])
    answers = [call.error for call in slack.calls if call.target == "chat.postMessage"]
    assert answers[-1] is None and "ratelimited" in answers


def test_without_channel_membership_start_and_end_go_to_the_response_url(
    person: SlackClient, team: Client, stack: Stack, slack: FakeSlack
) -> None:
    person.says(
        f"deploy {options(stack, missing(stack))} name=chat-private", channel=PRIVATE_CHANNEL
    )
    failed = ended(team, "chat-private")

    def start_and_end() -> list[Message] | None:
        posts = [m for m in slack.posts("response_url") if failed["id"] in shown(m)]
        if posts and "retry" in buttons(posts[-1]):
            return posts
        sweep(stack)
        return None

    posts = wait_until(start_and_end, "the end at the response_url")
    assert 1 <= len(posts) <= 2
    assert [key for key in slack.messages if key[0] == PRIVATE_CHANNEL] == []
