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
from dataclasses import dataclass

from aiohttp import web

from local.emulator import Aws, Keys
from local.gateway.access import Access, Signer
from local.gateway.direct import Direct
from local.gateway.ecr import Ecr
from local.gateway.ecs.handler import Ecs
from local.gateway.elbv2.handler import Elbv2
from local.gateway.metrics import Metrics
from local.gateway.relay import Handler, Relay, server
from local.load_balancers import LoadBalancers

SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Configuration:
    """What the supervisor sends.

    Attributes:
        upstream: MiniStack's URL.
        verified: whether MiniStack verifies signatures (AUTH=true).
        time_scale: the factor on AWS's times.
        allowed_networks: the networks of containers, if an engine runs them.
    """

    upstream: str
    keys: Keys
    verified: bool
    time_scale: float
    allowed_networks: tuple[str, ...]


async def serve(listening: socket.socket, chosen: Configuration) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    emulator = Aws(chosen.upstream, chosen.keys.access_key_id, chosen.keys.secret_access_key)
    elbv2 = Elbv2(emulator, escapes=not chosen.verified)
    balancers = LoadBalancers(
        elbv2.direct,
        time_scale=chosen.time_scale,
        allowed_networks=chosen.allowed_networks,
        # An engine's containers are registered without a call that passes the gateway.
        poll=1.0 if chosen.allowed_networks else 10.0,
    )
    elbv2.load_balancers = balancers
    await balancers.start()
    access = Access(chosen.keys, chosen.verified)
    secret = chosen.keys.secret_access_key
    own_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    handlers: list[Handler] = [elbv2, Metrics(balancers), Ecr(own_url, Signer(secret), secret)]
    if not chosen.allowed_networks:  # with an engine, MiniStack knows its containers itself
        handlers.append(Ecs(Direct(emulator)))
    relay = Relay(chosen.upstream, access, handlers, balancers.url)
    runner = web.ServerRunner(server(relay), shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=512).start()
    print(json.dumps({"load_balancers": balancers.url}), flush=True)
    try:
        await stopped.wait()
    finally:
        await runner.cleanup()
        await relay.close()
        await balancers.stop()


def main() -> None:
    """Run the gateway with the arguments of the command line."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    listening = socket.socket(fileno=int(sys.argv[1]))
    sent = json.loads(sys.stdin.read())
    sent |= {"keys": Keys(**sent["keys"]), "allowed_networks": tuple(sent["allowed_networks"])}
    asyncio.run(serve(listening, Configuration(**sent)))


if __name__ == "__main__":
    main()
