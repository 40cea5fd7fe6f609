"""The template and the policies that Chalice gets."""

import json
from pathlib import Path

import pytest

from infra.template import TemplateError, config, policy, resources, write_for_chalice
from tests.local.project import write_project
from tests.support.project import ROOT


def test_every_function_and_the_state_machine_have_a_log_group() -> None:
    declared = resources(ROOT)["Resources"]
    groups = {name for name, resource in declared.items() if name.endswith("Logs")}
    assert len(groups) == len(config(ROOT)["lambda_functions"]) + 1 == 13
    assert {"APIHandlerLogs", "ChatWorkerLogs", "StateMachineLogs"} <= groups


def test_a_function_writes_only_to_its_own_log_group() -> None:
    for function in config(ROOT)["lambda_functions"]:
        statements = {each["Sid"]: each for each in policy(ROOT, function)["Statement"]}
        group = statements["Logs"]["Resource"]["Fn::GetAtt"][0]
        name = resources(ROOT)["Resources"][group]["Properties"]["LogGroupName"]["Fn::Sub"]
        assert name.split("/")[-1] == function


def test_every_shared_statement_is_used_twice() -> None:
    names = [
        line[2:]
        for path in (ROOT / "infra/policies").glob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("- ") and ":" not in line
    ]
    used = {name for name in names if names.count(name) > 1}
    lines = (ROOT / "infra/policies/shared.yaml").read_text().splitlines()
    shared = {line[:-1] for line in lines if line.endswith(":") and line[0].isalpha()}
    assert used | {"Traces"} == shared


def test_an_unknown_shared_statement_is_named(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    (project / "infra/policies/step.yaml").write_text("- Trace")
    with pytest.raises(TemplateError, match=r"step\.yaml names Trace.*Use one of Traces"):
        policy(project, "step")


def test_chalice_gets_a_policy_for_each_function(tmp_path: Path) -> None:
    write_for_chalice(ROOT, tmp_path)
    written = json.loads((tmp_path / ".chalice/config.json").read_text())
    for function, own in written["lambda_functions"].items():
        path = tmp_path / ".chalice" / own["iam_policy_file"]
        assert json.loads(path.read_text()) == policy(ROOT, function)
