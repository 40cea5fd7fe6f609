import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.platform.settings import settings
from chalicelib.resources import pause_rule
from chalicelib.workflow import smoke_test
from chalicelib.workflow.step import Outcome
from tests.support.builders import ID, MOMENT, Clock, deployment_of, without_tasks
from tests.unit.workflow.conftest import World, running_task

pytestmark = pytest.mark.usefixtures("world")


@dataclass(frozen=True)
class Received:
    """A request that reached the container."""

    method: str
    headers: Message
    body: bytes


@dataclass
class Model:
    """A container that returns the given (status, body) pairs, and then the last one forever."""

    answers: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, b'{"items": [1]}')])
    asked: list[str] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    said = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said.asked.append(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said.received.append(Received(self.command, self.headers, content))
            status, body = said.answers.pop(0) if len(said.answers) > 1 else said.answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    at(monkeypatch, f"http://127.0.0.1:{said.port}")
    yield said
    server.shutdown()
    thread.join()
    server.server_close()


def at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("LOAD_BALANCER_URL", url)
    settings.cache_clear()


def running(attempts: int = 1, **test: Any) -> Deployment:
    """A deployment whose smoke test is in its n-th attempt."""
    deployment = deployment_of(smoke_test=test)
    for n in range(attempts):
        deployment.begin_step("smoke_test", f"1/converge/smoke_test/{n}", MOMENT, MOMENT)
    return deployment


def failure(deployment: Deployment) -> DeploymentFailed:
    with pytest.raises(DeploymentFailed) as raised:
        smoke_test.run(deployment)
    assert raised.value.code is FailureCode.SMOKE_TEST_FAILED
    return raised.value


def test_a_good_response_is_kept_as_the_prediction(model: Model) -> None:
    outcome = smoke_test.run(running(path="/?uid=20", json_has=["items"]))
    assert outcome.prediction is not None
    assert (outcome.prediction.path, outcome.prediction.status) == ("/?uid=20", 200)
    assert outcome.prediction.sample == '{"items": [1]}'
    assert outcome.prediction.latency_ms >= 0
    assert model.asked == ["/?uid=20"]


def test_a_path_in_the_load_balancers_url_is_kept(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, f"http://127.0.0.1:{model.port}/lb/{{name}}")
    smoke_test.run(running(path="/health"))
    assert model.asked == ["/lb/recommender-abcdef/health"]


def test_the_sample_is_the_first_512_bytes_whatever_they_are(model: Model) -> None:
    model.answers = [(200, b"\xff" + b"a" * 5000)]
    prediction = smoke_test.run(running()).prediction
    assert prediction is not None
    assert prediction.sample == "\N{REPLACEMENT CHARACTER}" + "a" * 511


def test_another_status_fails_with_the_response_as_evidence(model: Model) -> None:
    model.answers = [(500, b"Traceback")]
    error = failure(running(attempts=5))
    assert "returned 500, expected 200-499" in error.message
    assert error.evidence["prediction"]["sample"] == "Traceback"


def test_the_spec_sets_the_expected_status(model: Model) -> None:
    model.answers = [(404, b"")]
    assert smoke_test.run(running(status=404)).prediction


def test_an_expected_503_is_a_success(model: Model) -> None:
    model.answers = [(503, b"")]
    assert smoke_test.run(running(status=503)).prediction


@pytest.mark.usefixtures("model")
def test_missing_keys_are_named() -> None:
    error = failure(running(json_has=["items", "scores", "model"]))
    assert "returned a response without the JSON key(s) scores, model." in error.message


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"\xff", b'"items"', b"[" * 100])
def test_a_response_that_is_not_a_json_object_has_no_keys(model: Model, body: bytes) -> None:
    model.answers = [(200, body)]
    assert (
        "returned a response without the JSON key(s) items."
        in failure(running(json_has=["items"])).message
    )


@pytest.mark.parametrize("status", [502, 503, 504])
def test_responses_of_the_load_balancer_itself_are_retried(model: Model, status: int) -> None:
    model.answers = [(status, b""), (200, b'{"items": []}')]
    with pytest.raises(NotReady, match=str(status)):
        smoke_test.run(running(attempts=1))
    assert smoke_test.run(running(attempts=2)).prediction


def test_a_503_that_stays_is_a_failure(model: Model) -> None:
    model.answers = [(503, b"")]
    with pytest.raises(NotReady):
        smoke_test.run(running(attempts=4))
    assert "returned 503" in failure(running(attempts=5)).message


# --- one cold answer decides nothing ---------------------------------------------------------


@pytest.fixture
def running_since(world: World, stopped_clock: Clock) -> Clock:
    """Two tasks run, the newer one since now. `health_check.grace` is 60 s."""
    older = stopped_clock.moment - timedelta(minutes=5)
    world.tasks = [
        {**running_task(1), "startedAt": stopped_clock.moment},
        {**running_task(2), "startedAt": older},
    ]
    return stopped_clock


