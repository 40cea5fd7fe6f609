"""A client of Slipway's API and of the deployed model that uses only the standard library."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from local.emulator import open_url

LOOK_SECONDS = 0.2


class ApiError(Exception):
    """A call failed; the message contains the status and the body of the response."""


class Api:
    """Slipway's API with one bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the JSON of the response; raise ApiError for a status of 400 or more."""
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with open_url(request, timeout=60) as answer:
                result: dict[str, Any] = json.loads(answer.read() or b"{}")
                return result
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise ApiError(f"{method} {path}: {error.code} {text}") from error
        except OSError as error:
            raise ApiError(f"{method} {path}: {error}") from error

    def follow(
        self, deployment_id: str, seconds: float, show: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Poll a deployment until its operation has ended; return it.

        Args:
            seconds: the maximum time to wait.
            show: is called with every response.

        Raises:
            ApiError: a call failed, or the operation still runs after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            deployment = self.call("GET", f"/deployments/{deployment_id}")
            show(deployment)
            if deployment["operation"]["status"] != "running":
                return deployment
            if time.monotonic() > deadline:
                raise ApiError(
                    f"{deployment_id} is still {deployment['status']} after {seconds:g} s"
                )
            time.sleep(LOOK_SECONDS)


def predict(url: str) -> tuple[Any, str]:
    """GET a prediction; return the JSON of the response and the task that served it.

    Raises:
        ApiError: the response is an error or not JSON.
    """
    try:
        with open_url(url, timeout=30) as answer:
            return json.load(answer), answer.headers.get("X-Served-By", "")
    except (OSError, ValueError) as error:
        raise ApiError(f"GET {url}: {error}") from error
