"""`GET /api/clients/{clientId}/stats?days=30`: counts, response times, tokens and cost, by day."""

import msgspec


class Quantiles(msgspec.Struct, rename="camel"):
    """Milliseconds; None while there is nothing to measure."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Day(msgspec.Struct, rename="camel"):
    """One calendar day in the client's time zone (`date` is YYYY-MM-DD)."""

    date: str
    messages: int
    turns: int
    delivered: int
    silenced: int
    failed: int
    tokens: int
    cost_usd: float


class Stats(msgspec.Struct, rename="camel"):
    """Totals over the days asked for, and the days, newest last.

    `overhead` is our own share of the response time: without the provider, the contact's quiet time
    and the typing.
    """

    client_id: str
    messages: int
    voice_notes: int
    turns: int
    answered: int
    delivered: int
    silenced: int
    failed: int
    maybe_repeated: int
    contacts: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    response_time: Quantiles
    overhead: Quantiles
    by_day: list[Day]
