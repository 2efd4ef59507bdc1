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
)
