"""`python -m infra.package --stage dev --out DIR`: writes DIR/sam.json and DIR/deployment.zip.

DIR/deployment.asl.json is the state machine by itself, for review.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from infra import dependencies, gateway
from infra.archive import add

ROOT = Path(__file__).resolve().parent.parent
STATE_MACHINE = "AWS::Serverless::StateMachine"
# What `chalice package` reads. Without requirements.txt it writes the app's own files only, in
# half a second; the dependencies come from the cached bundle.
SOURCES = (
    "app.py",
    "chalicelib",
    ".chalice/config.json",
    ".chalice/policies",
    "infra/resources.json",
)
CHALICE = "from chalice.cli import main; raise SystemExit(main())"


class PackagingError(Exception):
    """The project could not be packaged; the message says why, for a person to read."""


def package(stage: str, out: Path, project: Path = ROOT, cache: Path | None = None) -> Path:
    """Write `out`/sam.json, a SAM template, and `out`/deployment.zip, which all functions share.

    Args:
        stage: a stage of .chalice/config.json.
        out: a folder, made when missing.
        project: the project's root.
        cache: where the dependencies are kept between runs; `project`/.cache by default.

    Returns:
        The path of the template.

    Raises:
        PackagingError: Chalice or pip refused.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        staged, chalice_out = Path(folder, "project"), Path(folder, "out")
        _copy_sources(project, staged)
        _run_chalice(stage, staged, chalice_out)
        template = json.loads((chalice_out / "sam.json").read_text())
        definition = _definition(project)
        inline_definition(template, definition)
        gateway.hand_on_everything(template)
        try:
            bundle = dependencies.bundle(project / "requirements.txt", cache or project / ".cache")
        except subprocess.CalledProcessError as error:
            raise PackagingError("pip could not install requirements.txt, see above") from error
        _join(bundle, chalice_out / "deployment.zip", out / "deployment.zip")
    (out / "deployment.asl.json").write_text(json.dumps(definition, indent=2) + "\n")
    (out / "sam.json").write_text(json.dumps(template, indent=2) + "\n")
    return out / "sam.json"


def inline_definition(template: dict[str, Any], definition: dict[str, Any]) -> None:
    """Put `definition` into the template's state machines which carry none.

    SAM wants a state machine's `DefinitionUri` in S3; inlined, it travels with the template.
    """
    for resource in template["Resources"].values():
        if resource.get("Type") == STATE_MACHINE and "Definition" not in resource["Properties"]:
            resource["Properties"].pop("DefinitionUri", None)
            resource["Properties"]["Definition"] = definition


def _copy_sources(project: Path, staged: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for source in SOURCES:
        target = staged / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (project / source).is_dir():
            shutil.copytree(project / source, target, ignore=ignored)
        else:
            shutil.copy2(project / source, target)


def _run_chalice(stage: str, project: Path, out: Path) -> None:
    command = [sys.executable, "-c", CHALICE, "--project-dir", str(project), "package"]
    command += ["--stage", stage, "--merge-template", "infra/resources.json", str(out)]
    environment = {"AWS_DEFAULT_REGION": "us-east-1"} | os.environ
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise PackagingError(f"chalice package failed:\n{result.stdout}{result.stderr}")


def _definition(project: Path) -> dict[str, Any]:
    """The state machine, as the project's `statemachine/definition.py` prints it."""
    command = [sys.executable, "-m", "statemachine.definition"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise PackagingError(f"statemachine/definition.py failed:\n{result.stderr}")
    return dict(json.loads(result.stdout))


def _join(bundle: Path, app: Path, archive: Path) -> None:
    """Write `archive`: the bundled dependencies as they are, then the app's own files."""
    unfinished = archive.with_suffix(".unfinished")
    shutil.copyfile(bundle, unfinished)
    with zipfile.ZipFile(app) as source, zipfile.ZipFile(unfinished, "a") as output:
        for name in sorted(source.namelist()):
            add(output, name, source.read(name))
    unfinished.replace(archive)


def main() -> int:
    """Package the project as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__)
    parser.add_argument("--stage", default="dev", help="a stage of .chalice/config.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for the package")
    arguments = parser.parse_args()
    try:
        package(arguments.stage, arguments.out)
    except PackagingError as error:
        print(error, file=sys.stderr)
        return 1
    archive = arguments.out / "deployment.zip"
    with zipfile.ZipFile(archive) as content:
        unzipped = sum(entry.file_size for entry in content.infolist())
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB, {unzipped / 1e6:.1f} MB unzipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
