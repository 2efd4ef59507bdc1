"""Commands as the gateway keeps them."""

from datetime import datetime
from typing import Any

import msgspec

from orbitbot.contracts.commands import Command, CommandKind, CommandState, CommandView


class StoredCommand(msgspec.Struct, frozen=True):
    """A row of `commands`; `body` is an `Order`."""

    id: int
    kind: CommandKind
    body: dict[str, Any]
    state: CommandState
    detail: str
    author: str
    created_at: datetime
    expires_at: datetime
    finished_at: datetime | None

    def for_bot(self) -> Command:
        """What the bot streams."""
        return Command(
            id=self.id,
            order=msgspec.Raw(msgspec.json.encode(self.body)),
            created_at=self.created_at.timestamp(),
            expires_at=self.expires_at.timestamp(),
        )

    def view(self) -> CommandView:
        """What whoever gave it sees."""
        return CommandView(
            id=self.id,
            kind=self.kind,
            state=self.state,
            created_at=self.created_at.isoformat(),
            expires_at=self.expires_at.isoformat(),
            detail=self.detail,
            finished_at=self.finished_at.isoformat() if self.finished_at else None,
        )
