"""The part of the journal that knows what changed: edited and deleted messages, a person who took over,
two names of one contact, messages that the API sends.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal

import msgspec

from orbitbot.contracts.commands import SendMessage
from orbitbot.contracts.reports import (
    Changed,
    Delivery,
    Receipt,
    Report,
    Resumed,
    SameContact,
    SendOutcome,
    SetAside,
    TakenOver,
)

EARLY_RECEIPTS: Final = 200  # that are kept in mind: a phone may be quicker than the answer to the send
INTERRUPTIBLE: Final = ("fixed", "answered")  # states of a turn of whose answer nothing has left

SendState = Literal["waiting", "sending", "sent", "failed"]


class PendingSend(msgspec.Struct, frozen=True):
    """A message that the API sends and the journal has not marked as sent or failed."""

    id: str
    order: SendMessage
    state: SendState
    expires_at: float
    kept_at: float


class JournalChanges(ABC):
    """Inherited by `Journal`, which has the file."""

    _db: sqlite3.Connection
    _now: Callable[[], float]
    _early_receipts: dict[str, Literal["delivered", "read"]]  # of messages that may yet be marked as sent

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _read(self, query: str, *parameters: object) -> list[Any]: ...

    @abstractmethod
    def _queue(self, report: Report) -> int: ...

    @abstractmethod
    def _finish(self, turn_id: str, state: str, reason: str) -> bool: ...

    # Edited and deleted

    def change_message(self, message_id: str, sender: str, new: str) -> str | None:
        """A message's writer has edited it, or taken it back (`new` is empty).

        Before any of the answer has left, its turn is given up and its messages wait for a new one.

        Returns:
            Whose conversation has to be looked at again; None if nothing is to be done.
        """
        rows = self._read(
            """
            SELECT inbound.contact, inbound.sender, inbound.type, inbound.text, inbound.sent_at,
                   inbound.journaled_at, inbound.set_aside, turns.id, turns.state
            FROM inbound LEFT JOIN turns ON turns.id = inbound.turn_id WHERE inbound.id = ?
            """,
            message_id,
        )
        if not rows:
            return None
        ((contact, wrote, kind, old, sent_at, journaled_at, aside, turn_id, state),) = rows
        if sender not in {wrote, contact} or aside is not None or old == new:
            return None
        now = self._now()
        reason: Literal["edited", "deleted"] = "edited" if new else "deleted"
        with self._transaction():
            if state in INTERRUPTIBLE:
                self._give_up(turn_id, reason)
            elif turn_id is not None:
                self._queue(Changed(message_id=message_id, turn=turn_id, old=old, new=new, at=now))
            if new or (turn_id is not None and state not in INTERRUPTIBLE):
                self._db.execute("UPDATE inbound SET text = ? WHERE id = ?", (new, message_id))
            else:
                self._db.execute(
                    "UPDATE inbound SET text = '', set_aside = 'deleted', media = NULL, remote_media = NULL"
                    " WHERE id = ?",
                    (message_id,),
                )
                self._queue(
                    SetAside(
                        message_id=message_id, from_=contact, type=kind, sent_at=sent_at,
                        journaled_at=journaled_at, reason="deleted", at=now,
                    )
                )  # fmt: skip
        return str(contact)

    def _give_up(self, turn_id: str, reason: str) -> None:
        """End a turn of whose answer nothing has left; its messages wait for another."""
        self._db.execute(
            "INSERT OR IGNORE INTO replaced (message_id, turn_id)"
            " SELECT id, ? FROM inbound WHERE turn_id = ?",
            (turn_id, turn_id),
        )
        self._db.execute("UPDATE inbound SET turn_id = NULL WHERE turn_id = ?", (turn_id,))
        self._db.execute("DELETE FROM parts WHERE turn_id = ?", (turn_id,))
        self._finish(turn_id, "silenced", reason)
        self._queue(Delivery(turn=turn_id, state="silenced", at=self._now(), reason=reason))

    def replaced_turns(self, message_ids: Sequence[str]) -> list[str]:
        """Ids of the turns that these messages were in before they, or their neighbours, were changed."""
        rows = self._read(
            "SELECT DISTINCT turn_id FROM replaced WHERE message_id IN (SELECT value FROM json_each(?))"
            " ORDER BY turn_id",
            msgspec.json.encode(list(message_ids)).decode(),
        )
        return [turn_id for (turn_id,) in rows]

    # A person at the phone

    def end_turn(self, contact: str, reason: Literal["human_took_over"]) -> None:
        """Send no more of the answer to the contact's turn under way, if there is one."""
        rows = self._read("SELECT id, state FROM turns WHERE contact = ? AND finished_at IS NULL", contact)
        if not rows:
            return
        with self._transaction():
            for turn_id, state in rows:
                if state == "fixed":  # the gateway may not even have it: its messages are posted again
                    self._give_up(turn_id, reason)
                    continue
                left = self._db.execute(
                    "SELECT text FROM parts WHERE turn_id = ? AND state <> 'pending' ORDER BY position",
                    (turn_id,),
                ).fetchall()
                self._finish(turn_id, "silenced", reason)
                sent = "\n".join(part for (part,) in left)
                self._queue(
                    Delivery(turn=turn_id, state="silenced", at=self._now(), reason=reason, sent=sent)
                )

    def take_over(
        self, contact: str, message_id: str, text: str, *, at: float, minutes: float | None
    ) -> None:
        """A person has written to the contact: what is under way for it is not sent (any further)."""
        self.end_turn(contact, "human_took_over")
        with self._transaction():
            seq = self._queue(
                TakenOver(contact=contact, message_id=message_id, text=text, at=at, minutes=minutes)
            )
            self._hold(contact, seq)

    def hand_back(self, contact: str, *, at: float) -> None:
        """A person lets the assistant answer the contact again."""
        with self._transaction():
            self._hold(contact, self._queue(Resumed(contact=contact, at=at)))

    def _hold(self, contact: str, seq: int) -> None:
        self._db.execute(
            "INSERT INTO held (contact, report) VALUES (?, ?)"
            " ON CONFLICT (contact) DO UPDATE SET report = excluded.report",
            (contact, seq),
        )

    def is_held(self, contact: str) -> bool:
        """Whether nothing of the contact may be posted yet: the gateway has not heard what a person at the
        phone did, or another name of the same person has a turn under way."""
        return bool(
            self._read(
                """
                SELECT 1 FROM held JOIN reports ON reports.seq = held.report
                WHERE held.contact = ? AND reports.refused IS NULL
                UNION ALL
                SELECT 1 FROM aliases JOIN turns ON turns.contact = aliases.alias
                WHERE aliases.contact = ? AND turns.finished_at IS NULL
                """,
                contact,
                contact,
            )
        )

    # Two names of one contact

    def contact_of(self, name: str) -> str:
        """The number of a contact known by a LID; the name itself where no other is known."""
        rows = self._read("SELECT contact FROM aliases WHERE alias = ?", name)
        return str(rows[0][0]) if rows else name

    def learn_alias(self, alias: str, contact: str) -> bool:
        """`alias` (a LID) is the contact with this number. What waits under it goes on under the number."""
        if self._read("SELECT 1 FROM aliases WHERE alias = ? AND contact = ?", alias, contact):
            return False
        with self._transaction():
            self._db.execute(
                "INSERT INTO aliases (alias, contact) VALUES (?, ?)"
                " ON CONFLICT (alias) DO UPDATE SET contact = excluded.contact",
                (alias, contact),
            )
            known = self._db.execute(
                "SELECT 1 FROM inbound WHERE contact = ? UNION SELECT 1 FROM turns WHERE contact = ?",
                (alias, alias),
            ).fetchall()
            self._db.execute(
                "UPDATE inbound SET contact = ?, chat = ?"
                " WHERE contact = ? AND turn_id IS NULL AND set_aside IS NULL AND NOT is_group",
                (contact, contact, alias),
            )
            self._db.execute("UPDATE inbound SET sender = ? WHERE sender = ?", (contact, alias))
            self._db.execute(
                "INSERT INTO chats SELECT ?, first_at, heard_at, opened_at FROM chats WHERE chat = ?"
                " ON CONFLICT (chat) DO UPDATE SET heard_at = max(heard_at, excluded.heard_at)",
                (contact, alias),
            )
            if known:
                self._queue(SameContact(contact=contact, other=alias, at=self._now()))
        return True

    # Chats, and what the API sends into them

    def has_written(self, chat: str) -> bool:
        """Whether anybody has ever written to the bot from this chat."""
        return bool(self._read("SELECT 1 FROM chats WHERE chat = ? AND heard_at IS NOT NULL", chat))

    def is_open(self, chat: str) -> bool:
        """Whether there is a conversation: the contact has written, or the bot has opened one before."""
        return bool(self._read("SELECT 1 FROM chats WHERE chat = ?", chat))

    def opened_since(self, since: float) -> int:
        """How many chats the bot has opened since the Unix time `since`."""
        ((count,),) = self._read("SELECT count(*) FROM chats WHERE opened_at >= ?", since)
        return int(count)

    def linked_since(self, number: str) -> float:
        """Since when (Unix time) the bot has answered this number; it is kept the first time."""
        key = f"linked:{number}"
        rows = self._read("SELECT value FROM state WHERE key = ?", key)
        if rows:
            return float(rows[0][0])
        with self._transaction():
            self._db.execute("INSERT INTO state VALUES (?, ?)", (key, str(self._now()).encode()))
        return self._now()

    def wrote(self, message_id: str) -> tuple[str, str]:
        """Who wrote a message, and its text; empty where that is not known."""
        rows = self._read("SELECT sender, text FROM inbound WHERE id = ?", message_id)
        return (str(rows[0][0]), str(rows[0][1])) if rows else ("", "")

    def keep_send(self, order: SendMessage, expires_at: float) -> bool:
        """Keep a message that the API sends. False if it was kept before."""
        with self._transaction():
            return bool(
                self._db.execute(
                    "INSERT INTO sends (id, chat, body, state, expires_at, kept_at)"
                    " VALUES (?, ?, ?, 'waiting', ?, ?) ON CONFLICT (id) DO NOTHING",
                    (order.send, order.to, msgspec.json.encode(order), expires_at, self._now()),
                ).rowcount
            )

    def pending_sends(self) -> list[PendingSend]:
        """What has still to be sent, oldest first."""
        rows = self._read(
            "SELECT id, body, state, expires_at, kept_at FROM sends"
            " WHERE state IN ('waiting', 'sending') ORDER BY seq"
        )
        return [
            PendingSend(send_id, msgspec.json.decode(body, type=SendMessage), state, expires_at, kept_at)
            for send_id, body, state, expires_at, kept_at in rows
        ]

    def begin_send(self, send_id: str) -> None:
        """Mark a message as handed to the channel, just before it is."""
        with self._transaction():
            self._db.execute("UPDATE sends SET state = 'sending' WHERE id = ?", (send_id,))

    def hold_send(self, send_id: str, reason: str, *, left_perhaps: bool = False) -> None:
        """It waits, and has not left unless `left_perhaps`; the reason is told when it is a new one."""
        with self._transaction():
            if not left_perhaps:
                self._db.execute("UPDATE sends SET state = 'waiting' WHERE id = ?", (send_id,))
            told = self._db.execute(
                "UPDATE sends SET reason = ? WHERE id = ? AND reason <> ?", (reason, send_id, reason)
            ).rowcount
            if told:
                self._queue(SendOutcome(send=send_id, state="waiting", at=self._now(), reason=reason))

    def finish_send(
        self, send_id: str, chat: str, *, message_id: str = "", failure: str = "", sent: bool
    ) -> None:
        """It has left, or never will."""
        now = self._now()
        with self._transaction():
            self._db.execute(
                "UPDATE sends SET state = ?, message_id = ?, finished_at = ? WHERE id = ?",
                ("sent" if sent else "failed", message_id, now, send_id),
            )
            if sent and chat:
                self._db.execute(
                    "INSERT INTO chats (chat, first_at, opened_at) VALUES (?, ?, ?)"
                    " ON CONFLICT (chat) DO NOTHING",
                    (chat, now, now),
                )
            self._queue(
                SendOutcome(
                    send=send_id,
                    state="sent" if sent else "failed",
                    at=now,
                    reason=failure,
                    message_id=message_id,
                )
            )
            if early := self._early_receipts.pop(message_id, None):
                self._queue(Receipt(message_ids=[message_id], state=early, at=now))

    def note_receipt(self, message_ids: Sequence[str], state: Literal["delivered", "read"]) -> bool:
        """A contact's phone has messages, or they were read. False if none of them is of the API's."""
        known = [each for each in message_ids if self._read("SELECT 1 FROM sends WHERE message_id = ?", each)]
        if known:
            with self._transaction():
                self._queue(Receipt(message_ids=known, state=state, at=self._now()))
        for each in set(message_ids) - set(known):
            self._early_receipts[each] = state
        while len(self._early_receipts) > EARLY_RECEIPTS:
            del self._early_receipts[next(iter(self._early_receipts))]
        return bool(known)

    def undelivered(self) -> int:
        """Messages of the API's and answers that have not left."""
        ((count,),) = self._read(
            """
            SELECT (SELECT count(*) FROM sends WHERE state IN ('waiting', 'sending'))
                 + (SELECT count(*) FROM turns
                    WHERE finished_at IS NULL AND state IN ('answered', 'delivering'))
            """
        )
        return int(count)

    def _forget_chat(self, contact: str) -> None:
        """Delete what is kept of a contact beside its messages, within the caller's transaction."""
        self._db.execute("DELETE FROM sends WHERE chat = ?", (contact,))
        self._db.execute("DELETE FROM chats WHERE chat = ?", (contact,))
        self._db.execute("DELETE FROM held WHERE contact = ?", (contact,))
        self._db.execute("DELETE FROM aliases WHERE contact = ?", (contact,))

    # Machines at the other end

    def answered_since(self, contact: str, since: float) -> int:
        """How many turns of the contact were answered since the Unix time `since`."""
        ((count,),) = self._read(
            "SELECT count(*) FROM turns WHERE contact = ? AND state = 'delivered' AND finished_at >= ?",
            contact,
            since,
        )
        return int(count)

    def set_pending_aside(self, message_ids: Sequence[str], reason: Literal["loop"]) -> None:
        """Messages that wait are not answered after all, which is reported."""
        with self._transaction():
            for message_id in message_ids:
                ((contact, kind, sent_at, journaled_at, text),) = self._db.execute(
                    "UPDATE inbound SET set_aside = ? WHERE id = ? AND turn_id IS NULL"
                    " RETURNING contact, type, sent_at, journaled_at, text",
                    (reason, message_id),
                ).fetchall()
                self._queue(
                    SetAside(
                        message_id=message_id, from_=contact, type=kind, sent_at=sent_at,
                        journaled_at=journaled_at, reason=reason, at=self._now(), text=text,
                    )
                )  # fmt: skip