@pytest.mark.parametrize("status", [500, 501, 503, 599])
def test_a_server_error_is_retried_until_grace_has_passed_since_the_newest_task_ran(
    model: Model, running_since: Clock, status: int
) -> None:
    model.answers = [(status, b"model is loading")]
    running_since.advance(seconds=59)
    with pytest.raises(NotReady, match=f"returned {status}"):
        smoke_test.run(running(attempts=40))
    running_since.advance(seconds=1)
    assert f"returned {status}" in failure(running(attempts=41)).message


def test_a_server_error_is_retried_a_few_times_even_after_grace(
    model: Model, running_since: Clock
) -> None:
    model.answers = [(503, b"model is loading"), (200, b'{"items": []}')]
    running_since.advance(hours=1)
    with pytest.raises(NotReady):
        smoke_test.run(running(attempts=1))
    assert smoke_test.run(running(attempts=2)).prediction


@pytest.mark.parametrize("status", [301, 400, 404, 405, 422])
@pytest.mark.usefixtures("running_since")
def test_another_unexpected_status_is_certain_at_once(model: Model, status: int) -> None:
    model.answers = [(status, b"")]
    assert f"returned {status}" in failure(running(path="/?uid=20")).message


def test_a_name_that_does_not_resolve_is_not_ready_in_the_first_minutes(
    monkeypatch: pytest.MonkeyPatch, running_since: Clock
) -> None:
    at(monkeypatch, "http://new-load-balancer.invalid")
    running_since.advance(minutes=4)
    with pytest.raises(NotReady, match="gaierror"):
        smoke_test.run(running(attempts=40))
    running_since.advance(minutes=1)
    assert "had no response" in failure(running(attempts=41)).message


def taking(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
    """Let the next requests take this long."""
    moments = iter([moment for each in seconds for moment in (100.0, 100.0 + each)])
    monkeypatch.setattr(smoke_test.time, "monotonic", lambda: next(moments))


def asked_again(deployment: Deployment) -> None:
    """Run once. The step frame keeps the evidence until the next attempt."""
    with pytest.raises(NotReady) as raised:
        smoke_test.run(deployment)
    deployment.describe_step("smoke_test", str(raised.value), raised.value.evidence)


@pytest.mark.usefixtures("model")
def test_a_slow_cold_answer_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, 0.4, 0.05)
    deployment = running(max_latency_ms=200)
    asked_again(deployment)
    outcome = smoke_test.run(deployment)
    assert outcome.prediction and outcome.prediction.latency_ms == 50
    assert outcome.message == "200 in 50 ms (first answer: 400 ms)"


@pytest.mark.usefixtures("model")
def test_a_fast_cold_answer_does_not_count_either(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, 0.05, 0.4)
    deployment = running(max_latency_ms=200)
    asked_again(deployment)
    error = failure(deployment)
    assert "took 400 ms (first answer: 50 ms), and at most 200 ms are allowed" in error.message
    assert error.evidence["prediction"]["latency_ms"] == 400


@pytest.mark.usefixtures("model")
def test_each_task_may_be_cold_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, 0.4, 0.5, 0.6, 0.7)
    deployment = running(max_latency_ms=200)
    deployment.spec = deployment.spec.model_copy(update={"count": 3})
    for _ in range(3):
        asked_again(deployment)
    assert "took 700 ms (first answer: 400 ms)" in failure(deployment).message


def test_without_a_limit_one_request_is_enough(model: Model) -> None:
    assert "first answer" not in smoke_test.run(running()).message
    assert len(model.asked) == 1


def test_a_refused_connection_is_retried_and_then_a_failure(
    monkeypatch: pytest.MonkeyPatch, running_since: Clock
) -> None:
    running_since.advance(minutes=2)
    with socket.socket() as bound:
        # Bound and not listening, so connections are refused.
        bound.bind(("127.0.0.1", 0))
        at(monkeypatch, f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(NotReady, match="ConnectionRefusedError"):
            smoke_test.run(running(attempts=20))
        running_since.advance(minutes=3)
        assert "had no response" in failure(running(attempts=21)).message


def test_a_broken_connection_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}")
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        with pytest.raises(NotReady):
            smoke_test.run(running())
        thread.join()


def test_without_tasks_the_test_is_skipped(aws_calls: list[str]) -> None:
    outcome = smoke_test.run(without_tasks())
    assert (outcome.status, aws_calls) == ("skipped", [])


def test_a_redirect_is_not_followed(model: Model) -> None:
    model.answers = [(302, b"")]
    assert "returned 302" in failure(running(path="/?uid=20")).message
    assert len(model.asked) == 1


@pytest.mark.usefixtures("model")
def test_a_successful_smoke_test_can_run_again(world: World) -> None:
    deployment = running()
    deployment.finish_step("smoke_test", MOMENT)
    deployment.begin_step("smoke_test", "1/converge/smoke_test/again", MOMENT, MOMENT)
    outcome: Outcome = smoke_test.run(deployment)
    assert outcome.prediction


# --- while it is paused --------------------------------------------------------------------

