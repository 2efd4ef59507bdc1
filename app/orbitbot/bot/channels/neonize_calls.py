"""Calls of neonize's client, and what its errors mean. On a session's worker threads."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from orbitbot.bot.channels.channel import Outbound
from orbitbot.bot.channels.neonize_events import to_address

# Answers of WhatsApp's to a message that will be the same however often it is sent.
REFUSED_FOR_GOOD: Final = frozenset({400, 401, 403, 404, 406, 410})

# Errors after which a message has certainly not left.
_NOT_LEFT: Final = re.compile(
    r"not connected|not logged in|doesn't contain a device|client is nil|no LID found|failed to get"
    r"|failed to (?:encrypt|fetch|prepare)|usync|prekey",
    re.IGNORECASE,
)
_SERVER_ERROR: Final = re.compile(r"server returned error (\d+)")
_GONE: Final = re.compile(r"status code (?:403|404|410)|invalid media|hash|hmac|length", re.IGNORECASE)


def refusal(error: str) -> int:
    """The code with which WhatsApp answered a message; 0 where it did not."""
    found = _SERVER_ERROR.search(error)
    return int(found[1]) if found else 0


def has_not_left(error: str) -> bool:
    """Whether a send that failed so has certainly not left."""
    return bool(_NOT_LEFT.search(error))


def is_gone(error: str) -> bool:
    """Whether a download that failed so will always fail."""
    return bool(_GONE.search(error))


def jid(chat: str) -> Any:
    """neonize's address of a chat."""
    from neonize import client as module  # noqa: PLC0415

    address = to_address(chat)
    return module.JID(
        User=address.user, Server=address.server, Device=0, RawAgent=0, Integrator=0, IsEmpty=False
    )


def send(client: Any, message: Outbound) -> None:
    """Send a text. The library says nothing of when it left if it breaks off."""
    from neonize import client as module  # noqa: PLC0415  (loaded by the session, not before)

    client.send_message(jid(message.chat), module.Message(conversation=message.text))


def show_typing(client: Any, chat: str, *, active: bool) -> None:
    """Show that an answer is being typed, or no longer is."""
    from neonize.utils.enum import ChatPresence, ChatPresenceMedia  # noqa: PLC0415

    state = ChatPresence.CHAT_PRESENCE_COMPOSING if active else ChatPresence.CHAT_PRESENCE_PAUSED
    client.send_chat_presence(jid(chat), state, ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT)


def mark_read(client: Any, unread: list[tuple[str, Any, Any]]) -> None:
    """Mark messages (id, chat, sender) as read."""
    from neonize.utils.enum import ReceiptType  # noqa: PLC0415

    by_sender: dict[tuple[bytes, bytes], list[tuple[str, Any, Any]]] = defaultdict(list)
    for each in unread:
        by_sender[each[1].SerializeToString(), each[2].SerializeToString()].append(each)
    for messages in by_sender.values():
        _, chat, sender = messages[0]
        ids = [message_id for message_id, _, _ in messages]
        client.mark_read(*ids, chat=chat, sender=sender, receipt=ReceiptType.READ)


def fetch(client: Any, source: bytes, target: Path) -> None:
    """Download a voice note into a file."""
    from neonize import client as module  # noqa: PLC0415

    target.write_bytes(client.download_any(module.Message.FromString(source)))
