"""Links a bot's session to a phone ahead of a test: the bot that is started then is connected at once.

    link(whatsapp, directory, "5511900000001")

`directory` is a bot's state directory. A process of its own runs the bot's channel there until it is linked,
and ends: what is left is the session's files, as an earlier process of the bot would have left them.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from orbitbot.bot.channels.channel import UnusableEvent
from orbitbot.bot.channels.neonize_library import ensure_environment
from orbitbot.bot.models import InboundEvent
from orbitbot.contracts.bot import BotState
from orbitbot.contracts.pairing import PairingEvent, QrShown

MEMORY = Path("/dev/shm")  # 812 prekeys are as many transactions: on a busy disk they take many seconds
TIMEOUT = 90.0  # seconds; a loaded machine takes its time over 812 prekeys


def link(whatsapp: Any, directory: Path, number: str) -> None:
    """Link the bot whose state is in `directory` to the phone with `number`.

    Args:
        whatsapp: a `WhatsApp` or a `RemoteWhatsApp`.
    """
    environment = os.environ | whatsapp.environment()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as temporary:
        command = [sys.executable, "-m", "tests.whatsapp.linking", temporary]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                whatsapp.scan(line.strip(), number)
        if process.returncode:
            raise RuntimeError(f"linking {number} ended with {process.returncode}")
        shutil.copytree(Path(temporary) / "neonize", directory / "neonize")


class _Printer:
    """Prints codes, and knows when the session is complete."""

    def __init__(self, output: int) -> None:
        self._output = output
        self.connected = asyncio.Event()

    def set_state(self, state: BotState, reason: str = "", *, until: float | None = None) -> None:
        if state == "connected":
            self.connected.set()

    def set_account(self, number: str, *, lid: str = "", phone_seen_at: float | None = None) -> None:
        """Not asked for."""

    def receipt(self, message_ids: list[str], state: Literal["delivered", "read"]) -> None:
        """Nothing was sent."""

    def pairing(self, event: PairingEvent) -> None:
        if isinstance(event, QrShown):
            os.write(self._output, f"{event.text}\n".encode())


async def _link(directory: Path) -> None:
    from orbitbot.bot.channels.neonize import NeonizeChannel  # noqa: PLC0415  (not in the caller's process)

    def refuse(event: InboundEvent) -> None:
        raise UnusableEvent("nothing is taken while a phone is linked")

    printer = _Printer(os.dup(1))  # the channel silences standard output
    channel = NeonizeChannel(directory / "neonize")
    await channel.start(refuse, printer)
    async with asyncio.timeout(TIMEOUT):
        await printer.connected.wait()
    await channel.stop()


if __name__ == "__main__":
    os.umask(0o077)
    ensure_environment()
    asyncio.run(_link(Path(sys.argv[1])))
