"""What changes the memory of a conversation afterwards: edits, answers that were not sent, people who write
themselves, contacts with two names.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, LiteralString

from orbitbot.contracts.reports import Changed, Delivery, Resumed, SameContact, SetAside, TakenOver
from orbitbot.foundation.database import Connection

_HIDE = """
INSERT INTO turn_changes (client_id, turn_id, contact, hidden)
SELECT client_id, id, contact, true FROM turns WHERE client_id = %(client)s AND id = ANY(%(turns)s)
ON CONFLICT (client_id, turn_id) DO UPDATE SET hidden = true, at = clock_timestamp()
"""
_GIVE_UP = """
UPDATE turns SET state = 'silenced', reason = 'edited', finished_at = clock_timestamp(),
                 claimed_by = NULL, claimed_until = NULL
WHERE client_id = %(client)s AND id = ANY(%(turns)s) AND state NOT IN ('delivered', 'silenced', 'failed')
"""
_NOT_SENT = """
INSERT INTO turn_changes (client_id, turn_id, contact, hidden, answer)
SELECT client_id, id, contact, %(hidden)s, %(sent)s FROM turns WHERE client_id = %(client)s AND id = %(turn)s
ON CONFLICT (client_id, turn_id) DO UPDATE
SET hidden = turn_changes.hidden OR EXCLUDED.hidden, answer = EXCLUDED.answer, at = clock_timestamp()
"""
_QUESTION = """
SELECT t.contact, coalesce(c.question, e.question, t.message)
FROM turns t
LEFT JOIN exchanges e ON e.client_id = t.client_id AND e.turn_id = t.id
LEFT JOIN turn_changes c ON c.client_id = t.client_id AND c.turn_id = t.id
WHERE t.client_id = %s AND t.id = %s
FOR UPDATE OF t
"""
_CHANGE_QUESTION = """
INSERT INTO turn_changes (client_id, turn_id, contact, question)
VALUES (%(client)s, %(turn)s, %(contact)s, %(question)s)
ON CONFLICT (client_id, turn_id) DO UPDATE SET question = EXCLUDED.question, at = clock_timestamp()
"""
_CHANGE_TURN = "UPDATE turns SET message = %(question)s WHERE client_id = %(client)s AND id = %(turn)s"
_REMEMBER = """
INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source, created_at)
VALUES (%(client)s, %(id)s, %(contact)s, %(question)s, %(answer)s, '', %(source)s, to_timestamp(%(at)s))
ON CONFLICT (client_id, turn_id) DO NOTHING
"""
# A pause that lasts longer already is not shortened.
_PAUSE = """
INSERT INTO paused_chats (client_id, contact, reason, author, until)
VALUES (%(client)s, %(contact)s, 'a person has taken over', %(author)s,
        CASE WHEN %(time)s::interval IS NULL THEN NULL ELSE to_timestamp(%(at)s) + %(time)s::interval END)
ON CONFLICT (client_id, contact) DO UPDATE
SET reason = EXCLUDED.reason, author = EXCLUDED.author, since = now(),
    until = CASE WHEN paused_chats.until IS NULL OR EXCLUDED.until IS NULL THEN NULL
                 ELSE greatest(paused_chats.until, EXCLUDED.until) END
