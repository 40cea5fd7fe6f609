"""Measures the cost of a cold start: the size of the zip, and the import time of `app`.

    python benchmarks/weight.py dist/dev/deployment.zip

The import of `app` is compared to that of its libraries alone, in fresh interpreters. Both
alternate, so that the ratio is also valid on a busy machine.
"""

import statistics
import subprocess
import sys
from pathlib import Path

RUNS = 7
CHILD = (
    "import time; start = time.perf_counter(); {imports}; "
    "print((time.perf_counter() - start) * 1000)"
)
BARE = "import chalice, boto3, pydantic, aws_xray_sdk.core"
APP = "import app"


def milliseconds(imports: str, root: Path) -> float:
    """Return the time of `imports` in a fresh interpreter that starts in `root`, in ms."""
    child = [sys.executable, "-c", CHILD.format(imports=imports)]
    return float(subprocess.run(child, cwd=root, check=True, capture_output=True).stdout)


def main() -> None:
    """Print the size, the times and the ratio of the medians."""
    archive = Path(sys.argv[1])
    root = Path(__file__).resolve().parent.parent
    pairs = [(milliseconds(APP, root), milliseconds(BARE, root)) for _ in range(RUNS)]
    app, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB")
    print(f"import app: {app:.0f} ms; chalice, boto3, pydantic, aws_xray_sdk.core: {bare:.0f} ms")
    print(f"ratio: {app / bare:.2f} (medians of {RUNS} alternating runs)")


if __name__ == "__main__":
    main()
