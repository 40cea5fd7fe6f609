"""`python -m infra.package --stage dev --out DIR`: writes DIR/sam.json and DIR/deployment.zip.

DIR/deployment.asl.json is the state machine by itself, for review.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from infra import dependencies, gateway
from infra import template as sources
from infra.archive import add
from infra.strict_yaml import YamlError

ROOT = Path(__file__).resolve().parent.parent
STATE_MACHINE = "AWS::Serverless::StateMachine"
# A stage is part of the stack's name, slipway-STAGE, and of tags.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-parameters.html
STAGE = re.compile("[a-z]([a-z0-9-]{0,30}[a-z0-9])?")
# `chalice package` makes no call to AWS, but it fails if one of these names an unknown profile.
PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
CHALICE = "from chalice.cli import main; raise SystemExit(main())"


class PackagingError(Exception):
    """The project cannot be packaged; the message says why and what to do."""


def package(stage: str, out: Path, project: Path = ROOT, cache: Path | None = None) -> Path:
    """Write `out`/sam.json, a SAM template, and `out`/deployment.zip, which all functions share.

    Args:
        stage: a name that matches `STAGE`; every stage has the same configuration.
        out: a folder, created if it does not exist.
        project: the project's root.
        cache: the folder that keeps the dependencies between runs; `project`/.cache by default.

    Returns:
        The path of the template.

    Raises:
        PackagingError: the stage is invalid, the sources are, or Chalice or pip failed.
    """
    if not STAGE.fullmatch(stage):
        raise PackagingError(
            f'"{stage}" is not a valid stage name. Use 1 to 32 lowercase letters, digits and '
            "hyphens. Start with a letter, and end with a letter or a digit."
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        staged, chalice_out = Path(folder, "project"), Path(folder, "out")
        _stage_sources(project, staged)
        # Without requirements.txt Chalice packages only the app's own files, in half a second.
        _run_chalice(stage, staged, chalice_out)
        template = json.loads((chalice_out / "sam.json").read_text())
        definition = _definition(project)
        inline_definition(template, definition)
        gateway.forward_everything(template)
        try:
            bundle = dependencies.bundle(project / "requirements.txt", cache or project / ".cache")
        except subprocess.CalledProcessError as error:
            raise PackagingError(
                "pip could not install the packages of requirements.txt. Its error is above. "
                "Fix the cause, for example the connection to the package index, and run the "
                "command again."
            ) from error
        _join(bundle, chalice_out / "deployment.zip", out / "deployment.zip")
    (out / "deployment.asl.json").write_text(json.dumps(definition, indent=2) + "\n")
    (out / "sam.json").write_text(json.dumps(template, indent=2) + "\n")
    return out / "sam.json"


def inline_definition(template: dict[str, Any], definition: dict[str, Any]) -> None:
    """Put `definition` into every state machine of the template that has none.

    SAM expects a state machine's `DefinitionUri` to be in S3. An inline definition needs no upload.
    """
    for resource in template["Resources"].values():
        if resource.get("Type") == STATE_MACHINE and "Definition" not in resource["Properties"]:
            resource["Properties"].pop("DefinitionUri", None)
            resource["Properties"]["Definition"] = definition


def _stage_sources(project: Path, staged: Path) -> None:
    """Write the project as Chalice reads it into the folder `staged`."""
    try:
        sources.write_for_chalice(project, staged)
    except (YamlError, sources.TemplateError) as error:
        raise PackagingError(str(error)) from error
    shutil.copy2(project / "app.py", staged)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(project / "chalicelib", staged / "chalicelib", ignore=ignored)


def _run_chalice(stage: str, project: Path, out: Path) -> None:
    command = [sys.executable, "-c", CHALICE, "--project-dir", str(project), "package"]
    command += ["--stage", stage, "--merge-template", sources.MERGED, str(out)]
    # The template is the same for every account and region, but Chalice needs one region to start.
    environment = {k: v for k, v in os.environ.items() if k not in PROFILES}
    environment |= {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        lines = (result.stdout + result.stderr).split("\n")
        reason = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        raise PackagingError(
            f"Chalice could not package the app: {reason.rstrip('.')}. "
            "If the app does not import, `python -c 'import app'` shows where."
        )


def _definition(project: Path) -> dict[str, Any]:
    """The state machine, as the project's `statemachine/definition.py` prints it."""
    command = [sys.executable, "statemachine/definition.py"]
    # Only the project itself, so that no other project of the path takes part.
    environment = os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise PackagingError(f"statemachine/definition.py failed:\n{result.stderr}")
    return dict(json.loads(result.stdout))


def _join(bundle: Path, app: Path, archive: Path) -> None:
    """Write the file `archive`: the bundled dependencies, then the app's own files."""
    unfinished = archive.with_suffix(".unfinished")
    shutil.copyfile(bundle, unfinished)
    with zipfile.ZipFile(app) as source, zipfile.ZipFile(unfinished, "a") as output:
        for name in sorted(source.namelist()):
            add(output, name, source.read(name))
    unfinished.replace(archive)


def main() -> int:
    """Package the project for the stage on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__)
    parser.add_argument("--stage", default="dev", help="any stage, for example staging")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the package")
    arguments = parser.parse_args()
    try:
        package(arguments.stage, arguments.out)
    except (PackagingError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    archive = arguments.out / "deployment.zip"
    with zipfile.ZipFile(archive) as content:
        unzipped = sum(entry.file_size for entry in content.infolist())
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB, {unzipped / 1e6:.1f} MB unzipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
