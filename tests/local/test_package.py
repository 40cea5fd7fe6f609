"""The package for AWS."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra import dependencies
from infra.lint import statelint, unmatched
from infra.package import ROOT, PackagingError, package
from local.packaging import package_locally
from tests.local.project import DEFINITION, write_project

CACHE = ROOT / ".cache"
# Run with nothing but the unzipped package: every client that Slipway makes, and pydantic.
IMPORTS = """
import sys
sys.path.insert(0, sys.argv[1])
import boto3, pydantic, aws_xray_sdk.core, chalice, app
assert boto3.__file__.startswith(sys.argv[1])
for service in sys.argv[2:]:
    boto3.client(service, region_name="us-east-1")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project, not yet packaged."""
    return write_project(tmp_path / "project")


def test_packaging_twice_gives_the_same_bytes(project: Path, tmp_path: Path) -> None:
    first = package("dev", tmp_path / "first", project, CACHE)
    second = package("dev", tmp_path / "second", project, CACHE)
    assert digest(first) == digest(second)
    archives = [path.with_name("deployment.zip").read_bytes() for path in (first, second)]
    assert archives[0] == archives[1]


def test_on_the_local_stack_too_a_log_line_says_all_of_it(project: Path, tmp_path: Path) -> None:
    """What `extra` says is lost where the runtime is not told of JSON."""
    package_locally(project, "dev", tmp_path)
    with zipfile.ZipFile(tmp_path / "deployment.zip") as archive:
        assert b"export AWS_LAMBDA_LOG_FORMAT=JSON\n" in archive.read("bootstrap")


def digest(archive: Path) -> str:
    """Of a file's content; pytest would show the difference of two zips for minutes."""
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_changed_app_is_packaged(project: Path, tmp_path: Path) -> None:
    package("dev", tmp_path / "out", project, CACHE)
    (project / "app.py").write_text((project / "app.py").read_text() + "\nCHANGED = True\n")
    package("dev", tmp_path / "out", project, CACHE)
    with zipfile.ZipFile(tmp_path / "out" / "deployment.zip") as archive:
        assert b"CHANGED" in archive.read("app.py")


def test_changed_requirements_are_another_bundle(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text((ROOT / "requirements.txt").read_text())
    first = dependencies.bundle(requirements, CACHE)
    requirements.write_text("\n".join(reversed(requirements.read_text().splitlines())))
    second = dependencies.bundle(requirements, tmp_path)
    assert first.name != second.name
    assert digest(first) == digest(second)  # built apart from the same versions


@pytest.mark.skipif(sys.platform != "linux", reason="the package's wheels are Linux ones")
def test_the_shrunk_package_makes_every_client(project: Path, tmp_path: Path) -> None:
    package("dev", tmp_path / "out", project, CACHE)
    unzipped = tmp_path / "unzipped"
    with zipfile.ZipFile(tmp_path / "out" / "deployment.zip") as archive:
        archive.extractall(unzipped)
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORTS, str(unzipped), *dependencies.SERVICES],
        check=True,
    )


def test_the_definition_is_inlined(project: Path, tmp_path: Path) -> None:
    template = json.loads(package("dev", tmp_path / "out", project, CACHE).read_text())
    assert template["Resources"]["StateMachine"]["Properties"]["Definition"] == DEFINITION
    assert json.loads((tmp_path / "out" / "deployment.asl.json").read_text()) == DEFINITION


def test_an_app_that_does_not_import_is_told(project: Path, tmp_path: Path) -> None:
    (project / "app.py").write_text("import no_such_module\n")
    with pytest.raises(PackagingError, match="no_such_module"):
        package("dev", tmp_path / "out", project, CACHE)


def test_lint_tells_placeholders_that_do_not_match() -> None:
    properties = {"Definition": DEFINITION, "DefinitionSubstitutions": {"OtherArn": "x"}}
    assert unmatched(properties) == [
        "${StepArn} has no substitution",
        "the substitution OtherArn is not used",
    ]


def test_statelint_reads_the_rendered_definition() -> None:
    assert statelint(DEFINITION) == []
    assert statelint({"StartAt": "Nowhere", "States": {}}) != []


def test_every_pin_of_the_container_is_installed_for_development() -> None:
    pinned = (ROOT / "requirements-dev.txt").read_text().split("\n")
    for source in ("container/requirements.txt", "container/requirements-train.txt"):
        for line in (ROOT / source).read_text().splitlines():
            if "==" in line:
                assert line in pinned
