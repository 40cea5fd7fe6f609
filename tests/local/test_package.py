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
# Runs with only the unzipped package: imports pydantic and creates every client that Slipway uses.
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


def test_packaging_is_reproducible(project: Path, tmp_path: Path) -> None:
    first = package("dev", tmp_path / "first", project, CACHE)
    second = package("dev", tmp_path / "second", project, CACHE)
    assert digest(first) == digest(second)
    archives = [path.with_name("deployment.zip").read_bytes() for path in (first, second)]
    assert archives[0] == archives[1]


def test_the_local_runtime_logs_json_too(project: Path, tmp_path: Path) -> None:
    """Without this setting the runtime drops the fields of `extra`."""
    package_locally(project, "dev", tmp_path)
    with zipfile.ZipFile(tmp_path / "deployment.zip") as archive:
        assert b"export AWS_LAMBDA_LOG_FORMAT=JSON\n" in archive.read("bootstrap")


def digest(archive: Path) -> str:
    """Hash a file, because pytest takes minutes to show the difference of two zips."""
    return hashlib.sha256(archive.read_bytes()).hexdigest()


@pytest.mark.parametrize("stage", ["staging", "prod-2"])
def test_any_stage_is_packaged(project: Path, tmp_path: Path, stage: str) -> None:
    text = package(stage, tmp_path / stage, project, CACHE).read_text()
    expected = package("dev", tmp_path / "dev", project, CACHE).read_text()
    assert text.replace(f"stage={stage}", "stage=dev") == expected != text


@pytest.mark.parametrize("stage", ["", "Prod", "2nd", "a_b", "prod-", "-a", "a" * 33, "../dev"])
def test_an_invalid_stage_is_one_sentence_with_the_rule(tmp_path: Path, stage: str) -> None:
    with pytest.raises(PackagingError, match=r"is not a valid stage name\. Use 1 to 32 lowercase"):
        package(stage, tmp_path)


def test_the_settings_of_the_aws_cli_do_not_matter(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = package("dev", tmp_path / "out", project, CACHE).read_bytes()
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    assert package("dev", tmp_path / "out", project, CACHE).read_bytes() == expected


def test_a_failure_of_pip_is_one_sentence(project: Path, tmp_path: Path) -> None:
    (project / "requirements.txt").write_text("no-such-package @ file:///no/such/package.whl")
    with pytest.raises(PackagingError, match=r"pip could not install .* requirements\.txt"):
        package("dev", tmp_path / "out", project, tmp_path / "cache")


def test_an_invalid_source_is_one_sentence(project: Path, tmp_path: Path) -> None:
    (project / "infra/policies/step.yaml").unlink()
    with pytest.raises(PackagingError, match=r"step\.yaml does not exist"):
        package("dev", tmp_path / "out", project, CACHE)


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
    assert digest(first) == digest(second)  # built separately from the same versions


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


def test_an_app_that_does_not_import_is_reported(project: Path, tmp_path: Path) -> None:
    (project / "app.py").write_text("import no_such_module\n")
    with pytest.raises(
        PackagingError, match=r"could not package the app: .*no_such_module"
    ) as raised:
        package("dev", tmp_path / "out", project, CACHE)
    assert "\n" not in str(raised.value)


def test_lint_reports_placeholders_that_do_not_match() -> None:
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
