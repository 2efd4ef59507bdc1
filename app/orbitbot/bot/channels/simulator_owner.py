"""The owner's side of the simulator: the phone that the bot is linked to."""

import os
import time
import uuid
from pathlib import Path
from typing import Literal

import msgspec

from orbitbot.bot.channels.simulator import SimulatorMessage
from orbitbot.bot.channels.simulator_account import OwnerAct, SimulatorAccount
from orbitbot.bot.channels.simulator_phone import SimulatorPhone, write_new


class OwnersPhone(SimulatorPhone):
    """The telephone with the client's own number.

    Args:
        state_directory: the bot's.
        number: the phone's, digits only.
    """

    def unlink(self, account: SimulatorAccount | None = None) -> None:
        """Have the bot's next start find no linked phone.

        Args:
            account: how the network behaves; as on WhatsApp where it is left out.
        """
        wanted = msgspec.structs.replace(account or SimulatorAccount(), linked=False)
        directory = Path(self._state_directory) / "simulator"
        directory.mkdir(mode=0o700, exist_ok=True)
        (directory / "account.json").write_bytes(msgspec.json.encode(wanted))

    def link(self, code: str) -> None:
        """Scan a QR code, or type a phone code."""
        self._act(OwnerAct("link", code, self.number))

    def log_out(self) -> None:
        """Remove the bot from the phone's linked devices."""
        self._act(OwnerAct("log_out"))

    def receipt(self, message_id: str, state: Literal["delivered", "read"]) -> None:
        """A contact's phone has a message of the bot's, or the contact has read it."""
        self._act(OwnerAct(state, message_id))

    def write_to(self, contact: str, text: str, *, message_id: str = "") -> str:
        """Write to a contact by hand; returns the message's id."""
        return self.drop(
            SimulatorMessage(
                id=message_id or uuid.uuid4().hex,
                from_=self.number,
                chat=contact,
                type="text",
                text=text,
                sent_at=time.time(),
                kind="own",
            )
        )

    def _act(self, act: OwnerAct) -> None:
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        with self._directory("phone") as phone:
            write_new(phone, f".{name}.tmp", msgspec.json.encode(act))
            os.rename(f".{name}.tmp", f"{name}.json", src_dir_fd=phone, dst_dir_fd=phone)
