"""Calls of neonize's client, and what its errors mean. On a session's worker threads."""

import hashlib
import re
import sqlite3
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from orbitbot.bot.channels.channel import Outbound
from orbitbot.bot.channels.neonize_events import LID, to_address
from orbitbot.bot.channels.neonize_outbound import UPLOADS, content_of

# Answers of WhatsApp's to a message that will be the same however often it is sent.
REFUSED_FOR_GOOD: Final = frozenset({400, 401, 403, 404, 406, 410})

# Errors after which a message has certainly not left.
_NOT_LEFT: Final = re.compile(
    r"not connected|not logged in|doesn't contain a device|client is nil|no LID found|failed to get"
    r"|failed to (?:encrypt|fetch|prepare)|usync|prekey",
    re.IGNORECASE,
)
_PEOPLE: Final = frozenset({"s.whatsapp.net", LID})
_DATABASE_TIMEOUT: Final = 1.0  # seconds
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


def send(client: Any, message: Outbound, own: str) -> str:
    """Send a message; returns its id. The library says nothing of when it left if it breaks off; see
    `ids_of_sends`.

    Args:
        own: the bot's own number.
    """
    from neonize import client as module  # noqa: PLC0415  (loaded by the session, not before)

    file = {}
    if message.type in UPLOADS:
        file = _uploaded(client, Path(message.file), UPLOADS[message.type])
    _look_up_devices(client, message.chat)
    content = module.Message(**content_of(message, file, own))
    content.messageContextInfo.messageSecret = _secret(message.send_id)
    return str(client.send_message(jid(message.chat), content).ID)


def _uploaded(client: Any, path: Path, kind: str) -> dict[str, Any]:
    """Upload a file encrypted; what a message says about it."""
    from neonize.utils.enum import MediaType  # noqa: PLC0415

    stored = client.upload(path.read_bytes(), getattr(MediaType, kind))
    return {
        "URL": stored.url, "directPath": stored.DirectPath, "mediaKey": stored.MediaKey,
        "fileEncSHA256": stored.FileEncSHA256, "fileSHA256": stored.FileSHA256,
        "fileLength": stored.FileLength,
    }  # fmt: skip


def has_account(client: Any, number: str) -> bool:
    """Whether a number is on WhatsApp."""
    return any(each.IsIn for each in client.is_on_whatsapp(f"+{number}"))


def ids_of_sends(database: Path, send_id: str) -> list[str] | None:
    """WhatsApp's ids of every send of this message that can have left this host; None: it cannot be told.

    neonize's send takes no id and tells it only afterwards. But before a message leaves, its id is written to
    the session file beside the message's secret, and the secret is ours.
    """
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_DATABASE_TIMEOUT)
        try:
            rows = connection.execute(
                "SELECT message_id FROM whatsmeow_message_secrets WHERE key = ?", (_secret(send_id),)
            ).fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    return [message_id for (message_id,) in rows]


def _look_up_devices(client: Any, chat: str) -> None:
    """Have the library know the devices of both sides.

    Its send would else ask for them after it has noted the message's id, and a process that dies while it
    waits could not tell that nothing has left.
    """
    address = jid(chat)
    if address.Server not in _PEOPLE:
        return
    with suppress(Exception):  # then its send asks
        to = client.get_lid_from_pn(address) if address.Server != LID else address
        client.get_user_devices(to, client.get_me().LID)


def _secret(send_id: str) -> bytes:
    """The secret that goes with a message; send ids are made of random numbers."""
    return hashlib.sha256(b"orbitbot message secret\0" + send_id.encode()).digest()


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
