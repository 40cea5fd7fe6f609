"""`python -m local up | down | demo`."""

import argparse
import json
import sys
from pathlib import Path

from local import stack
from local.demo import demo

UID = 20


def up(state: Path) -> int:
    """Start a stack that outlives this process, and print example commands."""
    stack.start(state, say=print).detach()
    print(what_to_try(stack.load(state), state))
    return 0


def down(state: Path) -> int:
    """Stop the stack and every process that it started."""
    print("The local stack is stopped." if stack.down(state) else "No local stack is running.")
    return 0


def what_to_try(running: stack.Stack, state: Path) -> str:
    """Return the example commands that `make up` prints."""
    spec = {"name": "recommender", "image": running.sample_image}
    return f"""
The local stack is running. {_shown(state)} contains its logs, and stack.json with its values.
Each `make up` creates a new URL, new tokens and new secrets. Try:

  API={running.api_url}
  TOKEN={running.token}
  ADMIN={running.admin_token}
  call() {{ curl -s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" "$@"; }}

  curl -s $API/health
  call $API/deployments -d '{json.dumps(spec)}'
  call $API/deployments/recommender
  URL=$(call $API/deployments/recommender | python3 -c 'import json, sys; print(json.load(sys.stdin)["url"])')
  curl -s "$URL/?uid={UID}"
  call $API/deployments/recommender -X PATCH -d '{{"count": 2}}'
  call $API/chat/commands -d '{{"text": "status recommender", "user": "me"}}'
  call $API/deployments/recommender -X DELETE

ADMIN is a token with the scope `admin`. For Slack see docs/slack.md, for webhooks docs/webhooks.md.
AWS calls go to aws_endpoint_url of stack.json, with the access key that is beside it.
Run `make down` to stop the stack."""  # noqa: E501 - lines to copy


def _shown(state: Path) -> Path:
    """Return the state folder relative to the current folder, if it is below it."""
    return state.relative_to(Path.cwd()) if state.is_relative_to(Path.cwd()) else state


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
