"""One request that a target is answering, with the times after which the load balancer ends it."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Exchange:
    """Ends its task with a TimeoutError if no data moves for the idle timeout, or if it expires.

    "If no data has been sent or received by the time that the idle timeout period elapses, the load
    balancer closes the connection."
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html

    Attributes:
        expired: the target's deregistration delay has elapsed.
        receiving: the client has not sent its whole body.
    """

    def __init__(self, idle: float) -> None:
        """Args: idle: the idle timeout in seconds."""
        self.expired = self.receiving = False
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(idle)

    async def __aenter__(self) -> Exchange:
        await self._scope.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._scope.__aexit__(kind, error, trace)

    def touch(self) -> None:
        """Data was sent or received."""
        if not (self.expired or self._scope.expired()):
            self._scope.reschedule(self._loop.time() + self._idle)

    def expire(self) -> None:
        """End it now."""
        if not (self.expired or self._scope.expired()):
            self.expired = True
            self._scope.reschedule(self._loop.time())
