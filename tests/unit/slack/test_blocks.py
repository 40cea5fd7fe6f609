"""Block Kit messages: their content, and that Slack accepts them for every deployment."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.api import resource
from chalicelib.chat.commands import Reply
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import CONVERGE_STEPS, DESTROY_STEPS, StepStatus
from chalicelib.domain.parts import (
    IN_EVIDENCE,
    SAMPLE_BYTES,
    Failure,
    Leftover,
    Prediction,
    Resource,
)
from chalicelib.domain.record import Status
from chalicelib.slack import blocks, mrkdwn, progress
from chalicelib.slack.blocks import Message
from chalicelib.slack.operation_message import VERBS
from tests.support.builders import (
    ID,
    MOMENT,
    active,
    deployment_of,
    failed,
    failure_of,
    in_status,
    rolling_back,
    tearing_down_failed_create,
)
from tests.support.slack_server import refusal_of

URL = "http://recommender-abcdef-1.us-east-1.elb.amazonaws.com"
USER = "U0ANNA"
HOSTILE = "<!channel> <@U0ANNA> <https://evil.example|here> & `x` ```\nrun\n``` *b* _i_"


def replied(**given: Any) -> Reply:
    return Reply(**{"text": "Done.", "deployment": None, "verb": "help", **given})


def shown(deployment: Deployment) -> dict[str, Any]:
    return resource.render(deployment, MOMENT)


def of(deployment: Deployment | dict[str, Any], seconds: int = 75, **more: Any) -> Message:
    document = shown(deployment) if isinstance(deployment, Deployment) else deployment
    return blocks.operation(document, USER, MOMENT + timedelta(seconds=seconds), **more)


def texts(message: Message) -> list[str]:
    """Every text of the message, as sent to Slack."""
    return re.findall(r'"text": "((?:[^"\\]|\\.)*)"', json.dumps(message.blocks))


def visible_text(message: Message) -> str:
    """All texts of the message, as people read them."""
    return "\n".join(json.loads(f'"{text}"') for text in texts(message))


def served() -> Deployment:
    deployment = active(ttl="8h")
    deployment.url = URL
    deployment.prediction = Prediction(
        path="/?uid=20", status=200, latency_ms=12, sample='{"titles": ["Heat"]}'
    )
    return deployment


def buttons(message: Message) -> list[tuple[str, str, str | None]]:
    actions = [block for block in message.blocks if block["type"] == "actions"]
    return [
        (each["action_id"], each["value"], each.get("style"))
        for block in actions
        for each in block["elements"]
    ]


# --- an operation ------------------------------------------------------------------------------


def test_a_running_operation_shows_progress_steps_and_user() -> None:
    deployment = deployment_of()
    for name in CONVERGE_STEPS[:4]:
        deployment.finish_step(name, MOMENT)
    deployment.begin_step("create_load_balancer", "1/converge/x", MOMENT, MOMENT)
    deployment.operation.step("create_load_balancer").status = StepStatus.RUNNING
    deployment.describe_step("create_load_balancer", "provisioning", {})
    message = of(deployment)
    assert message.text == "Deploying recommender: 18 %"
    content = visible_text(message)
    assert "`███░░░░░░░░░░░░░░░░░`  *18 %*  1 min 15 s" in content
    assert "✓ *Image and checks*\n▸ *Load balancer*" in content
    assert "✓ security groups  ▸ load balancer _(provisioning)_" in content
    assert "· Service\n· First response\n· Finish" in content
    assert f"requested by <@{USER}>" in content
    assert f"`{ID}`" in content
    assert "`recommend:1`" in content


def test_a_prediction_is_shown_with_its_method() -> None:
    deployment = active(smoke_test={"path": "/predict", "method": "POST", "body": {"uid": 20}})
    deployment.prediction = Prediction(path="/predict", status=200, latency_ms=12, sample="{}")
    assert "`POST /predict` returned 200 in 12 ms:" in visible_text(of(deployment))


def test_a_success_shows_url_prediction_price_and_expiry() -> None:
    message = of(served())
    content = visible_text(message)
    assert message.text == "Deployed recommender"
    assert f"*<{URL}>*" in content
    assert "`GET /?uid=20` returned 200 in 12 ms:" in content
    assert '```\n{"titles": ["Heat"]}\n```' in content
    assert "$0.0400/h" in content
    assert re.search(
        r"expires <!date\^\d+\^\{date_short_pretty\} \{time\}\|2026-11-24 17:30 UTC>", content
    )
    assert buttons(message) == []


def test_a_failure_shows_code_message_hint_step_last_log_lines_and_retry() -> None:
    deployment = failed()
    assert deployment.failure
    deployment.failure.evidence = {"log_lines": [f"line {n}" for n in range(20)]}
    content = visible_text(of(deployment))
    assert "Deploy failed: recommender" in content
    assert (
        "`IMAGE_NOT_FOUND` in `resolve_image`\n> it is not there\n*What to do:* push it" in content
    )
    assert "line 19" in content
    assert "line 9\n" not in content
    status = visible_text(blocks.reply(replied(verb="status", deployment=shown(deployment))))
    for each in (content, status):
        assert "To retry with the same image and settings: `/slipway retry recommender`." in each
        assert "To deploy again with other settings: `/slipway update recommender image=…" in each
    assert buttons(of(deployment)) == [("retry", ID, "primary")]


def test_a_hint_says_below_if_the_log_lines_follow() -> None:
    for deployment in (failed(), tearing_down_failed_create()):
        assert deployment.failure
        deployment.failure.hint = f"Read the last log lines {IN_EVIDENCE}. Run it."
        deployment.failure.evidence = {"log_lines": ["the last words"]}
        status = blocks.reply(replied(verb="status", deployment=shown(deployment)))
        for content in (visible_text(of(deployment)), visible_text(status)):
            assert "Read the last log lines below. Run it." in content
            assert content.index("below") < content.index("the last words")


def test_a_sample_that_is_cut_says_so() -> None:
    deployment = served()
    assert deployment.prediction
    deployment.prediction.sample = "ä" * (SAMPLE_BYTES // 2)
    assert "ä…\n```" in visible_text(of(deployment))


def test_a_failure_without_a_button_during_the_cleanup() -> None:
    message = of(tearing_down_failed_create())
    assert message.text == "Deploy failed: recommender, cleaning up: 53 % of all steps"
    assert "*53 %* of all steps  1 min" in visible_text(message)
    status = blocks.reply(replied(verb="status", deployment=shown(tearing_down_failed_create())))
    assert "*53 %* of all steps  Deploy failed" in visible_text(status)
    assert "push it" in visible_text(message)
    assert "· Remove service" in visible_text(message)
    assert buttons(message) == []


def test_a_rollback_does_not_look_like_a_success() -> None:
    deployment = rolling_back(MOMENT)
    deployment.url = URL
    assert of(deployment).text.startswith("Update failed: recommender, rolling back")
    assert "· Rollback: Service" in visible_text(of(deployment))
    deployment.activate(MOMENT, 0.04)
    message = of(deployment)
    assert message.text == "Update failed: recommender, rolled back"
    assert "it is not there" in visible_text(message)
    assert f"The previous version serves at <{URL}>" in visible_text(message)
    assert buttons(message) == []


def test_a_delete_ends_with_its_receipt() -> None:
    deployment = active()
    kinds = ("load_balancer", "security_group", "security_group", "cluster")
    for n, kind in enumerate(kinds):
        deployment.record_resource(Resource(kind=kind, name=f"r{n}"), MOMENT)
    deployment.delete(MOMENT)
    deployment.settle([], MOMENT)
    deployment.end_torn_down(MOMENT)
    content = visible_text(of(deployment))
    assert "Deleted recommender" in content
    assert "*4 resources verified gone.* Total cost: $0.00." in content
    assert "load balancer, 2 security groups, cluster" in content


def test_a_failed_delete_lists_its_leftovers_and_can_be_retried() -> None:
    deployment = in_status(Status.DELETE_FAILED)
    left = [Leftover(kind="security_group", name=f"sg-{n}", reason="in use") for n in range(9)]
    deployment.leftovers = left
    message = of(deployment)
    assert "*9 resources not deleted:*\n• `sg-0` (security group): in use" in visible_text(message)
    assert "… and 3 more" in visible_text(message)
    assert buttons(message) == [("retry", ID, "primary")]


def test_a_pause_says_what_the_url_returns() -> None:
    deployment = in_status(Status.PAUSED)
    deployment.url = URL
    assert f"No tasks run. <{URL}> returns 503 with code `PAUSED` until you resume" in visible_text(
        of(deployment)
    )


def test_a_superseded_operation_names_the_newer_one() -> None:
    message = of(deployment_of(), superseded_by="delete")
    assert message.text == "Deploying recommender (superseded by delete)"


def test_steps_of_a_newer_version_are_shown_too() -> None:
    document = shown(deployment_of())
    document["operation"]["steps"].append(
        {"name": "polish", "status": "running", "message": "", "attempts": 1}
    )
    assert "▸ *Others*  ▸ polish" in visible_text(of(document))


def test_many_waiting_steps_fit() -> None:
    document = shown(deployment_of())
    document["operation"]["steps"] = [
        {"name": f"{name}_{n}", "status": "running", "message": "&" * 500}
        for n in range(16)
        for name in CONVERGE_STEPS
    ]
    message = of(document)
    check(message)
    assert "▸ resolve image 0" in visible_text(message)


def test_many_long_leftovers_fit() -> None:
    document = shown(in_status(Status.DELETE_FAILED))
    left = {"kind": "network_interface", "name": "&" * 500, "reason": "<" * 500}
    document["leftovers"] = [left] * 40
    message = of(document)
    check(message)
    assert "… and 34 more" in visible_text(message)


@pytest.mark.parametrize(("percent", "full"), [(0, 0), (4, 0), (5, 1), (99, 19), (100, 20)])
def test_the_bar_is_full_at_a_hundred_only(percent: int, full: int) -> None:
    assert progress.bar(percent).count("█") == full
    assert len(progress.bar(percent)) == 22


# --- the others --------------------------------------------------------------------------------


def test_the_question_before_a_delete_shows_url_and_cost() -> None:
    message = blocks.confirm_delete(shown(served()))
    assert message.text == "Delete recommender?"
    assert f"<{URL}> will stop working. Cost: $0.0400 per hour, $0.00 so far." in visible_text(
        message
    )
    assert buttons(message) == [("delete", ID, "danger"), ("cancel", ID, None)]
    nothing = visible_text(blocks.confirm_delete(shown(failed())))
    assert "*Delete recommender?* Cost: $0.00 so far." in nothing


def test_a_notice_of_an_expiry_says_when_and_how_to_keep_it() -> None:
    content = visible_text(blocks.expiring(shown(served())))
    assert "recommender expires soon" in content
    assert "`/slipway extend recommender 8h`" in content


def test_a_status_shows_one_deployment() -> None:
    content = visible_text(blocks.reply(replied(verb="status", deployment=shown(served()))))
    assert f"✓ *recommender*  `ACTIVE`  <{URL}>  $0.0400/h" in content
    running = visible_text(blocks.reply(replied(verb="status", deployment=shown(deployment_of()))))
    assert "▸ *recommender*  `CREATING`" in running
    assert "*0 %*  Deploying recommender" in running


def test_a_list_has_a_line_for_each_deployment() -> None:
    some = [shown(served()), shown(failed()), shown(in_status(Status.PAUSED))]
    message = blocks.reply(replied(verb="list", deployments=some))
    assert message.text == "3 deployments"
    assert [line[0] for line in visible_text(message).splitlines()] == ["✓", "✗", "‖"]


def test_a_list_of_hundreds_stays_within_the_limits() -> None:
    message = blocks.reply(replied(verb="list", deployments=[shown(served())] * 300))
    assert refusal_of({"text": message.text, "blocks": message.blocks}) is None
    assert "… and 200 more" in visible_text(message)


@pytest.mark.parametrize("deployments", [[], None])
def test_an_empty_list_shows_the_text(deployments: list[dict[str, Any]] | None) -> None:
    empty = replied(text="No deployments.", verb="list", deployments=deployments)
    assert visible_text(blocks.reply(empty)) == "No deployments."


def test_logs_are_the_newest_that_fit() -> None:
    lines = [
        {"at": "2026-11-24T09:30:00.125Z", "task": "t", "message": f"{n} {'x' * 50}"}
        for n in range(500)
    ]
    content = visible_text(
        blocks.reply(replied(verb="logs", lines=lines, deployment=shown(served())))
    )
    assert "*Logs of recommender*" in content
    assert "09:30:00 499 xx" in content
    assert "09:30:00 0 xx" not in content
    assert len(re.findall("09:30:00", content)) == 46


def test_one_endless_line_is_cut() -> None:
    line = {"at": "2026-11-24T09:30:00.125Z", "task": "t", "message": "<" * 100_000}
    message = blocks.reply(replied(verb="logs", lines=[line]))
    assert refusal_of({"text": message.text, "blocks": message.blocks}) is None
    assert "…\n```" in visible_text(message)


def test_a_refusal_shows_its_text() -> None:
    reply = replied(
        text="No deployment <x>.", verb="status", refused=True, deployment=shown(failed())
    )
    assert visible_text(blocks.reply(reply)) == "No deployment &lt;x&gt;."


def test_a_long_text_is_split_between_lines() -> None:
    text = "\n".join(f"{n} {'y' * 90}" for n in range(60))
    message = blocks.reply(replied(text=text))
    assert len(message.blocks) == 2
    assert visible_text(message) == text


# --- text from outside -------------------------------------------------------------------------


def hostile() -> dict[str, Any]:
    """A deployment in which every text from outside is hostile."""
    deployment = served()
    deployment.image.reference = HOSTILE
    deployment.failure = Failure(
        code="INTERNAL",
        step="resolve_image",
        message=HOSTILE,
        hint=HOSTILE,
        evidence={"log_lines": [HOSTILE, "`" * 7, "``\x00`"]},
    )
    deployment.prediction = Prediction(path=HOSTILE, status=200, latency_ms=1, sample=HOSTILE)
    deployment.leftovers = [Leftover(kind="cluster", name=HOSTILE, reason=HOSTILE)]
    deployment.operation.steps[0].status = StepStatus.RUNNING
    deployment.operation.steps[0].message = HOSTILE
    return shown(deployment)


@pytest.mark.parametrize("status", ["running", "succeeded", "failed", "rolled_back"])
@pytest.mark.parametrize("asked_by", [USER, HOSTILE, "<!here>"])
def test_no_text_from_outside_mentions_links_or_breaks_out(status: str, asked_by: str) -> None:
    document = hostile()
    document["operation"]["status"] = status
    if status == "failed":
        document["status"] = "FAILED"
    message = blocks.operation(document, asked_by, MOMENT)
    content = visible_text(message)
    for bracket in re.findall(r"<[^>]*>", content):
        assert bracket.startswith(("<http://recommender", f"<@{USER}>", "<!date^"))
    for text in texts(message):
        assert json.loads(f'"{text}"').count("```") in (0, 2)


def test_logs_cannot_break_out_of_their_block() -> None:
    lines = [{"at": "2026-11-24T09:30:00.125Z", "task": "t", "message": HOSTILE}]
    content = visible_text(blocks.reply(replied(verb="logs", lines=lines)))
    assert content.count("```") == 2
    assert "&lt;!channel&gt;" in content


def test_a_url_that_could_leave_its_link_is_text() -> None:
    for url in ("javascript:alert(1)", "http://a b", "http://a|b", "http://a>b"):
        assert not mrkdwn.link(url).startswith("<")


def test_a_cut_never_splits_an_entity() -> None:
    for most in range(1, 40):
        cut = mrkdwn.escaped("&<>" * 10, most)
        assert len(cut) <= most
        assert re.fullmatch(r"(&amp;|&lt;|&gt;)*…", cut)


# --- any deployment ----------------------------------------------------------------------------

TEXT = st.text(max_size=40) | st.sampled_from(
    ["&" * 5000, "`" * 900, "x" * 9000, "\n" * 400, HOSTILE]
)
STEP = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*CONVERGE_STEPS, *DESTROY_STEPS, "rollback_finish"]) | TEXT,
        "status": st.sampled_from(list(progress.MARKS)),
        "message": TEXT,
    }
)
NUMBER = st.integers(0, 10**6)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document of the API, with arbitrary texts from outside."""
    document = shown(active(ttl="8h"))
    some = st.lists(
        st.fixed_dictionaries({"kind": TEXT, "name": TEXT, "reason": TEXT}), max_size=60
    )
    gone = st.fixed_dictionaries({"kind": TEXT, "verified_gone": st.booleans()})
    failure = st.fixed_dictionaries(
        {
            "code": TEXT,
            "step": TEXT,
            "message": TEXT,
            "hint": TEXT,
            "evidence": st.fixed_dictionaries(
                {}, optional={"log_lines": st.lists(TEXT, max_size=30) | TEXT | st.none()}
            ),
        }
    )
    prediction = st.fixed_dictionaries(
        {"path": TEXT, "status": NUMBER, "latency_ms": NUMBER, "sample": TEXT}
    )
    document |= {
        "status": draw(st.sampled_from(list(Status))),
        "url": draw(st.none() | st.just(URL) | TEXT | st.just("http://" + "x" * 1990)),
        "image": {"reference": draw(TEXT)},
        "failure": draw(st.none() | failure),
        "prediction": draw(st.none() | prediction),
        "leftovers": draw(some),
        "resources": draw(st.lists(gone, max_size=60)),
        "expires_at": draw(st.none() | st.just("2026-11-24T17:30:00.000Z")),
        "cost": {"usd_per_hour": draw(st.floats(0, 1e6)), "accrued_usd": draw(st.floats(0, 1e9))},
    }
    document["operation"] |= {
        "kind": draw(st.sampled_from([*VERBS, "another"])),
        "status": draw(
            st.sampled_from(["running", "succeeded", "failed", "rolled_back", "cancelled"])
        ),
        "percent": draw(st.integers(0, 100)),
        "steps": draw(st.lists(STEP, min_size=1, max_size=60)),
    }
    return document


