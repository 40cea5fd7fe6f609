"""Records what one version of Slipway leaves behind, for the tests of the versions after it.

`python -m tests.upgrade.record VERSION` writes `tests/upgrade/VERSION/`: a JSON file for each of
`SITUATIONS`, and the state machine's definition. Run it before the version changes; README.md in
that folder says how its files were made. A file holds:

- `items`: the whole table, as DynamoDB's JSON;
- `calls`: every call that created or changed something at AWS, with its simulated second;
- `executions`: those that run, each with its input and the answers of the steps that it has had;
- `seconds`: the simulated moment at which the version stops;
- `token`: a token that the version issued;
- `requests`: what clients asked, and the answers that they got.

Placeholders such as `<vpc>` replace the IDs that AWS makes up, because they differ by account.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.store import tokens
from tests.faults.environment import image, opened
from tests.faults.world import Invocation, Point, World
from tests.support.gateway import Gateway
from tests.support.simulated_aws.account import is_mutating
from tests.support.simulated_aws.aws import Answer, Call
from tests.support.simulated_aws.states import Killed
from tests.support.simulated_aws.weather import Fault

FOLDER = Path(__file__).parent
OWNER, NAME = "team-a", "recommender"
CALLBACK = "http://127.0.0.1:9000/hooks"
# Draws a load balancer that is soon active, and so a short recording.
SEED = 15
LIMIT = 3600.0
# Members of AWS's answers that hold such IDs.
MADE_UP = ("GroupId", "LoadBalancerArn", "TargetGroupArn", "ListenerArn", "RuleArn")
SPEC = {
    "name": NAME,
    "image": image("1"),
    "tags": {"team": "a", "stage": "dev"},
    "smoke_test": {"path": "/?uid=20", "json_has": ["recommendations"]},
    "scaling": {"min": 1, "max": 3, "metric": "cpu", "target": 60},
    "certificate_arn": "<certificate>",
    "domain": "recommend.example.com",
    "callback_url": CALLBACK,
}
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRONMENT = {"CALLBACKS_ON_LOOPBACK": "true"}


class Recorder:
    """Runs this version in a world of its own and notes what it does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: list[dict[str, Any]] = []
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[dict[str, Any]] = []
        self.ids = made_up(world)
        client = aws.client("dynamodb")
        table = settings().table_name
        issued = tokens.issue(
            table_name=table, owner=OWNER, scopes=["read", "deploy"], client=client
        )
        self.token = issued[1]
        self._gateway = Gateway({OWNER: self.token})
        self._function = world.states.function
        world.states.function = self._answer
        self._handle = world.account.layer.handle
        world.account.layer.handle = self._note  # type: ignore[method-assign]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request at this simulated moment; its answer is kept."""
        sent = json.loads(with_ids(json.dumps(body), self.ids))
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        answered = self._gateway.send(method, path, sent, headers=names)
        self.requests.append(
            {
                "method": method,
                "path": path,
                "body": body,
                "headers": names,
                "status": answered.status,
                "etag": answered.headers.get("etag"),
                "answer": answered.json if answered.text else None,
            }
        )
        return answered.json

    def run_until(self, reached: Callable[[dict[str, Any]], bool]) -> None:
        """Lets time pass until the deployment, as `GET` shows it, is as wanted."""
        while not reached(self.look()):
            assert self.world.clock.seconds() < LIMIT, self.look()
            self.world.schedule.step()

    def look(self) -> dict[str, Any]:
        """The deployment, as `GET` shows it to nobody in particular."""
        body: dict[str, Any] = self._gateway.get(f"/deployments/{self.id}").json
        return body

    @property
    def id(self) -> str:
        """The ID of the deployment."""
        return str(self.requests[0]["answer"]["id"])

    def document(self) -> dict[str, Any]:
        """Everything that is noted, with placeholders."""
        for path in (f"/deployments/{self.id}", f"/deployments/{self.id}/events"):
            self.ask("GET", path)
        raw = self.world.account.raw("dynamodb")
        items = raw.scan(TableName=settings().table_name)["Items"]
        executions = [
            {"name": each.name, "input": each.input, "answers": self.answers.get(each.name, [])}
            for each in self.world.states.running
        ]
        noted = {
            "token": self.token,
            "seconds": round(self.world.clock.seconds(), 3),
            "requests": self.requests,
            "executions": executions,
            "items": sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"])),
            "calls": self.calls,
        }
        text = json.dumps(noted)
        for placeholder, known in sorted(self.ids.items(), key=lambda each: -len(each[1])):
            text = text.replace(known, placeholder)
        return dict(json.loads(text))

    def _answer(self, resource: str, event: dict[str, Any]) -> dict[str, Any]:
        answer = self._function(resource, event)
        name = f"{event['deployment_id']}-{event['generation']}"
        said = {"path": event["path"], "step": event["step"], "answer": answer}
        self.answers.setdefault(name, []).append(said)
        return answer

    def _note(self, call: Call, emulator: Callable[[Call], Answer]) -> Answer:
        answer = self._handle(call, emulator)
        # The table is kept as it is at the end, and Step Functions is not part of the account.
        if is_mutating(call) and call.service not in ("dynamodb", "stepfunctions"):
            learn(self.ids, len(self.calls), answer)
            self.calls.append(
                {
                    "at": round(self.world.clock.seconds(), 3),
                    "service": call.service,
                    "operation": call.operation,
                    "params": json.loads(json.dumps(call.params)),
                }
            )
        return answer