"""
_RESUME = "DELETE FROM paused_chats WHERE client_id = %(client)s AND contact = %(contact)s"

# Of what there can be only one, the number's own counts.
_SAME_CONTACT: Final[tuple[LiteralString, ...]] = (
    "UPDATE turns SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s",
    "UPDATE messages SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s",
    "UPDATE exchanges SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s",
    "UPDATE turn_changes SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s",
    "UPDATE client_events SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s",
    "UPDATE sends SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s",
    """UPDATE summaries SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s
       AND NOT EXISTS (SELECT FROM summaries WHERE client_id = %(client)s AND contact = %(contact)s)""",
    "DELETE FROM summaries WHERE client_id = %(client)s AND contact = %(other)s",
    """UPDATE contact_facts SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s
       AND NOT EXISTS (SELECT FROM contact_facts WHERE client_id = %(client)s AND contact = %(contact)s)""",
    "DELETE FROM contact_facts WHERE client_id = %(client)s AND contact = %(other)s",
    """UPDATE paused_chats SET contact = %(contact)s WHERE client_id = %(client)s AND contact = %(other)s
       AND NOT EXISTS (SELECT FROM paused_chats WHERE client_id = %(client)s AND contact = %(contact)s)""",
    "DELETE FROM paused_chats WHERE client_id = %(client)s AND contact = %(other)s",
)


async def give_up(connection: Connection, client_id: str, turns: Sequence[str]) -> None:
    """Turns in whose place another is posted: nobody was answered, and nobody will be."""
    fields = {"client": client_id, "turns": list(turns)}
    await connection.execute(_GIVE_UP, fields)
    await connection.execute(_HIDE, fields)


async def not_sent(connection: Connection, client_id: str, report: Delivery) -> None:
    """An answer did not leave (whole). Of an edited question nothing is remembered: it comes again."""
    hidden = report.reason in {"edited", "deleted"}
    fields = {"client": client_id, "turn": report.turn, "hidden": hidden, "sent": report.sent}
    await connection.execute(_NOT_SENT, fields)


async def changed(connection: Connection, client_id: str, report: Changed) -> None:
    """A message was edited or deleted after it was answered."""
    row = await (await connection.execute(_QUESTION, (client_id, report.turn))).fetchone()
    if row is None:
        return
    contact, question = row
    fields = {
        "client": client_id,
        "turn": report.turn,
        "contact": contact,
        "question": with_change(question, report.old, report.new),
    }
    await connection.execute(_CHANGE_QUESTION, fields)
    await connection.execute(_CHANGE_TURN, fields)


def with_change(question: str, old: str, new: str) -> str:
    """A question of several messages, one of which has changed from `old` to `new` (empty: it is gone)."""
    lines, gone = question.split("\n"), old.split("\n")
    for start in range(len(lines) - len(gone) + 1):
        if lines[start : start + len(gone)] == gone:
            lines[start : start + len(gone)] = [new] if new else []
            return "\n".join(lines)
    return f"{question}\n{new}" if new else question


async def taken_over(connection: Connection, client_id: str, report: TakenOver) -> None:
    """A person has written to a contact from the phone."""
    if report.text:
        await remember(
            connection,
            client_id,
            report.contact,
            f"person:{report.message_id}",
            said=report.text,
            at=report.at,
        )
    await pause(connection, client_id, report.contact, author="phone", at=report.at, minutes=report.minutes)


async def remember(
    connection: Connection,
    client_id: str,
    contact: str,
    key: str,
    *,
    said: str = "",
    heard: str = "",
    at: float,
) -> None:
    """Keep as context what a person said to a contact, or what came from one and is not answered."""
    fields = {
        "client": client_id,
        "id": key,
        "contact": contact,
        "question": heard,
        "answer": said,
        "source": "person" if said else "note",
        "at": at,
    }
    await connection.execute(_REMEMBER, fields)


async def pause(
    connection: Connection, client_id: str, contact: str, *, author: str, at: float, minutes: float | None
) -> None:
    """Be silent in a chat; None: until somebody resumes it."""
    time = None if minutes is None else timedelta(minutes=minutes)
    fields: dict[str, Any] = {
        "client": client_id, "contact": contact, "author": author, "at": at, "time": time
    }  # fmt: skip
    await connection.execute(_PAUSE, fields)


async def apply(
    connection: Connection,
    client_id: str,
    report: Changed | TakenOver | Resumed | SameContact | SetAside,
) -> None:
    """Change the memory as a report says."""
    match report:
        case Changed():
            await changed(connection, client_id, report)
        case TakenOver():
            await taken_over(connection, client_id, report)
        case Resumed():
            await connection.execute(_RESUME, {"client": client_id, "contact": report.contact})
        case SameContact():
            fields = {"client": client_id, "contact": report.contact, "other": report.other}
            for statement in _SAME_CONTACT:
                await connection.execute(statement, fields)
        case SetAside(text=text) if text:
            key = f"note:{report.message_id}"
            await remember(connection, client_id, report.from_, key, heard=text, at=report.sent_at)
