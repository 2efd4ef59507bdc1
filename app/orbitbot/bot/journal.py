"""The journal: what the bot has taken, decided, fixed and sent, on its own disk (SQLite, WAL, fsynced).

Every method that changes something is one transaction, on disk when the method returns. Calls are short and
run on the event loop's thread: one connection, one order of events. After a crash everything goes on from
here.
"""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from orbitbot.bot.journal_changes import JournalChanges
from orbitbot.bot.journal_schema import MIGRATIONS
from orbitbot.bot.models import (
    InboundEvent,
    JournaledMessage,
    Part,
    QueuedReport,
    RemoteMedia,
    StoredMedia,
    Turn,
)
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.journal import Forgotten, JournaledTurn
from orbitbot.contracts.messages import Member, SilenceReason
from orbitbot.contracts.reports import Delivery, Report, SameContact, SetAside
from orbitbot.foundation.errors import OrbitBotError, Unavailable

FORGOTTEN_KEPT: Final = 400 * 86_400.0  # seconds; longer than any backup is kept
BUSY_TIMEOUT: Final = 5.0  # seconds; a backup may hold the file for a moment
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # what is deleted is overwritten
    "PRAGMA journal_size_limit = 4194304",  # bytes the WAL keeps after a checkpoint
    "PRAGMA cache_size = -512",  # KiB; there are hundreds of bots on a host
)


class JournalUnavailable(Unavailable):
    """The journal could not be written (disk full, for one). Nothing of the change was kept."""

    problem = "journal-unavailable"
    title = "The bot's journal cannot be written"


class JournalFromNewerRelease(OrbitBotError):
    """The journal was migrated by a later release; this one does not know its tables."""

    problem = "journal-from-newer-release"
    title = "The journal belongs to a newer release"


