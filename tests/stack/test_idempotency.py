"""`Idempotency-Key` over HTTP, with the functions' own roles and concurrent requests."""

import threading

from tests.stack.client import Answer, Client, wait_until


def test_a_repeated_create_creates_one_deployment(api: Client) -> None:
    body, answers = api.spec("sent-often"), []

    def send() -> Answer:
        return api.send("POST", "/deployments", body, Idempotency_Key="sent-often-1")

    threads = [threading.Thread(target=lambda: answers.append(send())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        assert answer.status in (202, 409), answer.text
        assert answer.status == 202 or answer.json["code"] == "IDEMPOTENCY_KEY_IN_USE", answer.text

    first = next(answer for answer in answers if answer.status == 202)
    again = wait_until(lambda: (a := send()).status == 202 and a, "the kept answer")
    assert again.text == first.text
    for name in ("Location", "ETag", "Retry-After"):
        assert again.headers[name] == first.headers[name]

    other = api.send("POST", "/deployments", api.spec("another"), Idempotency_Key="sent-often-1")
    assert (other.status, other.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    found = api.send("GET", "/deployments?name=sent-often").json["deployments"]
    assert [deployment["id"] for deployment in found] == [first.json["id"]]
    assert found[0]["generation"] == 1
    assert api.delete(first.json["id"])["status"] == "DELETED"


def test_a_refused_create_can_be_fixed_and_sent_with_the_same_key(api: Client) -> None:
    refused = api.send("POST", "/deployments", {"name": "fixed"}, Idempotency_Key="fixed-1")
    assert (refused.status, refused.json["code"]) == (422, "VALIDATION_FAILED")

    accepted = api.send("POST", "/deployments", api.spec("fixed"), Idempotency_Key="fixed-1")
    assert accepted.status == 202, accepted.text
    assert api.delete(accepted.json["id"])["status"] == "DELETED"
