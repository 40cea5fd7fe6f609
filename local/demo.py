"""`make demo`: the sample model from an image to a URL and back to nothing, nothing believed."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from local.api import Api, ApiError, predict
from local.inspection import leftovers, transitions
from local.progress import Progress
from local.stack import Stack, StackError, running

UID = 20
OPERATION_SECONDS = 180.0
SEEN_SECONDS = 30.0


class Demo:
    """One walk through the life of a deployment.

    Attributes:
        failures: what was not as it should be, one sentence each.
    """

    def __init__(self, stack: Stack) -> None:
        self.failures: list[str] = []
        self._stack = stack
        self._api = Api(stack.api_url, stack.token)
        self._progress = Progress(sys.stdout)
        self._id = ""

    def run(self) -> None:
        """Deploy, predict, scale, delete, and look whether anything is left.

        Raises:
            ApiError: a call failed, so that there is no point in going on.
        """
        deployment = self._deploy()
        if deployment["status"] != "ACTIVE":
            self._expect(
                False, f"the deployment is {deployment['status']}: {deployment['failure']}"
            )
        else:
            self._predict(deployment["url"])
            self._scale(deployment["url"])
        self._delete()
        self._count_transitions()

    def _deploy(self) -> dict[str, Any]:
        spec = {
            "name": "recommender",
            "image": self._stack.sample_image,
            "health_check": {"path": "/health"},
            "smoke_test": {"path": f"/?uid={UID}", "json_has": ["recommendations"]},
        }
        accepted = self._api.call("POST", "/deployments", spec)
        self._id = accepted["id"]
        print(f"\nPOST /deployments: {self._id} of {self._stack.sample_image}")
        return self._follow()

    def _predict(self, url: str) -> None:
        answer, _ = predict(f"{url}/?uid={UID}")
        print(f"\nGET {url}/?uid={UID}")
        for place, movie in enumerate(answer["recommendations"], 1):
            year = f"({movie['year']})" if movie.get("year") else ""
            print(f"  {place:>2}  {movie['score']:4.2f}  {movie['title']} {year}".rstrip())
        self._expect(bool(answer["recommendations"]), "the prediction is empty")

    def _scale(self, url: str) -> None:
        self._api.call("PATCH", f"/deployments/{self._id}", {"count": 2})
        print(f"\nPATCH /deployments/{self._id}: count 2")
        deployment = self._follow()
        self._expect(
            deployment["operation"]["status"] == "succeeded",
            f"scaling to 2 ended as {deployment['operation']['status']}: {deployment['failure']}",
        )
        tasks = self._api.call("GET", f"/deployments/{self._id}/tasks")["tasks"]
        live = [task["id"] for task in tasks if task["status"] == "RUNNING"]
        self._expect(len(live) == 2, f"/tasks tells of {len(live)} running tasks, not 2: {tasks}")
        seen: set[str] = set()
        deadline = time.monotonic() + SEEN_SECONDS
        while len(seen) < 2 and time.monotonic() < deadline:
            seen.add(predict(f"{url}/?uid={UID}")[1])
        self._expect(len(seen) == 2, f"answers came from {sorted(seen)}, not from two tasks")
        print(f"  answers come from the tasks {', '.join(sorted(seen))}")

    def _delete(self) -> None:
        self._api.call("DELETE", f"/deployments/{self._id}")
        print(f"\nDELETE /deployments/{self._id}")
        deployment = self._follow()
        self._expect(deployment["status"] == "DELETED", f"it is {deployment['status']}")
        print("\nThe receipt:")
        for resource in deployment["resources"]:
            gone = "gone" if resource["verified_gone"] else "NOT VERIFIED GONE"
            print(f"  {resource['kind']:<18} {resource['name']:<38} {gone}")
            self._expect(
                resource["verified_gone"], f"{resource['kind']} {resource['name']} may be left"
            )
        self._expect(not deployment["leftovers"], f"leftovers: {deployment['leftovers']}")
        left = leftovers(self._stack.aws_endpoint_url, self._id)
        self._expect(not left, f"AWS itself still has {', '.join(left)}")
        print(
            f"  leftovers: {deployment['leftovers'] or 'none'}; asked AWS itself: {left or 'none'}"
        )

    def _count_transitions(self) -> None:
        counted = transitions(self._stack.aws_endpoint_url, self._id)
        self._expect(bool(counted), "there is no execution of the state machine")
        print("\nState transitions:", ", ".join(f"{name} {n}" for name, n in counted.items()))

    def _follow(self) -> dict[str, Any]:
        self._progress.next()
        return self._api.follow(self._id, OPERATION_SECONDS, self._progress.show)

    def _expect(self, seen: bool, otherwise: str) -> None:
        if not seen:
            self.failures.append(otherwise)


def demo() -> int:
    """Run the demo on a stack of its own; return 0 when everything was seen to be true."""
    started = time.monotonic()
    try:
        failures = _run(Path(tempfile.mkdtemp(prefix="slipway-demo-")))
    except KeyboardInterrupt:
        print("\nInterrupted; everything is cleaned up.", file=sys.stderr)
        return 130
    print(f"Took {time.monotonic() - started:.1f} s, start and end of the stack included.")
    for failure in failures:
        print(f"NOT TRUE: {failure}", file=sys.stderr)
    print("The demo failed." if failures else "All of it was seen to be true.")
    return 1 if failures else 0


def _run(state: Path) -> list[str]:
    try:
        with running(state, say=print) as stack:
            walk = Demo(stack)
            try:
                walk.run()
            except (ApiError, KeyError) as error:
                return [*walk.failures, f"{type(error).__name__}: {error}"]
            return walk.failures
    except StackError as error:
        return [str(error)]
