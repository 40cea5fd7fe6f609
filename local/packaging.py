"""Packages Slipway for the local stack, where the functions have another runtime.

MiniStack's own Python worker reports every exception as `Runtime.HandlerError`, so the state
machine's `ErrorEquals` would never match. With the `provided.al2023` runtime, the zip's `bootstrap`
runs the runtime client of AWS, which reports class names as on AWS.
"""

import json
import platform
import shlex
import sys
import zipfile
from pathlib import Path
from typing import Any

from infra.archive import add
from infra.package import ROOT, package

CACHE = ROOT / ".cache"
FUNCTION = "AWS::Serverless::Function"


def package_locally(project: Path, stage: str, out: Path) -> dict[str, Any]:
    """Package `project` into `out` for the emulator; return the template.

    Raises:
        infra.package.PackagingError: the project cannot be packaged.
    """
    template: dict[str, Any] = json.loads(package(stage, out, project, CACHE).read_text())
    for resource in template["Resources"].values():
        if resource.get("Type") == FUNCTION:
            resource["Properties"]["Runtime"] = "provided.al2023"
    archive = out / "deployment.zip"
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        _leave_out_native_packages(archive)
    with zipfile.ZipFile(archive, "a") as output:
        add(output, "bootstrap", _bootstrap().encode(), executable=True)
    return template


def _bootstrap() -> str:
    # MiniStack ignores the log format of the template. Without JSON, a log line contains only its
    # message and loses the fields of `extra`.
    return (
        "#!/bin/sh\nexport AWS_LAMBDA_LOG_FORMAT=JSON\n"
        f'exec {shlex.quote(sys.executable)} -m awslambdaric "$_HANDLER"\n'
    )


def _leave_out_native_packages(archive: Path) -> None:
    """Remove the packages compiled for Lambda, so that Python imports those of this machine."""
    with zipfile.ZipFile(archive) as source:
        content = {name: source.read(name) for name in source.namelist()}
    native = {name.split("/")[0] for name in content if name.endswith(".so")}
    with zipfile.ZipFile(archive, "w") as output:
        for name, data in content.items():
            if name.split("/")[0] not in native:
                add(output, name, data)
