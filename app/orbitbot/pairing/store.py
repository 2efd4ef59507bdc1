"""The SQL of pairing. Every function takes a connection inside a transaction of one client."""

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from orbitbot.contracts.pairing import PairingEvent
from orbitbot.foundation.database import Connection, scalar
from orbitbot.pairing.models import BotNow, StoredLink, StoredPairing

_WRITE = """
INSERT INTO pairings (client_id, event, valid_until)
VALUES (%(client_id)s, %(event)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (client_id) DO UPDATE
SET event = EXCLUDED.event, valid_until = EXCLUDED.valid_until, reported_at = clock_timestamp()
"""

_READ = """
SELECT event, extract(epoch FROM valid_until - clock_timestamp())::float8 AS seconds_left, reported_at
FROM pairings
WHERE client_id = %s
"""

_CLIENT_EXISTS = "SELECT EXISTS (SELECT FROM clients WHERE id = %s AND state <> 'removed')"

_READ_BOT = """
SELECT state, reason, number, state_since, extract(epoch FROM now() - seen_at)::float8 AS silent_seconds
FROM bot_status
WHERE client_id = %s
"""

_REPLACE_LINKS = """
UPDATE pairing_links SET replaced_at = clock_timestamp()
WHERE client_id = %s AND used_at IS NULL AND replaced_at IS NULL
"""

_FORGET_LINKS = "DELETE FROM pairing_links WHERE client_id = %s AND expires_at < now() - interval '30 days'"

_ADD_LINK = """
INSERT INTO pairing_links (secret_hash, client_id, author, expires_at)
VALUES (%(secret_hash)s, %(client_id)s, %(author)s, clock_timestamp() + make_interval(secs => %(seconds)s))
RETURNING secret_hash, client_id, expires_at, false AS is_expired,
          opened_at, browser_hash, used_at, replaced_at
"""

_READ_LINK = """
SELECT secret_hash, client_id, expires_at, expires_at <= clock_timestamp() AS is_expired,
       opened_at, browser_hash, used_at, replaced_at
FROM pairing_links
WHERE client_id = %s AND secret_hash = %s
"""

# Two browsers at once: the row's lock decides, and the second finds it opened.
_OPEN_LINK = """
UPDATE pairing_links SET opened_at = clock_timestamp(), browser_hash = %(browser_hash)s
WHERE client_id = %(client_id)s AND secret_hash = %(secret_hash)s AND opened_at IS NULL
  AND used_at IS NULL AND replaced_at IS NULL AND expires_at > clock_timestamp()
"""

_USE_LINKS = """
UPDATE pairing_links SET used_at = clock_timestamp()
WHERE client_id = %s AND opened_at IS NOT NULL AND used_at IS NULL AND replaced_at IS NULL
  AND expires_at > clock_timestamp()
"""


async def client_exists(connection: Connection, client_id: str) -> bool:
    """Whether there is such a client, not removed."""
    return bool(scalar(await (await connection.execute(_CLIENT_EXISTS, (client_id,))).fetchone()))


async def write(connection: Connection, client_id: str, event: PairingEvent, seconds: float | None) -> None:
    """Store what the bot told; its code is valid for `seconds` from now."""
    fields = {"client_id": client_id, "event": Jsonb(msgspec.to_builtins(event)), "seconds": seconds}
    await connection.execute(_WRITE, fields)


async def read(connection: Connection, client_id: str) -> StoredPairing | None:
    """What the bot told last, or None."""
    async with connection.cursor(row_factory=class_row(StoredPairing)) as cursor:
        await cursor.execute(_READ, (client_id,))
        return await cursor.fetchone()


async def read_bot(connection: Connection, client_id: str) -> BotNow | None:
    """The bot's last sign of life, or None."""
    async with connection.cursor(row_factory=class_row(BotNow)) as cursor:
        await cursor.execute(_READ_BOT, (client_id,))
        return await cursor.fetchone()


async def add_link(
    connection: Connection, client_id: str, secret_hash: str, *, author: str, seconds: float
) -> StoredLink:
    """Store a link, which takes the place of every earlier one that has linked no phone."""
    await connection.execute(_FORGET_LINKS, (client_id,))
    await connection.execute(_REPLACE_LINKS, (client_id,))
    fields = {"secret_hash": secret_hash, "client_id": client_id, "author": author, "seconds": seconds}
    async with connection.cursor(row_factory=class_row(StoredLink)) as cursor:
        await cursor.execute(_ADD_LINK, fields)
        link = await cursor.fetchone()
    if link is None:
        raise LookupError("the new link was not returned")
    return link


async def read_link(connection: Connection, client_id: str, secret_hash: str) -> StoredLink | None:
    """One link, or None."""
    async with connection.cursor(row_factory=class_row(StoredLink)) as cursor:
        await cursor.execute(_READ_LINK, (client_id, secret_hash))
        return await cursor.fetchone()


async def open_link(connection: Connection, client_id: str, secret_hash: str, browser_hash: str) -> bool:
    """Bind a link to its first browser; False if it is not open to one any more."""
    fields = {"client_id": client_id, "secret_hash": secret_hash, "browser_hash": browser_hash}
    return bool((await connection.execute(_OPEN_LINK, fields)).rowcount)


async def use_links(connection: Connection, client_id: str) -> None:
    """A phone was linked: the link that is open has done its work."""
    await connection.execute(_USE_LINKS, (client_id,))
