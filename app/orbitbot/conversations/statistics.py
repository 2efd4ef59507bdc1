"""Counts, response times, tokens and cost of a client, by day in its own time zone."""

from typing import Any, Final

from orbitbot.contracts.stats import Day, Quantiles, Stats
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import InvalidInput, NotFound

MAX_DAYS: Final = 366

_TIMEZONE = "SELECT timezone FROM clients WHERE id = %s"

# A turn belongs to the day on which it was received, a message to that on which it was journaled.
# The response time runs from the contact's first message until the answer is delivered (for a call of
# the API: until it is answered). Our overhead is what passed in the gateway, without the provider; the
# quiet time and the typing are the bot's, before and after.
_TOTALS = """
WITH period AS (
    SELECT (date_trunc('day', now() AT TIME ZONE %(timezone)s) - (%(days)s - 1) * interval '1 day')
           AT TIME ZONE %(timezone)s AS since
), turn AS (
    SELECT * FROM turns, period WHERE client_id = %(client_id)s AND received_at >= since
), message AS (
    SELECT * FROM messages, period WHERE client_id = %(client_id)s AND journaled_at >= since
), measured AS (
    SELECT CASE origin
               WHEN 'bot' THEN extract(epoch FROM finished_at - journaled_at)
               ELSE extract(epoch FROM answered_at - received_at)
           END::float8 * 1000 AS response,
           greatest(0, extract(epoch FROM answered_at - received_at)::float8 * 1000 - provider_ms) AS overhead
    FROM turn
    WHERE answered_at IS NOT NULL AND state <> 'failed'
)
SELECT (SELECT count(*) FROM message),
       (SELECT count(*) FROM message WHERE type = 'voice'),
       (SELECT count(DISTINCT contact) FROM message),
       (SELECT count(*) FROM message WHERE silenced_reason IS NOT NULL),
       count(*),
       count(*) FILTER (WHERE answered_at IS NOT NULL),
       count(*) FILTER (WHERE state = 'delivered'),
       count(*) FILTER (WHERE state = 'silenced'),
       count(*) FILTER (WHERE state = 'failed'),
       count(*) FILTER (WHERE maybe_repeated),
       coalesce(sum(prompt_tokens), 0),
       coalesce(sum(completion_tokens), 0),
       coalesce(sum(cost_usd), 0),
       (SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY response) FROM measured),
       (SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY overhead) FROM measured)
FROM turn
"""

_BY_DAY = """
WITH day AS (
    SELECT midnight::date AS date, midnight AT TIME ZONE %(timezone)s AS since,
           (midnight + interval '1 day') AT TIME ZONE %(timezone)s AS until
    FROM generate_series(
        date_trunc('day', now() AT TIME ZONE %(timezone)s) - (%(days)s - 1) * interval '1 day',
        date_trunc('day', now() AT TIME ZONE %(timezone)s),
        interval '1 day') AS midnight
), turn AS (
    SELECT day.date,
           count(*) AS turns,
           count(*) FILTER (WHERE state = 'delivered') AS delivered,
           count(*) FILTER (WHERE state = 'silenced') AS silenced,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           sum(prompt_tokens + completion_tokens) AS tokens,
           sum(cost_usd) AS cost
    FROM day JOIN turns ON client_id = %(client_id)s AND received_at >= since AND received_at < until
    GROUP BY day.date
), message AS (
    SELECT day.date, count(*) AS messages, count(silenced_reason) AS silenced
    FROM day JOIN messages ON client_id = %(client_id)s AND journaled_at >= since AND journaled_at < until
    GROUP BY day.date
)
SELECT to_char(day.date, 'YYYY-MM-DD'), coalesce(messages, 0), coalesce(turns, 0), coalesce(delivered, 0),
       coalesce(turn.silenced, 0) + coalesce(message.silenced, 0), coalesce(failed, 0),
       coalesce(tokens, 0), coalesce(cost, 0)
FROM day LEFT JOIN turn USING (date) LEFT JOIN message USING (date)
ORDER BY day.date
"""


class Statistics:
    """Statistics of one client at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, client_id: str, days: int) -> Stats:
        """The last `days` calendar days, today included.

        Raises:
            InvalidInput: `days` is not between 1 and 366.
            NotFound: there is no such client.
        """
        if not 1 <= days <= MAX_DAYS:
            raise InvalidInput("days", f"{days} is not between 1 and {MAX_DAYS}")
        async with self._database.client(client_id) as connection:
            found = await (await connection.execute(_TIMEZONE, (client_id,))).fetchone()
            if found is None:
                raise NotFound(f"there is no client {client_id!r}")
            wanted: dict[str, Any] = {"client_id": client_id, "days": days, "timezone": found[0]}
            totals = await (await connection.execute(_TOTALS, wanted)).fetchone()
            by_day = await (await connection.execute(_BY_DAY, wanted)).fetchall()
        if totals is None:
            raise LookupError("an aggregate returned no row")
        return Stats(
            client_id=client_id,
            messages=totals[0],
            voice_notes=totals[1],
            contacts=totals[2],
            silenced=totals[3] + totals[7],
            turns=totals[4],
            answered=totals[5],
            delivered=totals[6],
            failed=totals[8],
            maybe_repeated=totals[9],
            prompt_tokens=totals[10],
            completion_tokens=totals[11],
            cost_usd=float(totals[12]),
            response_time=_quantiles(totals[13]),
            overhead=_quantiles(totals[14]),
            by_day=[
                Day(
                    date=row[0],
                    messages=row[1],
                    turns=row[2],
                    delivered=row[3],
                    silenced=row[4],
                    failed=row[5],
                    tokens=row[6],
                    cost_usd=float(row[7]),
                )
                for row in by_day
            ],
        )


def _quantiles(found: list[float | None] | None) -> Quantiles:
    p50, p95, p99 = [None if each is None else round(each, 1) for each in found or [None] * 3]
    return Quantiles(p50=p50, p95=p95, p99=p99)
