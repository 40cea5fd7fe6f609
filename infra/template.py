"""The sources of the SAM template, and the form in which Chalice reads them.

    .chalice/config.json          Chalice's configuration; `lambda_functions` names every function
    infra/template.yaml           parameters, resources and outputs, merged into Chalice's template
    infra/policies/FUNCTION.yaml  the function's policy: statements, or names of shared ones
    infra/policies/shared.yaml    statements that several functions need

Chalice reads only JSON, and one policy file for each function: `write_for_chalice` makes both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chalice.utils import to_cfn_resource_name

from infra import strict_yaml

# Chalice gives the function that serves the REST API this name and this logical ID.
API_HANDLER = ("api_handler", "APIHandler")
MERGED = "template.json"


class TemplateError(Exception):
    """The sources contradict each other; the message says where and what to change."""


def config(project: Path) -> dict[str, Any]:
    """Return Chalice's configuration of `project`."""
    settings: dict[str, Any] = json.loads((project / ".chalice/config.json").read_text())
    return settings


def function_config(project: Path, function: str) -> dict[str, Any]:
    """Return the configuration of one function: its own settings before the common ones."""
    common = config(project)
    return common | common["lambda_functions"][function]


def logical_id(function: str) -> str:
    """Return the name that `function` of app.py has in the template."""
    return API_HANDLER[1] if function == API_HANDLER[0] else to_cfn_resource_name(function)


def resources(project: Path) -> dict[str, Any]:
    """Return infra/template.yaml with the log group of each function and of the state machine.

    Raises:
        infra.strict_yaml.YamlError: the file cannot be read.
    """
    template: dict[str, Any] = strict_yaml.load(project / "infra/template.yaml")
    declared = template["Resources"]
    functions = config(project)["lambda_functions"]
    groups = {logical_id(function): function for function in functions}
    for resource, name in (groups | {"StateMachine": "state-machine"}).items():
        declared[f"{resource}Logs"] = _log_group(name)
    for function in groups:
        properties = declared.get(function, {}).get("Properties", {})
        logging = {"LogFormat": "JSON", "LogGroup": {"Ref": f"{function}Logs"}}
        declared[function] = {"Properties": {"LoggingConfig": logging} | properties}
    return template


def policy(project: Path, function: str) -> dict[str, Any]:
    """Return the IAM policy of one function.

    Raises:
        infra.strict_yaml.YamlError: a file cannot be read.
        TemplateError: the function's file names a statement that shared.yaml does not have.
    """
    folder = project / "infra/policies"
    shared = strict_yaml.load(folder / "shared.yaml")
    statements = []
    for item in [*strict_yaml.load(folder / f"{function}.yaml"), _write_logs(function), "Traces"]:
        if isinstance(item, str) and item not in shared:
            raise TemplateError(
                f"infra/policies/{function}.yaml names {item}, which is not in shared.yaml. "
                f"Use one of {', '.join(shared)}, or write the statement out."
            )
        statements.append(shared[item] if isinstance(item, str) else item)
    return {"Version": "2012-10-17", "Statement": statements}


def write_for_chalice(project: Path, staged: Path) -> None:
    """Write the template to merge, the policies and the configuration into the folder `staged`.

    The configuration has no stages, because every stage has the same one.
    """
    settings = config(project)
    (staged / ".chalice/policies").mkdir(parents=True)
    for function, own in settings["lambda_functions"].items():
        own["iam_policy_file"] = f"policies/{function}.json"
        path = staged / ".chalice" / own["iam_policy_file"]
        path.write_text(json.dumps(policy(project, function)))
    (staged / ".chalice/config.json").write_text(json.dumps(settings))
    (staged / MERGED).write_text(json.dumps(resources(project)))


def _log_group(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "LogGroupName": {"Fn::Sub": f"/slipway/${{AWS::StackName}}/{name}"},
            "RetentionInDays": {"Ref": "LogRetentionDays"},
        },
    }


def _write_logs(function: str) -> dict[str, Any]:
    return {
        "Sid": "Logs",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": {"Fn::GetAtt": [f"{logical_id(function)}Logs", "Arn"]},
    }
