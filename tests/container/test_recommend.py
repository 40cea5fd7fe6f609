"""recommend.py as a separate process, over real HTTP."""

import csv
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.container.conftest import Trained
from tests.container.service import (
    CONTAINER,
    HOST,
    PATIENCE,
    Answer,
    Service,
    ask,
    connection,
    read,
    running,
)

# Delays a prediction until a line arrives on standard input.
HOLD = """
import sys
import recommend
predict = recommend.Recommender.recommend
def held(self, uid, k):
    recommend.log("holding")
    sys.stdin.readline()
    return predict(self, uid, k)
recommend.Recommender.recommend = held
sys.exit(recommend.main())
"""


def rated_by(uid: int) -> set[int]:
    with gzip.open(CONTAINER / "data" / "ratings.csv.gz", "rt") as file:
        return {int(row["movieId"]) for row in csv.DictReader(file) if int(row["userId"]) == uid}


def test_known_user_gets_ten_movies_best_first(service: Service) -> None:
    answer = service.get("/?uid=20")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body.keys() == {"success", "uid", "cold_start", "recommendations"}
    assert answer.body["success"] is True
    assert answer.body["uid"] == 20
    assert answer.body["cold_start"] is False
    movies = answer.body["recommendations"]
    assert len({movie["movie_id"] for movie in movies}) == 10
    for movie in movies:
        assert movie.keys() == {"movie_id", "title", "year", "score"}
        assert 0.5 <= movie["score"] <= 5.0
    scores = [movie["score"] for movie in movies]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("uid", [1, 20, 547, 671])
def test_no_rated_movie_is_recommended(service: Service, uid: int) -> None:
    movies = service.get(f"/?uid={uid}&k=100").body["recommendations"]
    assert len(movies) == 100
    assert not {movie["movie_id"] for movie in movies} & rated_by(uid)


def test_answers_are_personal_and_repeatable(service: Service) -> None:
    assert service.get("/?uid=20").body == service.get("/?uid=20").body
    first, second = (service.get(f"/?uid={uid}").body["recommendations"] for uid in (15, 20))
    assert first != second


def test_a_shorter_list_is_the_start_of_a_longer_one(service: Service) -> None:
    few = service.get("/?uid=20&k=1").body["recommendations"]
    many = service.get("/?uid=20&k=100").body["recommendations"]
    assert few == many[:1]


@pytest.mark.parametrize("uid", [0, 672, 2**31 - 1])
def test_unknown_user_gets_the_popular_movies(service: Service, uid: int) -> None:
    answer = service.get(f"/?uid={uid}")
    assert answer.status == 200
    assert answer.body["cold_start"] is True
    assert answer.body["uid"] == uid
    titles = [movie["title"] for movie in answer.body["recommendations"]]
    assert len(titles) == 10
    assert "Shawshank Redemption, The" in titles[:3]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "uid"),
        ("k=5", "uid"),
        ("uid=", "uid"),
        ("uid=twenty", "uid"),
        ("uid=-1", "uid"),
        ("uid=1.5", "uid"),
        ("uid=+20", "uid"),
        ("uid=2e1", "uid"),
        ("uid=%EF%BC%92%EF%BC%90", "uid"),  # full-width digits
        ("uid=20%0A", "uid"),
        ("uid=2147483648", "uid"),
        ("uid=" + "9" * 5000, "uid"),
        ("uid=20&uid=20", "uid"),
        ("uid=20&k=", "k"),
        ("uid=20&k=0", "k"),
        ("uid=20&k=101", "k"),
        ("uid=20&k=ten", "k"),
        ("uid=20&k=-5", "k"),
        ("uid=20&k=5&k=5", "k"),
    ],
)
def test_bad_parameter_is_named(service: Service, query: str, field: str) -> None:
    answer = service.get(f"/?{query}")
    assert answer.status == 400
    assert answer.body["success"] is False
    assert answer.body["error"]["field"] == field
    assert field in answer.body["error"]["message"]


def test_health(service: Service) -> None:
    answer = service.get("/health")
    assert answer.status == 200
    assert answer.body["success"] is True


@pytest.mark.parametrize("target", ["/nothing", "/health/", "/x?uid=20"])
def test_other_paths_are_not_found(service: Service, target: str) -> None:
    answer = service.get(target)
    assert answer.status == 404
    assert answer.body["success"] is False


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused_and_the_connection_stays(service: Service, method: str) -> None:
    with connection(service) as client:
        answer = ask(client, "/?uid=20", method, body='{"uid": 20}')
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
        assert answer.body["success"] is False
        assert ask(client, "/?uid=20").status == 200


