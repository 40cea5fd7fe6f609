"""`python -m infra.lint SAM`: cfn-lint on the packaged template, statelint on its state machines.

cfn-lint does not check the definition inside `AWS::Serverless::StateMachine`.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from infra.package import STATE_MACHINE

BIN = Path(sys.executable).parent
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# statelint accepts only an ARN as a resource, not a placeholder.
STAND_IN = "arn:aws:lambda:us-east-1:123456789012:function:stand-in"


def unmatched(properties: dict[str, Any]) -> list[str]:
    """Return a line for each placeholder without substitution, and each unused substitution."""
    used = set(PLACEHOLDER.findall(json.dumps(properties["Definition"])))
    given = set(properties.get("DefinitionSubstitutions", {}))
    return [f"${{{name}}} has no substitution" for name in sorted(used - given)] + [
        f"the substitution {name} is not used" for name in sorted(given - used)
    ]


def statelint(definition: dict[str, Any]) -> list[str]:
    """Return what statelint reports for a definition with its placeholders replaced."""
    with tempfile.TemporaryDirectory() as folder:
        rendered = Path(folder, "definition.json")
        rendered.write_text(PLACEHOLDER.sub(STAND_IN, json.dumps(definition)))
        result = subprocess.run(
            [str(BIN / "statelint"), str(rendered)], capture_output=True, text=True, check=False
        )
    lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    return lines or ["statelint failed"] * bool(result.returncode)


def main() -> int:
    """Lint the template that the command line names; return the exit status."""
    path = Path(sys.argv[1])
    template = json.loads(path.read_text())
    status = subprocess.run([str(BIN / "cfn-lint"), str(path)], check=False).returncode
    for name, resource in template["Resources"].items():
        if resource.get("Type") == STATE_MACHINE:
            properties = resource["Properties"]
            for finding in unmatched(properties) + statelint(properties["Definition"]):
                print(f"{name}: {finding}", file=sys.stderr)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
