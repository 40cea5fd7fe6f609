"""`python -m local.gateway SOCKET` serves on an open socket, given as a file descriptor.

It reads its configuration from standard input as JSON, and then writes one line to standard output:
the URL of the load balancers.
"""

import asyncio
import json
import logging
import signal
import socket
import sys

from aiohttp import web

from local.emulator import Keys
from local.gateway.access import Access
from local.gateway.relay import Relay

SHUTDOWN_SECONDS = 1.0


async def serve(listening: socket.socket, upstream: str, keys: Keys, verified: bool) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    relay = Relay(upstream, Access(keys, verified), [])
    server = web.Server(relay.answer, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=512).start()
    print(json.dumps({"load_balancers": f"{upstream}/_alb"}), flush=True)
    try:
        await stopped.wait()
    finally:
        await server.shutdown(SHUTDOWN_SECONDS)
        await runner.cleanup()
        await relay.close()


def main() -> None:
    """Run the gateway with the arguments of the command line."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    listening = socket.socket(fileno=int(sys.argv[1]))
    configuration = json.loads(sys.stdin.read())
    asyncio.run(
        serve(
            listening,
            configuration["upstream"],
            Keys(**configuration["keys"]),
            configuration["verified"],
        )
    )


if __name__ == "__main__":
    main()
