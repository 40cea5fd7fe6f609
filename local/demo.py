"""`make demo` deploys the sample model, calls it, scales it, deletes it, and checks every step."""

import json
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
        failures: one sentence for each check that failed.
    """

    def __init__(self, stack: Stack) -> None:
        self.failures: list[str] = []
        self._stack = stack
        self._api = Api(stack.api_url, stack.token)
        self._progress = Progress(sys.stdout)
        self._id = ""

    def run(self) -> None:
        """Deploy, predict, scale and delete; check that no resource remains.

        Raises:
            ApiError: a call failed, so the demo cannot continue.
        """
        deployment = self._deploy()
        if deployment["status"] != "ACTIVE":
            self._expect(
                False,
                f"the deployment is {deployment['status']}, not ACTIVE: {deployment['failure']}",
            )
        else:
            self._predict(deployment["url"])
            self._scale(deployment["url"])
        self._delete()
        self._count_transitions()

    def _deploy(self) -> dict[str, Any]:
        spec = {"name": "recommender", "image": self._stack.sample_image}
        accepted = self._api.call("POST", "/deployments", spec)
        self._id = accepted["id"]
        print(f"\nPOST /deployments {json.dumps(spec)} creates {self._id}")
        deployment = self._follow()
        self._show_sources(deployment)
        return deployment

    def _show_sources(self, deployment: dict[str, Any]) -> None:
        """Show what the image says about itself: the caller sent only its name."""
        spec, sources = deployment["spec"], deployment["spec_sources"]
        test = spec["smoke_test"]
        shown = {
            "port": ("port", spec["port"]),
            "health_check.path": ("health check", f"GET {spec['health_check']['path']}"),
            "smoke_test": ("smoke test", f"{test['method']} {test['path']}"),
        }
        print("\nFrom the image:")
        for name, (title, value) in shown.items():
            print(f"  {title:<12} {value!s:<12} ({sources[name]})")
        found = {name: sources[name] for name in shown}
        wanted = {"port": "image", "health_check.path": "label", "smoke_test": "label"}
        self._expect(found == wanted, f"the sources of the values are {found}, not {wanted}")

    def _predict(self, url: str) -> None:
        answer, _ = predict(f"{url}/?uid={UID}")
        print(f"\nGET {url}/?uid={UID}")
        for place, movie in enumerate(answer["recommendations"], 1):
            year = f"({movie['year']})" if movie.get("year") else ""
            print(f"  {place:>2}  {movie['score']:4.2f}  {movie['title']} {year}".rstrip())
        self._expect(bool(answer["recommendations"]), "the prediction has no recommendations")

    def _scale(self, url: str) -> None:
        self._api.call("PATCH", f"/deployments/{self._id}", {"count": 2})
        print(f"\nPATCH /deployments/{self._id} sets count to 2")
        deployment = self._follow()
        self._expect(
            deployment["operation"]["status"] == "succeeded",
            f"the update to 2 tasks {deployment['operation']['status']}: {deployment['failure']}",
        )
        tasks = self._api.call("GET", f"/deployments/{self._id}/tasks")["tasks"]
        live = [task["id"] for task in tasks if task["status"] == "RUNNING"]
        self._expect(
            len(live) == 2, f"GET /tasks reports {len(live)} running tasks, not 2: {tasks}"
        )
        seen: set[str] = set()
        deadline = time.monotonic() + SEEN_SECONDS
        while len(seen) < 2 and time.monotonic() < deadline:
            seen.add(predict(f"{url}/?uid={UID}")[1])
        self._expect(len(seen) == 2, f"the responses came from {sorted(seen)}, not from two tasks")
        print(f"  Responses come from the tasks {', '.join(sorted(seen))}.")

    def _delete(self) -> None:
        self._api.call("DELETE", f"/deployments/{self._id}")
        print(f"\nDELETE /deployments/{self._id}")
        deployment = self._follow()
        self._expect(
            deployment["status"] == "DELETED",
            f"the deployment is {deployment['status']}, not DELETED",
        )
        print("\nTeardown receipt:")
        for resource in deployment["resources"]:
            gone = "gone" if resource["verified_gone"] else "NOT VERIFIED GONE"
            print(f"  {resource['kind']:<18} {resource['name']:<38} {gone}")
            self._expect(
                resource["verified_gone"], f"{resource['kind']} {resource['name']} may still exist"
            )
        self._expect(
            not deployment["leftovers"], f"the receipt lists leftovers: {deployment['leftovers']}"
        )
        remaining = leftovers(self._stack, self._id)
        self._expect(not remaining, f"AWS still has {', '.join(remaining)}")
        print(f"  Leftovers in the receipt: {deployment['leftovers'] or 'none'}.")
        print(f"  Leftovers that AWS reports: {', '.join(remaining) or 'none'}.")

    def _count_transitions(self) -> None:
        counted = transitions(self._stack, self._id)
        self._expect(bool(counted), "the state machine has no execution for this deployment")
        print(
            "\nState transitions per execution:",
            ", ".join(f"{name} {n}" for name, n in counted.items()),
        )

    def _follow(self) -> dict[str, Any]:
        self._progress.next()
        return self._api.follow(self._id, OPERATION_SECONDS, self._progress.show)

    def _expect(self, condition: bool, failure: str) -> None:
        if not condition:
            self.failures.append(failure)


def demo() -> int:
    """Run the demo on its own stack; return 0 if every check passed."""
    started = time.monotonic()
    try:
        failures = _run(Path(tempfile.mkdtemp(prefix="slipway-demo-")))
    except KeyboardInterrupt:
        print(
            "\nInterrupted. Slipway stopped the local stack and removed its files.", file=sys.stderr
        )
        return 130
    print(f"Took {time.monotonic() - started:.1f} s, including starting and stopping the stack.")
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    print("The demo failed." if failures else "The demo passed every check.")
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
