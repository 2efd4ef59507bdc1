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
from orbitbot.foundation.database import Database, scalar
from orbitbot.plugins.zones import zone_of

_EVENT_HOURS: Final = 20  # within which the same news is not told again

# The functions of migration 0053: each sets the client for its own transaction.
_RESERVE = """
SELECT ai_reserve(%(client_id)s, %(id)s, %(day)s, %(own_key)s, %(amount)s::double precision::numeric,
                  %(day_limit)s::double precision::numeric, %(month_limit)s::double precision::numeric,
                  %(hours)s * interval '1 hour')
"""
_SETTLE = """
SELECT ai_settle(%(client_id)s, %(id)s, %(day)s, %(own_key)s, %(turn)s, %(purpose)s, %(model)s, %(outcome)s,
                 %(prompt_tokens)s::integer, %(completion_tokens)s::integer,
                 %(cost)s::double precision::numeric, %(estimated)s, %(milliseconds)s::double precision)
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
            "own_key": purse.own_key,
            "amount": amount_usd,
            "day_limit": purse.day_limit,
            "month_limit": purse.month_limit,
            "hours": _EVENT_HOURS,
        }
        period = scalar(await self._database.ask(_RESERVE, fields))
        if period:
            raise BudgetReachedError(period)
        return reservation

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
        await self._database.ask(_SETTLE, fields)