def made_up(world: World) -> dict[str, str]:
    """Placeholder -> what this account has in its place."""
    ec2, route53 = world.account.raw("ec2"), world.account.raw("route53")
    subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda each: each["CidrBlock"])
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    return {
        "<certificate>": world.certificate,
        "<vpc>": subnets[0]["VpcId"],
        "<zone>": zone.removeprefix("/hostedzone/"),
        **{f"<subnet {number}>": each["SubnetId"] for number, each in enumerate(subnets)},
    }


def learn(ids: dict[str, str], number: int, answer: Any) -> None:
    """Adds the IDs that AWS has made up in its answer to the call of this number."""
    for key, value in answer.items() if isinstance(answer, dict) else ():
        if key in MADE_UP and value not in ids.values():
            ids[f"<{key} {number}>"] = value
        for part in value if isinstance(value, list) else [value]:
            learn(ids, number, part)


def with_ids(text: str, ids: dict[str, str]) -> str:
    """The text with this account's IDs in place of the placeholders."""
    for placeholder, known in ids.items():
        text = text.replace(placeholder, known)
    return text


@contextmanager
def world_of_records() -> Any:
    """A world with webhooks, in which a callback URL may be on loopback."""
    with mock.patch.dict(os.environ, ENVIRONMENT), opened(SEED) as world:
        name = f"/slipway-control/{settings().stack_name}/webhook-secrets"
        world.account.raw("ssm").put_parameter(Name=name, Value=WEBHOOK_SECRET, Type="SecureString")
        yield world


# --- the situations ------------------------------------------------------------------------


def _create(made: Recorder) -> None:
    answer = made.ask("POST", "/deployments", SPEC)
    assert answer["status"] == "CREATING", answer


def _active(made: Recorder) -> None:
    _create(made)
    made.run_until(lambda shown: shown["status"] == "ACTIVE")
    made.ask("POST", f"/deployments/{NAME}/extend", {"ttl": "3d"}, Idempotency_Key="extend-1")


def _creating(made: Recorder) -> None:
    """The function that creates the service dies after the call, and the others are under way."""
    died: list[Invocation] = []

    def kill(point: Point) -> None:
        if point.label == "create_service:ecs.CreateService#1" and point.when == "after":
            died.append(point.invocation)
            raise Killed

    made.world.interference = kill
    _create(made)
    made.run_until(lambda shown: bool(died))


def _rolling_back(made: Recorder) -> None:
    """The new version fails its smoke test, and the old one is about to be rolled out again."""
    _active(made)
    changes = {"image": image("2"), "smoke_test": {"path": "/", "json_has": ["nope"]}}
    made.ask("PATCH", f"/deployments/{NAME}", changes)
    made.run_until(lambda shown: _status_of(shown, "rollback_create_service") == "succeeded")


def _paused(made: Recorder) -> None:
    _active(made)
    made.ask("POST", f"/deployments/{NAME}/pause")
    made.run_until(lambda shown: shown["status"] == "PAUSED")


def _deleting(made: Recorder) -> None:
    _active(made)
    made.ask("DELETE", f"/deployments/{NAME}")
    made.run_until(lambda shown: _status_of(shown, "delete_service") == "succeeded")


def _delete_failed(made: Recorder) -> None:
    """AWS denies the deletion of one resource; everything else is gone."""
    _active(made)
    made.world.account.weather.plan(Fault("ec2.DeleteSecurityGroup", "denied", times=10**6))
    made.ask("DELETE", f"/deployments/{NAME}")
    made.run_until(lambda shown: shown["status"] == "DELETE_FAILED")


def _status_of(shown: dict[str, Any], step: str) -> str:
    steps = {each["name"]: each["status"] for each in shown["operation"]["steps"]}
    return str(steps.get(step, ""))


SITUATIONS: dict[str, Callable[[Recorder], None]] = {
    "active": _active,
    "creating": _creating,
    "rolling_back": _rolling_back,
    "paused": _paused,
    "deleting": _deleting,
    "delete_failed": _delete_failed,
}


def record(situation: str) -> dict[str, Any]:
    """What this version leaves behind in one situation."""
    with world_of_records() as world:
        made = Recorder(world)
        SITUATIONS[situation](made)
        return made.document()


def as_text(noted: dict[str, Any]) -> str:
    """JSON with one line for each item, call and request."""
    members = []
    for key, value in noted.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
        members.append(f'"{key}": {text}')
    return "{\n" + ",\n".join(members) + "\n}\n"


def main() -> int:
    """Writes the folder of a version."""
    folder = FOLDER / sys.argv[1]
    folder.mkdir(exist_ok=True)
    for name in SITUATIONS:
        (folder / f"{name}.json").write_text(as_text(record(name)))
    with world_of_records() as world:
        definition = json.dumps(world.states.definition)
    (folder / "definition.json").write_text(definition + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
