"""`/metrics`: how the bots are, for Prometheus on this host or the mesh. nginx passes nobody on to it."""

from collections import Counter
from typing import Final, get_args

from litestar import Response, get
from litestar.di import NamedDependency

from orbitbot import __version__
from orbitbot.clients.service import ClientService
from orbitbot.contracts.bot import BotState
from orbitbot.fleet.commands import CommandCounts
from orbitbot.foundation.errors import NotFound
from orbitbot.foundation.metrics import MEDIA_TYPE, Described, Metrics
from orbitbot.foundation.web import COUNTS_FAILURES, AnyRequest

STATES: Final[tuple[str, ...]] = (*get_args(BotState), "unknown")

DESCRIBED: Final[Described] = {
    "orbitbot_build_info": ("gauge", "The release that answers."),
    "orbitbot_bots": ("gauge", "Bots by state; unknown: no sign of life for a minute."),
    "orbitbot_bot_up": ("gauge", "1 while a client's bot is connected."),
    "orbitbot_bot_backlog_turns": ("gauge", "Turns that a bot has got no answer for."),
    "orbitbot_phone_warning": ("gauge", "1 when a phone is about to lose its link for want of use."),
    "orbitbot_commands": ("gauge", "Commands of the last 30 days by kind and state."),
}


@get("/metrics", include_in_schema=False, opt={COUNTS_FAILURES: True})
async def metrics(
    request: AnyRequest,
    clients: NamedDependency[ClientService],
    command_counts: NamedDependency[CommandCounts],
) -> Response[str]:
    """Bots by state, and of each client what an alert needs. Not for the outside."""
    if "x-forwarded-for" in request.headers:
        raise NotFound("there is nothing at this address; see /docs")
    known = [each for each in (await clients.list_all()).clients if each.state != "removed"]
    by_state = Counter(str(each.bot_state) for each in known)
    # Of the database, not of this process: every worker answers the same.
    found = Metrics(DESCRIBED)
    found.set("orbitbot_build_info", 1, version=__version__)
    for state in STATES:
        found.set("orbitbot_bots", by_state[state], state=state)
    for each in known:
        found.set("orbitbot_bot_up", each.bot_state == "connected", client=each.id, state=each.bot_state)
        found.set("orbitbot_bot_backlog_turns", each.bot_backlog, client=each.id)
        found.set("orbitbot_phone_warning", bool(each.bot_warning), client=each.id)
    for kind, state, count in await command_counts.read():
        found.set("orbitbot_commands", count, kind=kind, state=state)
    return Response(found.text(), media_type=MEDIA_TYPE)