def check(message: Message) -> None:
    """Slack would accept the message."""
    assert refusal_of({"text": message.text, "blocks": message.blocks}) is None
    json.dumps(message.blocks, ensure_ascii=False).encode()
    for text in texts(message):
        assert json.loads(f'"{text}"').strip()


ANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@ANY
@given(documents(), st.none() | TEXT, st.integers(-100, 10**7))
def test_any_deployment_gives_valid_messages(
    document: dict[str, Any], asked_by: str | None, seconds: int
) -> None:
    check(of(document, seconds))
    check(blocks.operation(document, asked_by, MOMENT))
    check(of(document, superseded_by="delete"))
    check(blocks.confirm_delete(document))
    check(blocks.reply(replied(verb="status", deployment=document)))
    check(blocks.reply(replied(verb="list", deployments=[document] * 7)))
    if document["expires_at"]:
        check(blocks.expiring(document))


@ANY
@given(TEXT | st.text(max_size=20_000), st.lists(TEXT, max_size=40))
def test_any_text_and_any_log_give_valid_messages(text: str, logged: list[str]) -> None:
    lines = [{"at": "2026-11-24T09:30:00.125Z", "task": "t", "message": m} for m in logged]
    check(blocks.reply(replied(text=text)))
    check(blocks.reply(replied(text=text, refused=True)))
    check(blocks.reply(replied(text=text, verb="logs", lines=lines)))


def test_the_content_does_not_depend_on_the_time() -> None:
    deployment = deployment_of()
    before = blocks.content(shown(deployment), USER)
    assert before == blocks.content(resource.render(deployment, MOMENT + timedelta(hours=1)), USER)
    deployment.fail("preflight", failure_of("preflight"), MOMENT)
    assert before != blocks.content(shown(deployment), USER)
