"""`python -m statemachine.definition`: prints the state machine, generated from domain/plan.py.

The format is Amazon States Language: https://states-language.net/spec.html. `${NetworkArn}` and the
like are placeholders; the template's `DefinitionSubstitutions` gives their values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from chalicelib.domain.plan import CONVERGE, DESTROY, Function, PlannedStep, Polling

State = dict[str, Any]
States = dict[str, State]

# --- retries -----------------------------------------------------------------------------
# Step Functions takes the first entry that names the error and counts each entry's attempts
# separately. So each kind of error has an entry of its own.


def _not_ready(interval: int, attempts: int = 450, rate: float = 1.02, most: int = 20) -> State:
    """The step is not done. The attempts outlast the deadline, so the step itself reports it."""
    return {
        "ErrorEquals": ["NotReady"],
        "IntervalSeconds": interval,
        "MaxAttempts": attempts,
        "BackoffRate": rate,
        "MaxDelaySeconds": most,
    }


def _throttled(attempts: int = 400) -> State:
    """AWS throttled a call, or answered with an error that passes."""
    return {
        "ErrorEquals": ["Throttled", "Retryable"],
        "IntervalSeconds": 2,
        "MaxAttempts": attempts,
        "BackoffRate": 1.5,
        "MaxDelaySeconds": 20,
        "JitterStrategy": "FULL",
    }


def _any_error(attempts: int = 8, most: int = 30) -> State:
    """The function died, timed out or could not be called."""
    return {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 2,
        "MaxAttempts": attempts,
        "BackoffRate": 2.0,
        "MaxDelaySeconds": most,
        "JitterStrategy": "FULL",
    }


STILL_PROVISIONING: State = {
    "Comment": "A load balancer takes at least 92 s, so poll rarely until then.",
    "ErrorEquals": ["StillProvisioning"],
    "IntervalSeconds": 10,
    "MaxAttempts": 30,
    "BackoffRate": 1.0,
}
FINAL: State = {"ErrorEquals": ["DeploymentFailed", "Superseded"], "MaxAttempts": 0}
WAITS: dict[Polling, list[State]] = {
    Polling.STANDARD: [_not_ready(2), _throttled()],
    Polling.PROVISIONING: [STILL_PROVISIONING, _not_ready(3), _throttled()],
    Polling.DNS: [_not_ready(10), _throttled()],
    Polling.SLOW: [_not_ready(5, attempts=120, rate=1.1, most=60), _throttled()],
    Polling.BRIEF: [_not_ready(2), _throttled(attempts=12)],
}


# --- states ------------------------------------------------------------------------------


def definition() -> State:
    """The state machine: an execution converges one generation of a deployment or destroys it."""
    return {
        "Comment": "One generation of a deployment: converge to its spec, or destroy it. "
        "$.path selects the path.",
        "TimeoutSeconds": 14400,
        "StartAt": "ChooseWay",
        "States": {
            "ChooseWay": {
                "Type": "Choice",
                "Choices": [
                    {"Or": [_on_path("converge"), _on_path("rollback")], "Next": "Converge"},
                    {**_on_path("destroy"), "Next": "Destroy"},
                    {**_on_path("end"), "Next": "Failed"},
                ],
                "Default": "Failed",
            },
            "Converge": {
                "Comment": "A single branch, so that one Catch covers every state in it.",
                **_path(_sequence(CONVERGE, "CreateResources")),
            },
            "Destroy": {
                "Comment": "The reverse. A failed step does not stop the others: "
                "VerifyTeardown reports what remains.",
                **_path(_sequence(DESTROY, "DeleteResources")),
            },
            "Diagnose": {
                "Type": "Task",
                "Resource": _placeholder(Function.LIFECYCLE),
                "Parameters": {**_parameters("diagnose"), "error.$": "$.error"},
                "Retry": [_any_error(attempts=20, most=60)],
                "Next": "ChooseWay",
                "Comment": "Returns the next path: destroy, rollback or end.",
            },
            "Done": {"Type": "Succeed"},
            "Superseded": {
                "Comment": "A newer generation has taken over, so this execution ends.",
                "Type": "Succeed",
            },
            "Failed": {
                "Type": "Fail",
                "Error": "OperationFailed",
                "Cause": "The deployment's record has the reason.",
            },
        },
    }


def _on_path(path: str) -> State:
    return {"Variable": "$.path", "StringEquals": path}


def _path(branch: State) -> State:
    """The one branch of a path, and where an error in it goes."""
    return {
        "Type": "Parallel",
        "Branches": [branch],
        "ResultPath": None,
        "Catch": [
            {"ErrorEquals": ["Superseded"], "ResultPath": None, "Next": "Superseded"},
            {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Diagnose"},
        ],
        "Next": "Done",
    }


def _sequence(steps: Sequence[PlannedStep], parallel: str, branch: str = "") -> State:
    """States that run one after another.

    Steps of another branch than `branch` become one state named `parallel`, in the place of the
    first of them.
    """
    branches: dict[str, list[PlannedStep]] = {}
    places: dict[str, PlannedStep | None] = {}
    for step in steps:
        if step.branch == branch:
            places[_camel(step.name)] = step
        else:
            places[parallel] = None
            branches.setdefault(step.branch, []).append(step)
    names = list(places)
    states: States = {}
    for name, following in zip(names, [*names[1:], None], strict=True):
        single = places[name]
        if single:
            states[name] = _task(single, following)
        else:
            members = [_sequence(chain, "", label) for label, chain in branches.items()]
            states[name] = {
                "Type": "Parallel",
                "Branches": members,
                "ResultPath": None,
                **_next(following),
            }
    return {"StartAt": names[0], "States": states | _ends(steps, branch, places[names[-1]])}


def _task(step: PlannedStep, following: str | None) -> State:
    state = {
        "Type": "Task",
        "Resource": _placeholder(step.function),
        "Parameters": _parameters(step.name),
        "ResultPath": None,
        "Retry": [*WAITS[step.polling], FINAL, _any_error()],
        **_next(following),
    }
    if not step.decisive:
        end = f"{_camel(step.branch)}Teardown"
        state["Catch"] = [
            {"ErrorEquals": ["Superseded"], "ResultPath": None, "Next": f"{end}Superseded"},
            {
                "ErrorEquals": ["States.ALL"],
                "ResultPath": None,
                "Next": following or f"{end}WentOn",
            },
        ]
    if step.polling is Polling.BRIEF:
        state["Comment"] = "More expensive resources are deleted later, so retries end soon."
    return state


def _ends(steps: Sequence[PlannedStep], branch: str, last: PlannedStep | None) -> States:
    """Where the steps that are not decisive go: on after a failure, and out when superseded."""
    end = f"{_camel(branch)}Teardown"
    ends: States = {}
    if last and not last.decisive:
        ends[f"{end}WentOn"] = {
            "Comment": "The step failed. VerifyTeardown finds what remains.",
            "Type": "Succeed",
        }
    if not all(step.decisive for step in steps):
        ends[f"{end}Superseded"] = {
            "Type": "Fail",
            "Error": "Superseded",
            "Cause": "A newer generation has taken over.",
        }
    return ends


def _next(following: str | None) -> State:
    return {"Next": following} if following else {"End": True}


def _parameters(step: str) -> State:
    names = ("deployment_id", "generation", "path")
    return {"step": step, **{f"{name}.$": f"$.{name}" for name in names}}


def _placeholder(function: Function) -> str:
    return f"${{{_camel(function)}Arn}}"


def _camel(name: str) -> str:
    return "".join(word.title() for word in name.split("_"))


if __name__ == "__main__":
    print(json.dumps(definition(), indent=2))
