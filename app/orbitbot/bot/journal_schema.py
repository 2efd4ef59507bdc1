"""The journal's tables. `MIGRATIONS[n]` brings version n (`PRAGMA user_version`) to n + 1.

A released migration is never edited: append another.
"""

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # One row per message, by the channel's message id: a second delivery changes nothing.
        """
        CREATE TABLE inbound (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            chat TEXT NOT NULL,
            contact TEXT NOT NULL,
            is_group INTEGER NOT NULL,
            type TEXT NOT NULL CHECK (type IN ('text', 'voice')),
            text TEXT NOT NULL,
            media TEXT,
            media_size INTEGER NOT NULL DEFAULT 0,
            sent_at REAL NOT NULL,
            journaled_at REAL NOT NULL,
            set_aside TEXT,
            turn_id TEXT REFERENCES turns (id),
            CHECK (set_aside IS NULL OR turn_id IS NULL)
        ) STRICT
        """,
        "CREATE INDEX inbound_pending ON inbound (contact, seq) WHERE turn_id IS NULL AND set_aside IS NULL",
        "CREATE INDEX inbound_turn ON inbound (turn_id, seq) WHERE turn_id IS NOT NULL",
        "CREATE INDEX inbound_media ON inbound (media) WHERE media IS NOT NULL",
        "CREATE INDEX inbound_set_aside ON inbound (journaled_at) WHERE set_aside IS NOT NULL",
        """
        CREATE TABLE turns (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            contact TEXT NOT NULL,
            state TEXT NOT NULL
                CHECK (state IN ('fixed', 'answered', 'delivering', 'delivered', 'silenced', 'failed')),
            reason TEXT NOT NULL DEFAULT '',
            maybe_repeated INTEGER NOT NULL DEFAULT 0,
            fixed_at REAL NOT NULL,
            finished_at REAL
        ) STRICT
        """,
        # One turn per contact is under way at a time.
        "CREATE UNIQUE INDEX turns_under_way ON turns (contact) WHERE finished_at IS NULL",
        "CREATE INDEX turns_finished ON turns (finished_at) WHERE finished_at IS NOT NULL",
        """
        CREATE TABLE parts (
            turn_id TEXT NOT NULL REFERENCES turns (id),
            position INTEGER NOT NULL,
            send_id TEXT NOT NULL UNIQUE,
            text TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent')),
            PRIMARY KEY (turn_id, position)
        ) STRICT
        """,
        """
        CREATE TABLE reports (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            body BLOB NOT NULL,
            refused TEXT
        ) STRICT
        """,
        "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    ),
    (
        # What a voice note is fetched by (models.RemoteMedia as JSON), for as long as it is not there.
        "ALTER TABLE inbound ADD COLUMN remote_media BLOB",
        "CREATE INDEX inbound_remote_media ON inbound (seq) WHERE remote_media IS NOT NULL",
        # Messages that could not be read and may yet come readable.
        """
        CREATE TABLE unread (
            id TEXT PRIMARY KEY,
            chat TEXT NOT NULL,
            contact TEXT NOT NULL,
            is_group INTEGER NOT NULL,
            sent_at REAL NOT NULL,
            seen_at REAL NOT NULL
        ) STRICT
        """,
    ),
    (
        # Contacts that are to be forgotten as soon as their turn is final.
        "CREATE TABLE to_forget (contact TEXT PRIMARY KEY) STRICT",
        # Whom the journal has forgotten (contracts.journal.Forgotten), for a database that is restored.
        "CREATE TABLE forgotten (salt TEXT PRIMARY KEY, digest TEXT NOT NULL, at REAL NOT NULL) STRICT",
    ),
    (
        # Who wrote it: in a group not whose conversation it is.
        "ALTER TABLE inbound ADD COLUMN sender TEXT NOT NULL DEFAULT ''",
        # Turns that messages were in before they, or their neighbours, were edited or deleted.
        """
        CREATE TABLE replaced (
            message_id TEXT NOT NULL, turn_id TEXT NOT NULL, PRIMARY KEY (message_id, turn_id)
        ) STRICT
        """,
        # Contacts of whom nothing is posted before the gateway has this report.
        "CREATE TABLE held (contact TEXT PRIMARY KEY, report INTEGER NOT NULL) STRICT",
        "CREATE TABLE aliases (alias TEXT PRIMARY KEY, contact TEXT NOT NULL) STRICT",
        "CREATE INDEX aliases_contact ON aliases (contact)",
        # Every chat there ever was; `opened_at` of those in which the bot wrote first.
        """
        CREATE TABLE chats (
            chat TEXT PRIMARY KEY, first_at REAL NOT NULL, heard_at REAL, opened_at REAL
        ) STRICT
        """,
        "CREATE INDEX chats_opened ON chats (opened_at) WHERE opened_at IS NOT NULL",
        "INSERT INTO chats (chat, first_at, heard_at) SELECT chat, min(journaled_at), max(journaled_at)"
        " FROM inbound GROUP BY chat",
        # Messages that the API sends (`body` is a SendMessage).
        """
        CREATE TABLE sends (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            chat TEXT NOT NULL,
            body BLOB NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'failed')),
            reason TEXT NOT NULL DEFAULT '',
            message_id TEXT NOT NULL DEFAULT '',
            kept_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            finished_at REAL
        ) STRICT
        """,
        "CREATE INDEX sends_pending ON sends (seq) WHERE state IN ('waiting', 'sending')",
        "CREATE INDEX sends_message ON sends (message_id) WHERE message_id <> ''",
        "CREATE INDEX turns_contact ON turns (contact, finished_at)",
    ),
)
