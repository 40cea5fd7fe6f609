"""Installs the dependencies of the Lambda zip for Lambda's platform, shrinks and caches them.

Chalice resolves the requirements whenever a line of the app changes, which takes half a minute.
This module installs them once for each content of requirements.txt.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.archive import write_zip

# botocore contains the model of every AWS service (21 MB zipped). Slipway calls only these.
SERVICES = frozenset(
    {
        "acm",
        "application-autoscaling",
        "cloudwatch",
        "dynamodb",
        "ec2",
        "ecr",
        "ecs",
        "elbv2",
        "iam",
        "lambda",
        "logs",
        "resourcegroupstaggingapi",
        "route53",
        "secretsmanager",
        "service-quotas",
        "ssm",
        "stepfunctions",
        "sts",
        "xray",
    }
)
# The metadata that a package may read, or must contain because of its licence.
METADATA_KEPT = ("METADATA", "LICENSE", "LICENCE", "NOTICE", "COPYING", "licenses")
DROPPED_DIRECTORIES = frozenset({"__pycache__", "tests", "examples", "bin"})
DROPPED_SUFFIXES = frozenset({".c", ".pyc", ".pyi", ".pyx", ".pxd"})
# On Lambda, Python 3.11 runs on Amazon Linux 2 (glibc 2.26), later versions on 2023 (glibc 2.34).
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
GLIBC_MINORS = {"3.11": (17, 24, 26), "3.12": (17, 24, 26, 28, 31, 34)}


def python_version() -> str:
    """Return the version of this interpreter in the form that Lambda uses, e.g. "3.11"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def bundle(requirements: Path, cache: Path) -> Path:
    """Return a zip of the pinned `requirements` for Lambda on x86_64; build it if not cached.

    The cache key covers everything that the zip depends on: the requirements, the Python version
    and the source code of this module and of archive.py.

    Raises:
        subprocess.CalledProcessError: pip failed; its error is on standard error.
    """
    key = hashlib.sha256(python_version().encode())
    for source in (requirements, Path(__file__), Path(__file__).with_name("archive.py")):
        key.update(source.read_bytes())
    bundled = cache / "dependencies" / f"{key.hexdigest()[:20]}.zip"
    if not bundled.exists():
        bundled.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bundled.parent) as folder:
            _install(requirements, Path(folder, "site-packages"))
            shrink(Path(folder, "site-packages"))
            compile_all(Path(folder, "site-packages"))
            unfinished = Path(folder, "bundle.zip")
            write_zip(unfinished, Path(folder, "site-packages"))
            unfinished.replace(bundled)
    return bundled


def _install(requirements: Path, target: Path) -> None:
    minors = GLIBC_MINORS.get(python_version(), GLIBC_MINORS["3.12"])
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in reversed(minors)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
    command += ["--disable-pip-version-check", "--no-compile", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={python_version()}", f"--target={target}"]
    command += [f"--platform={platform}" for platform in (*platforms, "manylinux2014_x86_64")]
    # PIP_TARGET, PIP_PREFIX or PIP_USER would install the files in another folder.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_USER")
    }
    subprocess.run([*command, "-r", str(requirements)], check=True, env=environment)


def shrink(site_packages: Path) -> None:
    """Delete the files of `site_packages` that no Lambda function of Slipway uses."""
    shutil.rmtree(
        site_packages / "boto3" / "data"
    )  # the models of boto3 resources, which clients do not need
    for service in [item for item in (site_packages / "botocore/data").iterdir() if item.is_dir()]:
        if service.name in SERVICES:
            for outdated in sorted(service.iterdir())[
                :-1
            ]:  # the folders are API versions, which are dates
                shutil.rmtree(outdated)
        else:
            shutil.rmtree(service)
    for metadata in list(site_packages.glob("*.dist-info")):
        for item in list(metadata.iterdir()):
            if not item.name.startswith(METADATA_KEPT):
                _remove(item)
    for example in site_packages.glob("botocore/data/*/*/examples-1.json"):
        example.unlink()
    for path in sorted(site_packages.rglob("*"), reverse=True):
        if path.name in DROPPED_DIRECTORIES or path.suffix in DROPPED_SUFFIXES:
            _remove(path)


def compile_all(site_packages: Path) -> None:
    """Compile every module.

    Lambda's file system is read-only, so Python would compile every other module at each cold
    start. The hash is unchecked because the zip has fixed times. A separate process with a fixed
    seed makes the result reproducible, because marshal's output depends on the process.
    """
    command = [sys.executable, "-m", "compileall", "-q", "-s", str(site_packages)]
    command += ["--invalidation-mode", "unchecked-hash", str(site_packages)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "0"})


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
