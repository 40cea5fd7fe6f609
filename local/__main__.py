"""`python -m local up | down | demo`."""

import argparse
import json
import sys
from pathlib import Path

from local import stack
from local.demo import demo

UID = 20


def up(state: Path) -> int:
    """Start a stack that outlives this process, and print what to try."""
    stack.start(state, say=print).detach()
    print(_what_to_try(stack.load(state), state))
    return 0


def down(state: Path) -> int:
    """End the stack and all that it started."""
    print("The local stack is down." if stack.down(state) else "No local stack is running.")
    return 0


def _what_to_try(running: stack.Stack, state: Path) -> str:
    spec = {
        "name": "recommender",
        "image": running.sample_image,
        "health_check": {"path": "/health"},
        "smoke_test": {"path": f"/?uid={UID}", "json_has": ["recommendations"]},
    }
    curl = f"curl -s -H 'Authorization: Bearer {running.token}'"
    body = "-H 'Content-Type: application/json' -d"
    deployments = f"{running.api_url}/deployments"
    one = f"{deployments}/recommender"
    url = f"$({curl} {one} | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"url\"])')"
    return f"""
The local stack is up; its values are in {state / "stack.json"}, its logs beside it. To try:

  curl -s {running.api_url}/health
  {curl} {body} '{json.dumps(spec)}' {deployments}
  {curl} {one}
  curl -s "{url}/?uid={UID}"
  {curl} -X PATCH {body} '{{"count": 2}}' {one}
  {curl} -X DELETE {one}

`make down` ends it."""


def main() -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "demo"))
    parser.add_argument("--state", type=Path, default=stack.STATE, help="the stack's folder")
    arguments = parser.parse_args()
    try:
        if arguments.command == "demo":
            return demo()
        return {"up": up, "down": down}[arguments.command](arguments.state)
    except stack.StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
