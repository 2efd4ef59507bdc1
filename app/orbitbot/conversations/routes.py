"""`/api/clients/{clientId}/…`: reports of bots, the story of a message, statistics."""

from typing import Annotated

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from orbitbot.clients.routes import open_client
from orbitbot.contracts.journal import JournalExcerpt, JournalTaken
from orbitbot.contracts.reports import Reports, ReportsAccepted
from orbitbot.contracts.stats import Stats
from orbitbot.contracts.why import Story
from orbitbot.conversations.people import People
from orbitbot.conversations.service import Ledger, check_id
from orbitbot.conversations.statistics import Statistics
from orbitbot.conversations.stories import read_story
from orbitbot.foundation.bodies import read_json
from orbitbot.foundation.database import Database
from orbitbot.foundation.web import AnyRequest

LedgerService = NamedDependency[Ledger]
StatisticsService = NamedDependency[Statistics]
ClientDatabase = NamedDependency[Database]


@post("/api/clients/{client_id:str}/reports", status_code=200, summary="What became of messages (bots)")
async def report(request: AnyRequest, client_id: FromPath[str], ledger: LedgerService) -> ReportsAccepted:
    """Deliveries, and messages set aside with the reason; at most 200 at once, harmless when repeated."""
    open_client(request, client_id, "bot")
    return ReportsAccepted(accepted=await ledger.report(client_id, await read_json(request, Reports)))


@post(
    "/api/clients/{client_id:str}/journal",
    status_code=200,
    summary="After a restore (bots)",
)
async def take_back(
    request: AnyRequest, client_id: FromPath[str], ledger: LedgerService, people: NamedDependency[People]
) -> JournalTaken:
    """What a bot's journal has and the restored ledger may lack, and whom the restore must not bring back;
    harmless when repeated."""
    open_client(request, client_id, "bot")
    excerpt = await read_json(request, JournalExcerpt)
    erased = await people.erase_again(client_id, excerpt.forgotten)
    return JournalTaken(added=await ledger.take_back(client_id, excerpt), erased=erased)


@get("/api/clients/{client_id:str}/messages/{message_id:str}/why", summary="The story of a message")
async def why(
    request: AnyRequest, client_id: FromPath[str], message_id: FromPath[str], database: ClientDatabase
) -> Story:
    """What became of a message, stage by stage. A turn's id works, too."""
    open_client(request, client_id, "operator", "client")
    check_id(message_id, "messageId")
    return await read_story(database, client_id, message_id)


@get("/api/clients/{client_id:str}/stats", summary="Statistics")
async def stats(
    request: AnyRequest,
    client_id: FromPath[str],
    statistics: StatisticsService,
    days: Annotated[
        int, QueryParameter(description="calendar days in the client's time zone, 1 to 366")
    ] = 30,
) -> Stats:
    """Counts, response times, tokens and cost, in total and by day."""
    open_client(request, client_id, "operator", "client")
    return await statistics.read(client_id, days)


def conversation_routes(ledger: Ledger, people: People, statistics: Statistics, database: Database) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[report, take_back, why, stats],
        dependencies={
            "ledger": Provide(lambda: ledger, sync_to_thread=False),
            "people": Provide(lambda: people, sync_to_thread=False),
            "statistics": Provide(lambda: statistics, sync_to_thread=False),
            "database": Provide(lambda: database, sync_to_thread=False),
        },
        tags=["conversations"],
    )
