"""A continuous caller sees no failed request.

This holds during a good update, during an update that cannot serve, and during its rollback.
"""

from __future__ import annotations

from tests.stack.client import Client, calling_continuously, predict
from tests.stack.harsh.simulated import Simulated
from tests.support.summary import LINES

PATIENT = {"path": "/health", "grace": 300}
FEWEST = 20


def tag(simulated: Simulated, name: str) -> str:
    """Push the sample's image under another tag."""
    return f"{simulated.stack.sample_image.rsplit(':', 1)[0]}:{name}"


def test_good_and_bad_updates_fail_no_request(harsh: Client, simulated: Simulated) -> None:
    made = harsh.deploy("steady", health_check=PATIENT)
    assert made["status"] == "ACTIVE", made["failure"]

    with calling_continuously(made["url"]) as caller:
        good = harsh.change(made["id"], image=tag(simulated, "2"))
        after_good = caller.answered
        bad = harsh.change(made["id"], image=tag(simulated, "crash"))
        after_bad = caller.answered

    LINES.append(
        f"{after_bad} requests sent in a good update, a bad one and its rollback: "
        f"{len(caller.failed)} failed"
    )
    assert (good["status"], good["operation"]["status"]) == ("ACTIVE", "succeeded")
    assert (bad["status"], bad["operation"]["status"]) == ("ACTIVE", "rolled_back")
    assert bad["failure"]["code"] == "CONTAINER_EXITED"
    assert bad["failure"]["evidence"]["exit_code"] == 1
    assert (bad["spec"], bad["image"]) == (good["spec"], good["image"])
    assert caller.failed == []
    assert after_good > FEWEST and after_bad - after_good > FEWEST
    assert len(caller.served_by) >= 3  # the create's, the good update's and the rollback's
    assert predict(made["url"]).status == 200
    assert harsh.delete(made["id"])["status"] == "DELETED"
