"""A WhatsApp server in a process of its own.

    python -m tests.whatsapp [--host 127.0.0.1] [--port 0] [--tls-port PORT] [--control-port 0]
                             [--directory DIR] [--verbose]

It prints one line of JSON when it is ready: its control address, and the environment that leads bots to it.
"""

import argparse
import asyncio
import logging
import signal
import tempfile
from pathlib import Path

import msgspec

from tests.whatsapp.boundary import environment
from tests.whatsapp.control import Control
from tests.whatsapp.core import Core
from tests.whatsapp.script import Script


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.whatsapp", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="the HTTP proxy's port; 0: any")
    parser.add_argument("--tls-port", type=int, help="also be WhatsApp itself on this port (443, for one)")
    parser.add_argument("--control-port", type=int, default=0, help="the script's port; 0: any")
    parser.add_argument(
        "--directory", type=Path, help="where the certificates go; kept. Default: a temporary one"
    )
    parser.add_argument("--verbose", action="store_true", help="log every stanza")
    given = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if given.verbose else logging.INFO)
    with tempfile.TemporaryDirectory(prefix="whatsapp-") as temporary:
        directory = given.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        asyncio.run(_serve(given, directory))


async def _serve(given: argparse.Namespace, directory: Path) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    core = Core(directory)
    port = await core.listen(given.host, given.port, given.tls_port)
    variables = environment(f"http://{given.host}:{port}", core.authority, core.keys.root.public)
    (directory / "root-key").write_text(core.keys.root.public.hex())
    control = await Control(Script(core), variables).listen(given.host, given.control_port)
    ready = {"control": f"http://{given.host}:{control}", "environment": variables}
    print(msgspec.json.encode(ready).decode(), flush=True)
    await stopped.wait()
    await core.close()


if __name__ == "__main__":
    main()
