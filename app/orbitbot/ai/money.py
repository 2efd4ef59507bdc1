"""Money: set aside before a call, settled after it, never more than the client's budget.

What a call may cost at most is reserved in one transaction that no other of the same client overtakes, so
that any number of calls at once stays within the budget. A reservation whose process died is never given
back: it counts as spent, for the provider may well want to be paid.
"""

import uuid
from datetime import date, datetime
from typing import Final

import msgspec

from orbitbot.ai.providers.base import Purpose
from orbitbot.foundation.database import Database
from orbitbot.plugins.zones import zone_of

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('orbitbot.budget:' || %s, 0))"

_RESERVE = """
WITH used AS (
    SELECT coalesce(sum(usd) FILTER (WHERE day = %(day)s), 0) AS day, coalesce(sum(usd), 0) AS month
    FROM (
        SELECT day, cost_usd AS usd FROM spending
        WHERE client_id = %(client_id)s AND day >= %(month)s AND own_key = %(own_key)s
        UNION ALL
        SELECT day, amount_usd FROM reservations
        WHERE client_id = %(client_id)s AND day >= %(month)s AND own_key = %(own_key)s
    ) AS each
), made AS (
    INSERT INTO reservations (client_id, id, day, own_key, amount_usd)
    SELECT %(client_id)s, %(id)s, %(day)s, %(own_key)s, %(amount)s
    FROM used
    WHERE (%(day_limit)s::numeric IS NULL OR used.day + %(amount)s::numeric <= %(day_limit)s::numeric)
      AND (%(month_limit)s::numeric IS NULL OR used.month + %(amount)s::numeric <= %(month_limit)s::numeric)
    RETURNING id
)
SELECT EXISTS (SELECT FROM made),
       %(day_limit)s::numeric IS NOT NULL AND used.day + %(amount)s::numeric > %(day_limit)s::numeric
FROM used
"""

_SETTLE = """
WITH reserved AS (
    DELETE FROM reservations WHERE client_id = %(client_id)s AND id = %(id)s RETURNING day
), called AS (
    INSERT INTO ai_calls (client_id, id, turn_id, purpose, model, own_key, outcome, prompt_tokens,
                          completion_tokens, cost_usd, estimated, milliseconds)
    VALUES (%(client_id)s, %(id)s, %(turn)s, %(purpose)s, %(model)s, %(own_key)s, %(outcome)s,
            %(prompt_tokens)s, %(completion_tokens)s, %(cost)s, %(estimated)s, %(milliseconds)s)
)
INSERT INTO spending AS s (client_id, day, model, own_key, calls, prompt_tokens, completion_tokens, cost_usd)
VALUES (%(client_id)s, coalesce((SELECT day FROM reserved), %(day)s), %(model)s, %(own_key)s, 1,
        %(prompt_tokens)s, %(completion_tokens)s, %(cost)s)
ON CONFLICT (client_id, day, model, own_key) DO UPDATE
SET calls = s.calls + 1, prompt_tokens = s.prompt_tokens + EXCLUDED.prompt_tokens,
    completion_tokens = s.completion_tokens + EXCLUDED.completion_tokens,
    cost_usd = s.cost_usd + EXCLUDED.cost_usd
"""

_EVENT_HOURS: Final = 20  # within which the same news is not told again
_TELL = """
INSERT INTO client_events (client_id, kind, data)
SELECT %(client_id)s, %(kind)s, %(data)s::jsonb
WHERE NOT EXISTS (SELECT FROM client_events WHERE client_id = %(client_id)s AND kind = %(kind)s
                  AND data = %(data)s::jsonb AND at > now() - %(hours)s * interval '1 hour')
"""


class BudgetReachedError(Exception):
    """The call could cost more than is left.

    Attributes:
        period: `day` or `month`.
    """

    def __init__(self, period: str) -> None:
        super().__init__(f"the budget of the {period} is used up")
        self.period = period


class Purse(msgspec.Struct, frozen=True):
    """Who pays for a call, and how much at most; None: no limit."""

    client_id: str
    day: date
    own_key: bool
    day_limit: float | None
    month_limit: float | None


class Spent(msgspec.Struct, frozen=True):
    """What became of a call; see the columns of `ai_calls`."""

    turn: str
    purpose: Purpose
    model: str
    outcome: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    estimated: bool = False
    milliseconds: float = 0.0


def today(timezone: str, now: datetime) -> date:
    """The day in the client's time zone."""
    return now.astimezone(zone_of(timezone)).date()


class Money:
    """Reserves and settles, in the client's row-secured transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, purse: Purse, amount_usd: float) -> uuid.UUID:
        """Set `amount_usd` aside.

        Raises:
            BudgetReachedError: it is more than is left; a first time in a while this is told as an event.
            Unavailable: the database cannot be reached.
        """
        reservation = uuid.uuid4()
        fields = {
            "client_id": purse.client_id,
            "id": reservation,
            "day": purse.day,
            "month": purse.day.replace(day=1),
            "own_key": purse.own_key,
            "amount": amount_usd,
            "day_limit": purse.day_limit,
            "month_limit": purse.month_limit,
        }
        async with self._database.client(purse.client_id) as connection:
            if purse.day_limit is not None or purse.month_limit is not None:
                await connection.execute(_LOCK, (purse.client_id,))
            row = await (await connection.execute(_RESERVE, fields)).fetchone()
            if row is not None and row[0]:
                return reservation
            period = "day" if row is not None and row[1] else "month"
            until = purse.day if period == "day" else purse.day.replace(day=1)
            data = msgspec.json.encode({"period": period, "of": until.isoformat()}).decode()
            await connection.execute(
                _TELL,
                {"client_id": purse.client_id, "kind": "budget_reached", "data": data, "hours": _EVENT_HOURS},
            )
        raise BudgetReachedError(period)

    async def settle(self, purse: Purse, reservation: uuid.UUID, spent: Spent) -> None:
        """Replace the reservation by what the call really took.

        Raises:
            Unavailable: the database cannot be reached; the reservation stays, and counts as spent.
        """
        fields = {
            "client_id": purse.client_id,
            "id": reservation,
            "day": purse.day,
            "own_key": purse.own_key,
            "turn": spent.turn,
            "purpose": spent.purpose,
            "model": spent.model,
            "outcome": spent.outcome,
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "cost": spent.cost_usd,
            "estimated": spent.estimated,
            "milliseconds": spent.milliseconds,
        }
        async with self._database.client(purse.client_id) as connection:
            await connection.execute(_SETTLE, fields)