PAUSED = (503, pause_rule.body(ID).encode())


def pausing(attempts: int = 1) -> Deployment:
    deployment = running(attempts, path="/?uid=20")
    deployment.paused = True
    return deployment


def test_a_pause_is_proven_without_a_prediction(model: Model) -> None:
    model.answers = [PAUSED]
    outcome = smoke_test.run(pausing())
    assert (outcome.status, outcome.prediction) == ("succeeded", None)
    assert outcome.message == "GET /?uid=20 returned 503: the deployment is paused"
    assert model.asked == ["/?uid=20"]


@pytest.mark.parametrize("answer", [(200, b'{"items": [1]}'), (503, b"<html>")])
def test_another_response_while_paused_is_retried_and_then_a_failure(
    model: Model, answer: tuple[int, bytes]
) -> None:
    model.answers = [answer]
    with pytest.raises(NotReady, match=str(answer[0])):
        smoke_test.run(pausing(attempts=4))
    error = failure(pausing(attempts=5))
    assert f"returned {answer[0]}, not the pause response (503)" in error.message
    assert error.evidence["answer"]["status"] == answer[0]


def test_after_a_resume_the_pause_response_is_retried(model: Model) -> None:
    """Also if the model is expected to return 503."""
    model.answers = [PAUSED, (503, b"mine")]
    with pytest.raises(NotReady):
        smoke_test.run(running(attempts=1, status=503))
    assert smoke_test.run(running(attempts=2, status=503)).prediction


# --- the request -----------------------------------------------------------------------------


def test_a_post_sends_its_body_and_headers(model: Model) -> None:
    test = {"path": "/predict", "method": "POST", "headers": {"X-Key": "k"}, "body": {"uid": 20}}
    outcome = smoke_test.run(running(**test))
    assert outcome.prediction
    assert model.asked == ["/predict"]
    (received,) = model.received
    assert (received.method, received.body) == ("POST", b'{"uid":20}')
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-key"] == "k"
    assert received.headers["content-length"] == "10"
    assert received.headers["user-agent"] == "slipway-smoke-test"


def test_a_text_is_sent_as_it_is(model: Model) -> None:
    body = {"text": "1,2\n", "content_type": "text/csv"}
    smoke_test.run(running(method="PUT", body=body))
    (received,) = model.received
    assert (received.method, received.body) == ("PUT", b"1,2\n")
    assert received.headers["content-type"] == "text/csv"


def test_a_post_without_a_body_says_so(model: Model) -> None:
    smoke_test.run(running(method="POST"))
    (received,) = model.received
    assert received.headers["content-length"] == "0"
    assert "content-type" not in received.headers


def test_the_callers_headers_replace_the_defaults(model: Model) -> None:
    own = {"user-agent": "me", "content-type": "application/vnd.a+json"}
    smoke_test.run(running(method="POST", body=[], headers=own))
    (received,) = model.received
    assert received.headers.get_all("user-agent") == ["me"]
    assert received.headers.get_all("content-type") == ["application/vnd.a+json"]


def test_a_get_has_neither_body_nor_content_type(model: Model) -> None:
    smoke_test.run(running(path="/"))
    (received,) = model.received
    assert received.body == b""
    assert "content-type" not in received.headers
    assert "content-length" not in received.headers


def test_a_failure_names_the_request(model: Model) -> None:
    model.answers = [(422, b"{}")]
    error = failure(running(path="/predict", method="POST", body={}))
    assert error.message == "POST /predict returned 422, expected 200-299."


@pytest.mark.parametrize(("status", "answer"), [("200-299", 204), ("200,404", 404), (404, 404)])
def test_a_list_of_statuses_is_accepted(model: Model, status: int | str, answer: int) -> None:
    model.answers = [(answer, b"")]
    assert smoke_test.run(running(status=status)).prediction


def test_a_server_error_that_the_test_expects_is_accepted_at_once(model: Model) -> None:
    model.answers = [(503, b"")]
    assert smoke_test.run(running(status="500-599")).prediction
    assert len(model.asked) == 1


def test_pointers_look_into_the_answer(model: Model) -> None:
    model.answers = [(200, b'{"items": [{"score": null}]}')]
    assert smoke_test.run(running(json_has=["items", "/items/0/score"])).prediction
    error = failure(running(json_has=["items", "/items/1", "score"]))
    assert "without the JSON key(s) /items/1, score" in error.message


@pytest.mark.parametrize("body", [b"[" * 100_000, b"", b"\xff", b"[1]", b"null"])
def test_an_answer_without_members_fails_json_has(model: Model, body: bytes) -> None:
    model.answers = [(200, body)]
    assert "without the JSON key(s) items" in failure(running(json_has=["items"])).message


def test_a_default_test_says_that_no_prediction_was_proven(model: Model) -> None:
    model.answers = [(404, b"")]
    assert "No prediction was proven" in smoke_test.run(running()).message
    model.answers = [(200, b"")]
    assert "No prediction" not in smoke_test.run(running(path="/")).message