@pytest.mark.parametrize("target", ["/?uid=20", "/?uid=x", "/health", "/nothing"])
def test_head_is_get_without_body(service: Service, target: str) -> None:
    with connection(service) as client:
        got = ask(client, target)
        head = ask(client, target, "HEAD")
        assert ask(client, target).body == got.body  # the connection is still in sync
    assert head.status == got.status
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert head.body is None


def test_malformed_http_is_answered_in_json(service: Service) -> None:
    with socket.create_connection((HOST, service.port), PATIENCE) as raw:
        raw.sendall(b"not http at all\r\n\r\n")
        head, _, body = raw.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["success"] is False


def test_every_response_names_its_task(service: Service) -> None:
    for target in ("/?uid=20", "/?uid=x", "/health", "/nothing"):
        assert service.get(target).headers["X-Served-By"] == "task-1"


def test_without_task_id_the_process_names_itself(trained: Trained) -> None:
    with running(trained.model, TASK_ID="") as service:
        expected = f"{socket.gethostname()}:{service.process.pid}"
        assert service.get("/health").headers["X-Served-By"] == expected


def test_each_request_is_one_log_line(trained: Trained) -> None:
    with running(trained.model) as service:
        service.get("/?uid=20&k=5")
        first = service.wait_for("request")  # the connection's thread writes it after the response
        service.get("/?uid=%0Ax")
        second = service.wait_for("request")
    assert first["method"] == "GET"
    assert first["target"] == "/?uid=20&k=5"
    assert first["status"] == 200
    assert second["status"] == 400


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_idle_connections_and_exits_zero(
    trained: Trained, number: signal.Signals
) -> None:
    with running(trained.model) as service, connection(service) as idle:
        assert ask(idle, "/health").status == 200
        service.terminate(number)
        assert service.wait_for("stop")["connections_cut"] == 0
        assert service.process.wait(PATIENCE) == 0
        with pytest.raises(ConnectionRefusedError):
            service.get("/health")


def test_sigterm_finishes_the_request_in_flight(trained: Trained) -> None:
    with running(trained.model, ["-c", HOLD]) as service, connection(service) as client:
        client.request("GET", "/?uid=20&k=3")
        service.wait_for("holding")
        service.terminate()
        service.wait_for("stopping")
        assert service.process.stdin is not None
        service.process.stdin.write("go on\n")
        service.process.stdin.flush()
        answer = read(client.getresponse())
        assert answer.status == 200
        assert len(answer.body["recommendations"]) == 3
        assert service.wait_for("stop")["connections_cut"] == 0
        assert service.process.wait(PATIENCE) == 0


def ask_until_refused(service: Service, answers: list[Answer]) -> None:
    """Send requests over keep-alive connections until the service accepts no more."""
    while True:
        with connection(service) as client:
            try:
                client.connect()
            except ConnectionError:
                return
            with suppress(ConnectionError):  # the connection was closed between two requests
                while True:
                    answers.append(ask(client, "/?uid=20&k=100"))


def test_sigterm_under_load_cuts_no_response(trained: Trained) -> None:
    answers: list[Answer] = []
    with running(trained.model) as service, ThreadPoolExecutor() as clients:
        running_clients = [clients.submit(ask_until_refused, service, answers) for _ in range(4)]
        service.wait_for("request")
        service.terminate()
        for client in running_clients:
            client.result(PATIENCE)  # raises the error of a cut response, e.g. IncompleteRead
        assert service.wait_for("stop")["connections_cut"] == 0
        assert service.process.wait(PATIENCE) == 0
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MODEL", "missing.npz", "Run train.py"),
        ("MODEL", str(CONTAINER / "train.py"), "Run train.py"),
        ("PORT", "http", "PORT"),
        ("PORT", "65536", "PORT"),
        ("HOST", "192.0.2.1", "cannot listen on 192.0.2.1"),  # a documentation address
    ],
)
def test_a_wrong_setting_is_reported_at_the_start(
    trained: Trained, tmp_path: Path, name: str, value: str, reason: str
) -> None:
    settings = {"MODEL": str(trained.model), "HOST": HOST, "PORT": "0"} | {name: value}
    done = subprocess.run(
        [sys.executable, str(CONTAINER / "recommend.py")],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    line = json.loads(done.stdout)
    assert line["event"] == "error"
    assert reason in line["message"]
    assert done.stderr == ""