class Journal(JournalChanges):
    """The bot's durable state.

    Attributes:
        trouble: what went wrong with the last write, empty while all is well.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], float] = time.time,
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        """Open or create the journal at `path`.

        Args:
            on_trouble: called when `trouble` begins and when it ends.

        Raises:
            JournalUnavailable: it cannot be opened or migrated.
            JournalFromNewerRelease: a later release has migrated it.
        """
        self._now = now
        self._on_trouble = on_trouble
        self._early_receipts = {}
        self.trouble = ""
        with self._translated():
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            with self._translated():
                for pragma in _PRAGMAS:
                    self._db.execute(pragma)
            self._migrate()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._db.close()

    # Messages

    def knows(self, message_id: str) -> bool:
        """Whether the message was journaled before."""
        return bool(self._read("SELECT 1 FROM inbound WHERE id = ?", message_id))

    def record(
        self, event: InboundEvent, media: StoredMedia | None = None, set_aside: SilenceReason | None = None
    ) -> bool:
        """Journal a message, with its report if it is set aside. False if it was known already."""
        now = self._now()
        wanted = event.remote_media if media is None and set_aside is None else None
        with self._transaction():
            self._db.execute("DELETE FROM unread WHERE id = ?", (event.id,))
            added = self._db.execute(
                """
                INSERT INTO inbound (id, chat, contact, is_group, type, text, media, media_size, sent_at,
                                     journaled_at, set_aside, remote_media, sender)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO NOTHING
                """,
                (
                    event.id,
                    event.chat,
                    event.contact,
                    event.group,
                    event.type,
                    event.text,
                    media.digest if media else None,
                    media.size if media else 0,
                    event.sent_at,
                    now,
                    set_aside,
                    None if wanted is None else msgspec.json.encode(wanted),
                    event.sender,
                ),
            ).rowcount
            if event.kind == "message" and not event.group:
                self._db.execute(
                    "INSERT INTO chats (chat, first_at, heard_at) VALUES (?, ?, ?)"
                    " ON CONFLICT (chat) DO UPDATE SET heard_at = excluded.heard_at",
                    (event.chat, now, now),
                )
            if added and set_aside:
                self._queue(
                    SetAside(
                        message_id=event.id,
                        from_=event.contact,
                        type=event.type,
                        sent_at=event.sent_at,
                        journaled_at=now,
                        reason=set_aside,
                        at=now,
                        text=event.text if set_aside == "not_answered" else "",
                    )
                )
        return bool(added)

    def note_unread(self, event: InboundEvent) -> bool:
        """Keep in mind a message that could not be read. False if it was journaled or noted before."""
        with self._transaction():
            return bool(
                self._db.execute(
                    """
                    INSERT INTO unread SELECT ?, ?, ?, ?, ?, ?
                    WHERE NOT EXISTS (SELECT 1 FROM inbound WHERE id = ?)
                    ON CONFLICT (id) DO NOTHING
                    """,
                    (
                        event.id,
                        event.chat,
                        event.contact,
                        event.group,
                        event.sent_at,
                        self._now(),
                        event.id,
                    ),
                ).rowcount
            )

    def give_up_unread(self, before: float) -> list[str]:
        """Set aside, and report, what could not be read and was noted before the Unix time `before`."""
        rows = self._read(
            "SELECT id, chat, contact, is_group, sent_at FROM unread WHERE seen_at < ? ORDER BY seen_at",
            before,
        )
        for message_id, chat, contact, group, sent_at in rows:
            event = InboundEvent(
                id=message_id,
                chat=chat,
                sender=contact,
                type="text",
                sent_at=sent_at,
                group=bool(group),
                kind="undecryptable",
            )
            self.record(event, set_aside="undecryptable")
        return [message_id for message_id, *_ in rows]

    def wanted_media(self) -> tuple[str, str, float, RemoteMedia] | None:
        """The longest wanted voice note: message id, contact, when it was journaled, what to fetch it by."""
        rows = self._read(
            """
            SELECT id, contact, journaled_at, remote_media FROM inbound
            WHERE remote_media IS NOT NULL ORDER BY seq LIMIT 1
            """
        )
        if not rows:
            return None
        ((message_id, contact, journaled_at, wanted),) = rows
        return message_id, contact, journaled_at, msgspec.json.decode(wanted, type=RemoteMedia)

    def settle_media(self, message_id: str, media: StoredMedia | None) -> None:
        """A wanted voice note is there, or (None) will never be."""
        with self._transaction():
            self._db.execute(
                "UPDATE inbound SET remote_media = NULL, media = ?, media_size = ? WHERE id = ?",
                (media.digest if media else None, media.size if media else 0, message_id),
            )

    def pending(self, contact: str) -> tuple[JournaledMessage, ...]:
        """The contact's messages that are not yet in a turn, in order."""
        rows = self._read(
            f"""
            SELECT {_MESSAGE} FROM inbound
            WHERE contact = ? AND turn_id IS NULL AND set_aside IS NULL
            ORDER BY seq
            """,  # noqa: S608  (a constant list of columns)
            contact,
        )
        return tuple(_message(row) for row in rows)

    def contacts_with_work(self) -> list[str]:
        """Contacts with pending messages or a turn under way, the longest waiting first."""
        rows = self._read(
            """
            SELECT contact FROM (
                SELECT contact, min(journaled_at) AS since FROM inbound
                WHERE turn_id IS NULL AND set_aside IS NULL GROUP BY contact
                UNION ALL
                SELECT contact, fixed_at FROM turns WHERE finished_at IS NULL
            ) GROUP BY contact ORDER BY min(since), contact
            """
        )
        return [contact for (contact,) in rows]

    # Turns

    def fix_turn(self, turn_id: str, members: Sequence[JournaledMessage]) -> None:
        """Make the pending `members` one turn. From now on they are never merged differently."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO turns (id, contact, state, fixed_at) VALUES (?, ?, 'fixed', ?)",
                (turn_id, members[0].contact, self._now()),
            )
            for member in members:
                taken = self._db.execute(
                    "UPDATE inbound SET turn_id = ? WHERE id = ? AND turn_id IS NULL AND set_aside IS NULL",
                    (turn_id, member.id),
                ).rowcount
                if taken != 1:
                    raise AssertionError(f"message {member.id} is not pending")

    def turn_under_way(self, contact: str) -> Turn | None:
        """The contact's turn that is not final yet, if there is one."""
        rows = self._read(
            "SELECT id, state FROM turns WHERE contact = ? AND finished_at IS NULL",
            contact,
        )
        if not rows:
            return None
        ((turn_id, state),) = rows
        members = tuple(
            _message(row)
            for row in self._read(
                f"SELECT {_MESSAGE} FROM inbound WHERE turn_id = ? ORDER BY seq",  # noqa: S608  (as above)
                turn_id,
            )
        )
        last = members[-1]
        return Turn(
            id=turn_id,
            contact=contact,
            chat=last.chat,
            group=last.group,
            state=state,
            members=members,
            replaces=tuple(self.replaced_turns([each.id for each in members])),
        )

    def record_answer(self, turn_id: str, parts: Sequence[str]) -> bool:
        """Keep the answer, split for good: a part has one send id for ever.

        False if the turn has ended meanwhile: a person took over, or a message was changed.
        """
        with self._transaction():
            taken = self._db.execute(
                "UPDATE turns SET state = 'answered' WHERE id = ? AND state = 'fixed'", (turn_id,)
            ).rowcount
            if not taken:
                return False
            self._db.executemany(
                "INSERT INTO parts (turn_id, position, send_id, text) VALUES (?, ?, ?, ?)",
                [(turn_id, n, f"{turn_id}-{n}", text) for n, text in enumerate(parts, start=1)],
            )
        return True

    def finish_turn(self, turn_id: str, state: str, reason: str = "", *, report: bool = False) -> None:
        """Make the turn final (`silenced`, `failed`, or `delivered` where the gateway says it was).

        Args:
            report: tell the gateway; False where it was the gateway that decided.
        """
        with self._transaction():
            if self._finish(turn_id, state, reason) and report:
                self._queue(Delivery(turn=turn_id, state="failed", at=self._now(), reason=reason))

    def parts(self, turn_id: str) -> tuple[Part, ...]:
        """The parts of the turn's answer, in order."""
        rows = self._read(
            "SELECT position, send_id, text, state FROM parts WHERE turn_id = ? ORDER BY position", turn_id
        )
        return tuple(
            Part(position=position, send_id=send_id, text=text, state=state)
            for position, send_id, text, state in rows
        )

    def begin_part(self, turn_id: str, position: int, *, maybe_repeated: bool) -> bool:
        """Mark a part as handed to the channel, just before it is; the first one is reported.

        False if the turn has ended meanwhile: the part is not to be sent.
        """
        with self._transaction():
            if self._db.execute(
                "SELECT 1 FROM turns WHERE id = ? AND finished_at IS NOT NULL", (turn_id,)
            ).fetchall():
                return False
            self._db.execute(
                "UPDATE parts SET state = 'sending' WHERE turn_id = ? AND position = ?", (turn_id, position)
            )
            if maybe_repeated:
                self._db.execute("UPDATE turns SET maybe_repeated = 1 WHERE id = ?", (turn_id,))
            begun = self._db.execute(
                "UPDATE turns SET state = 'delivering' WHERE id = ? AND state = 'answered'", (turn_id,)
            ).rowcount
            if begun:
                self._queue(Delivery(turn=turn_id, state="delivering", at=self._now()))
        return True

    def withdraw_part(self, turn_id: str, position: int) -> None:
        """Take a mark back: the channel says that the part certainly did not leave."""
        with self._transaction():
            self._db.execute(
                "UPDATE parts SET state = 'pending' WHERE turn_id = ? AND position = ?", (turn_id, position)
            )

    def finish_part(self, turn_id: str, position: int) -> bool:
        """Mark a part as sent. After the last one the turn is delivered, which is reported: True."""
        with self._transaction():
            self._db.execute(
                "UPDATE parts SET state = 'sent' WHERE turn_id = ? AND position = ?", (turn_id, position)
            )
            ((unsent,),) = self._db.execute(
                "SELECT count(*) FROM parts WHERE turn_id = ? AND state <> 'sent'", (turn_id,)
            ).fetchall()
            if unsent or not self._finish(turn_id, "delivered", ""):
                return False
            ((repeated,),) = self._db.execute(
                "SELECT maybe_repeated FROM turns WHERE id = ?", (turn_id,)
            ).fetchall()
            self._queue(
                Delivery(turn=turn_id, state="delivered", at=self._now(), maybe_repeated=bool(repeated))
            )
        return True

    def backlog(self) -> int:
        """Turns not yet answered; a contact's pending messages count as one."""
        ((count,),) = self._read(
            """
            SELECT (SELECT count(*) FROM turns WHERE finished_at IS NULL AND state = 'fixed')
                 + (SELECT count(DISTINCT contact) FROM inbound WHERE turn_id IS NULL AND set_aside IS NULL)
            """
        )
        return int(count)

    # Reports

    def next_reports(self, limit: int) -> list[QueuedReport]:
        """The oldest reports that the gateway has not accepted, in order."""
        rows = self._read(
            "SELECT seq, body FROM reports WHERE refused IS NULL ORDER BY seq LIMIT ?",
            limit,
        )
        return [QueuedReport(seq, body) for seq, body in rows]

    def forget_reports(self, accepted: Sequence[QueuedReport]) -> None:
        """Drop reports that the gateway has."""
        with self._transaction():
            self._db.executemany("DELETE FROM reports WHERE seq = ?", [(each.seq,) for each in accepted])

    def refuse_report(self, report: QueuedReport, reason: str) -> None:
        """Take a report that the gateway will never accept out of the queue, and keep it to look at."""
        with self._transaction():
            self._db.execute("UPDATE reports SET refused = ? WHERE seq = ?", (reason, report.seq))

    # Notices

    def note_notice(self, turn_id: str) -> bool:
        """Mark that a turn's contact is told to wait, before it is. False if it was marked already."""
        with self._transaction():
            return bool(
                self._db.execute(
                    "INSERT INTO state VALUES (?, x'') ON CONFLICT (key) DO NOTHING", (f"notice:{turn_id}",)
                ).rowcount
            )

    # Settings

    def settings(self) -> BotSettings:
        """The settings the gateway gave last; the defaults before the first time."""
        rows = self._read("SELECT value FROM state WHERE key = 'settings'")
        return msgspec.json.decode(rows[0][0], type=BotSettings) if rows else BotSettings()

    def keep_settings(self, settings: BotSettings) -> None:
        """Keep settings for when the gateway is away."""
        with self._transaction():
            self._db.execute(
                """
                INSERT INTO state VALUES ('settings', ?)
                ON CONFLICT (key) DO UPDATE SET value = excluded.value
                """,
                (msgspec.json.encode(settings),),
            )

    # After a restore of the database

    def told_after(self) -> str:
        """The id of the restore after which everything was told again; empty for none."""
        rows = self._read("SELECT value FROM state WHERE key = 'told_after'")
        return str(rows[0][0], "utf-8") if rows else ""

    def keep_told_after(self, restored_id: str) -> None:
        """Everything since this restore's moment was told."""
        with self._transaction():
            self._db.execute(
                """
                INSERT INTO state VALUES ('told_after', ?)
                ON CONFLICT (key) DO UPDATE SET value = excluded.value
                """,
                (restored_id.encode(),),
            )

    def settled_turns(self, since: float, after: int, limit: int) -> list[tuple[int, JournaledTurn]]:
        """Turns that the gateway has settled and that were under way at the Unix time `since` or later.

        Args:
            after: the position of the last one of the batch before; 0 for the first batch.

        Returns:
            At most `limit` positions and turns, in order.
        """
        rows = self._read(
            """
            SELECT seq, id, contact, state, reason, maybe_repeated, fixed_at, finished_at FROM turns
            WHERE seq > ? AND state <> 'fixed' AND (finished_at IS NULL OR finished_at >= ?)
              AND EXISTS (SELECT 1 FROM inbound WHERE turn_id = turns.id)
            ORDER BY seq LIMIT ?
            """,
            after,
            since,
            limit,
        )
        found = []
        for seq, turn_id, contact, state, reason, repeated, fixed_at, finished_at in rows:
            members = [
                _message(row)
                for row in self._read(
                    f"SELECT {_MESSAGE} FROM inbound WHERE turn_id = ? ORDER BY seq",  # noqa: S608  (constant)
                    turn_id,
                )
            ]
            turn = JournaledTurn(
                id=turn_id,
                contact=contact,
                type="voice" if any(each.type == "voice" for each in members) else "text",
                message="\n".join(each.text for each in members if each.type == "text"),
                members=[Member(each.id, each.type, each.sent_at, each.journaled_at) for each in members],
                state=state,
                fixed_at=fixed_at,
                finished_at=finished_at,
                reason=reason,
                response="\n".join(part.text for part in self.parts(turn_id)),
                maybe_repeated=bool(repeated),
            )
            found.append((seq, turn))
        return found

    def set_aside_since(self, since: float, after: int, limit: int) -> list[tuple[int, SetAside]]:
        """Messages set aside at the Unix time `since` or later, as `settled_turns` gives turns."""
        rows = self._read(
            """
            SELECT seq, id, contact, type, sent_at, journaled_at, set_aside FROM inbound
            WHERE seq > ? AND set_aside IS NOT NULL AND journaled_at >= ? ORDER BY seq LIMIT ?
            """,
            after,
            since,
            limit,
        )
        return [
            (
                seq,
                SetAside(
                    message_id=message_id, from_=contact, type=kind, sent_at=sent_at,
                    journaled_at=journaled_at, reason=reason, at=journaled_at,
                ),
            )
            for seq, message_id, contact, kind, sent_at, journaled_at, reason in rows
        ]  # fmt: skip

    # Forgetting a contact

    def forget(self, contact: str) -> bool:
        """Delete everything of a contact that is final, and keep in mind that it is to be forgotten.

        Returns:
            Whether that was everything; else it has to be repeated when the contact's turn is final.
        """
        with self._transaction():
            turns = self._db.execute(
                "SELECT id FROM turns WHERE contact = ? AND finished_at IS NOT NULL", (contact,)
            ).fetchall()
            self._delete_turns(turns)
            self._db.execute("DELETE FROM inbound WHERE contact = ? AND set_aside IS NOT NULL", (contact,))
            self._db.execute("DELETE FROM unread WHERE contact = ?", (contact,))
            self._db.execute(
                "DELETE FROM reports WHERE :contact IN (json_extract(CAST(body AS TEXT), '$.from'),"
                " json_extract(CAST(body AS TEXT), '$.contact'))",
                {"contact": contact},
            )
            self._forget_chat(contact)
            ((left,),) = self._db.execute(
                """
                SELECT (SELECT count(*) FROM turns WHERE contact = :contact)
                     + (SELECT count(*) FROM inbound WHERE contact = :contact)
                """,
                {"contact": contact},
            ).fetchall()
            if left:
                self._db.execute(
                    "INSERT INTO to_forget VALUES (?) ON CONFLICT (contact) DO NOTHING", (contact,)
                )
            else:
                self._db.execute("DELETE FROM to_forget WHERE contact = ?", (contact,))
                salt = secrets.token_hex(16)
                digest = hashlib.sha256((salt + contact).encode()).hexdigest()
                self._db.execute("INSERT INTO forgotten VALUES (?, ?, ?)", (salt, digest, self._now()))
        if not left:
            self._read("PRAGMA wal_checkpoint(TRUNCATE)")  # what was deleted is in no file any more
        return not left

    def to_forget(self) -> list[str]:
        """Contacts of whom something was under way when they were to be forgotten."""
        return [contact for (contact,) in self._read("SELECT contact FROM to_forget ORDER BY contact")]

    def forgotten_since(self, since: float) -> list[Forgotten]:
        """Whom the journal was told to forget at the Unix time `since` or later."""
        rows = self._read("SELECT salt, digest, at FROM forgotten WHERE at >= ? ORDER BY at", since)
        return [Forgotten(salt, digest, at) for salt, digest, at in rows]

    # Keeping it small

    def media_in_use(self) -> set[str]:
        """Digests of the voice notes that a message not yet final still needs."""
        rows = self._read(
            """
            SELECT DISTINCT media FROM inbound LEFT JOIN turns ON turns.id = inbound.turn_id
            WHERE media IS NOT NULL AND set_aside IS NULL AND finished_at IS NULL
            """
        )
        return {digest for (digest,) in rows}

    def trim(self, before: float, limit: int = 500) -> int:
        """Delete what became final before the Unix time `before`, at most `limit` turns and as many
        messages set aside, so that it never holds up the bot. Returns how many of both went."""
        with self._transaction():
            turns = self._db.execute(
                "SELECT id FROM turns WHERE finished_at < ? ORDER BY finished_at LIMIT ?", (before, limit)
            ).fetchall()
            self._delete_turns(turns)
            self._db.execute("DELETE FROM sends WHERE finished_at < ?", (before,))
            aside = self._db.execute(
                """
                DELETE FROM inbound WHERE seq IN (
                    SELECT seq FROM inbound WHERE set_aside IS NOT NULL AND journaled_at < ? LIMIT ?)
                """,
                (before, limit),
            ).rowcount
            self._db.execute("DELETE FROM forgotten WHERE at < ?", (self._now() - FORGOTTEN_KEPT,))
        return len(turns) + aside

    # Inner parts

    def _migrate(self) -> None:
        ((version,),) = self._read("PRAGMA user_version")
        if version > len(MIGRATIONS):
            raise JournalFromNewerRelease(
                f"the journal has version {version}, this release knows {len(MIGRATIONS)}: "
                "run the release that wrote it, or a later one"
            )
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            with self._transaction():
                for statement in statements:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number}")

    def _finish(self, turn_id: str, state: str, reason: str) -> bool:
        """Make a turn final; False if it is already."""
        ended = self._db.execute(
            "UPDATE turns SET state = ?, reason = ?, finished_at = ? WHERE id = ? AND finished_at IS NULL"
            " RETURNING contact",
            (state, reason, self._now(), turn_id),
        ).fetchall()
        for (contact,) in ended:  # what the ledger has got under a name that is known to be another's by now
            for (number,) in self._db.execute("SELECT contact FROM aliases WHERE alias = ?", (contact,)):
                self._queue(SameContact(contact=number, other=contact, at=self._now()))
        return bool(ended)

    def _delete_turns(self, turns: Sequence[tuple[str]]) -> None:
        self._db.executemany("DELETE FROM parts WHERE turn_id = ?", turns)
        self._db.executemany("DELETE FROM state WHERE key = 'notice:' || ?", turns)
        self._db.executemany("DELETE FROM inbound WHERE turn_id = ?", turns)
        self._db.executemany("DELETE FROM replaced WHERE turn_id = ?", turns)
        self._db.executemany("DELETE FROM turns WHERE id = ?", turns)

    def _queue(self, report: Report) -> int:
        """Returns the report's place in the queue."""
        inserted = self._db.execute("INSERT INTO reports (body) VALUES (?)", (msgspec.json.encode(report),))
        return inserted.lastrowid or 0

    def _read(self, query: str, *parameters: object) -> list[Any]:
        with self._translated():
            return self._db.execute(query, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        self._set_trouble("")

    def _set_trouble(self, trouble: str) -> None:
        changed = bool(trouble) != bool(self.trouble)
        self.trouble = trouble
        if changed:
            self._on_trouble()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):  # a mistake of ours
                raise
            self._set_trouble(str(error))
            raise JournalUnavailable(f"the journal cannot be used: {error}") from error


_MESSAGE: Final = (
    # as _message reads
    "id, chat, contact, is_group, type, text, media, media_size, sent_at, journaled_at,"
    " remote_media IS NOT NULL"
)


def _message(row: Sequence[Any]) -> JournaledMessage:
    message_id, chat, contact, group, kind, text, media, media_size, sent_at, journaled_at, awaits = row
    return msgspec.convert(
        {
            "id": message_id,
            "chat": chat,
            "contact": contact,
            "group": bool(group),
            "type": kind,
            "text": text,
            "media": None if media is None else {"digest": media, "size": media_size},
            "sent_at": sent_at,
            "journaled_at": journaled_at,
            "awaits_media": bool(awaits),
        },
        JournaledMessage,
    )
