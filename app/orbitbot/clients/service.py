"""The rules about clients: registering, configuring, removing, and what a bot runs by."""

import re
import time
from typing import Final

from orbitbot.clients import store
from orbitbot.clients.accounts import new_credential
from orbitbot.clients.advice import SILENT_AFTER, advice, phone_warning, trouble
from orbitbot.clients.configurations import LANGUAGE
from orbitbot.clients.models import BotReport, Client
from orbitbot.contracts.bot import MAX_REASON, BotSettings, BotStatus
from orbitbot.contracts.clients import (
    ClientList,
    ClientView,
    CreateCredential,
    CredentialCreated,
    NumberHealth,
    RegisterClient,
)
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import Conflict, InvalidInput, NotFound
from orbitbot.foundation.phone_numbers import parse_number
from orbitbot.foundation.text import check_strings

_MUTED_SECONDS: Final = 0.5  # for which it is remembered whether a client is paused
OPERATORS_LANGUAGE: Final = "en"  # of what is said about all clients at once
_NAME_LIMIT: Final = 200  # characters
_TEXT_LIMIT: Final = MAX_REASON
_TIME_LIMIT: Final = 253_402_300_799.0  # Unix time of the year 9999's last second
_FLEET_SECONDS: Final = 30.0  # for which the fleet's numbers are remembered
_CACHE_SIZE: Final = 10_000
_INTEGER_LIMIT: Final = 2**31 - 1
_LID: Final = re.compile(r"\d{1,32}@lid")


class ClientService:
    """Everything that is done with clients.

    Args:
        database: of the role that sees one client at a time.
        operator_database: of the role that sees every client, for operators' calls only.
    """

    def __init__(self, database: Database, operator_database: Database) -> None:
        self._database = database
        self._operators = operator_database
        self._muted: dict[str, tuple[bool, float]] = {}  # client id → muted, known until
        self._fleet: list[str] = []
        self._fleet_known_until = float("-inf")
        self._timezones: set[str] = set()  # that PostgreSQL knows; asking takes it some milliseconds

    async def register(self, client_id: str, wanted: RegisterClient) -> ClientView:
        """Register a client, change what differs, or bring a removed one back. Harmless when repeated.

        Raises:
            InvalidInput: language or time zone are not ones.
        """
        async with self._operators.transaction() as connection:
            changed = await self.register_in(connection, client_id, wanted)
            client = _present(await store.read(connection, client_id), client_id)
            return _view(client, await store.read_bot(connection, client_id), changed=changed)

    async def register_in(self, connection: Connection, client_id: str, wanted: RegisterClient) -> bool:
        """`register` within a transaction of operators; returns whether anything changed.

        Raises:
            InvalidInput: see there.
        """
        check_strings(wanted, limit=_NAME_LIMIT)
        if not LANGUAGE.fullmatch(wanted.language):
            raise InvalidInput(
                "language", f"{wanted.language!r} is not a BCP 47 language, such as pt or pt-BR"
            )
        if wanted.timezone not in self._timezones:
            if not await store.timezone_exists(connection, wanted.timezone):
                raise InvalidInput(
                    "timezone", f"{wanted.timezone!r} is not an IANA time zone, such as America/Sao_Paulo"
                )
            self._timezones.add(wanted.timezone)
        return await store.register(connection, client_id, wanted)

    async def list_all(self) -> ClientList:
        """Every client, by id."""
        async with self._operators.transaction() as connection:
            clients = await store.list_all(connection)
            bots = await store.read_bots(connection)
        return ClientList(
            [_view(client, bots.get(client.id), language=OPERATORS_LANGUAGE) for client in clients]
        )

    async def read(self, client_id: str, *, whole: bool = False) -> ClientView:
        """One client; with its personality and settings if `whole`.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._database.client(client_id) as connection:
            client = _present(await store.read(connection, client_id), client_id)
            view = _view(client, await store.read_bot(connection, client_id))
            if whole:
                configuration = await store.read_configuration(connection, client_id)
                view.personality, view.settings = configuration.personality, configuration.settings
            return view

    async def remove(self, client_id: str, *, purge: bool) -> ClientView:
        """Revoke all access and mark as removed; the data stays unless `purge`.

        Raises:
            NotFound: there is no such client (any more).
        """
        async with self._operators.transaction() as connection:
            _present(await store.lock(connection, client_id), client_id)
            changed = await store.remove(connection, client_id)
            client = _present(await store.read(connection, client_id), client_id)
            if purge:
                await store.purge(connection, client_id)
            return _view(client, None, changed=changed or purge)

    async def add_credential(self, client_id: str, wanted: CreateCredential) -> CredentialCreated:
        """A new credential; its secret is shown this once.

        Raises:
            NotFound: there is no such client.
            Conflict: the client is removed.
        """
        made, secret_hash = new_credential(client_id, wanted.kind)
        async with self._operators.transaction() as connection:
            client = _present(await store.lock(connection, client_id), client_id)
            if client.state == "removed":
                raise Conflict(f"client {client_id!r} is removed; register it again first")
            if wanted.revoke_earlier:
                await store.revoke_credentials(connection, client_id, wanted.kind)
            await store.add_credential(connection, made.credential_id, client_id, wanted.kind, secret_hash)
        return made

    async def report_bot(self, client_id: str, status: BotStatus) -> tuple[BotSettings, bool]:
        """Store a bot's sign of life; returns what it runs by, and whether its state has changed.

        Raises:
            NotFound: there is no such client.
        """
        check_strings(status, limit=_TEXT_LIMIT)
        for field, value in (
            ("pid", status.pid),
            ("journalBacklog", status.journal_backlog),
            ("generation", status.generation),
            ("reconnects", status.reconnects),
            ("newChats", status.new_chats),
            ("newChatsLimit", status.new_chats_limit),
            ("undelivered", status.undelivered),
        ):
            if not 0 <= value <= _INTEGER_LIMIT:
                raise InvalidInput(field, f"{value} is not between 0 and {_INTEGER_LIMIT}")
        for field, time_ in (("until", status.until), ("phoneSeenAt", status.phone_seen_at)):
            if time_ is not None and not 0 <= time_ <= _TIME_LIMIT:
                raise InvalidInput(field, f"{time_} is not Unix time in seconds")
        if status.number:
            parse_number(status.number)
        if status.lid and not _LID.fullmatch(status.lid):
            raise InvalidInput("lid", f"{status.lid!r} is not digits and @lid")
        async with self._database.client(client_id) as connection:
            client = _present(await store.read(connection, client_id), client_id)
            changed = await store.write_bot(connection, client_id, status)
            configuration = await store.read_configuration(connection, client_id)
            restored_id, restored_since = await store.read_restore(connection)
        settings = configuration.settings
        runs_by = BotSettings(
            config_version=configuration.version,
            quiet_seconds=settings.quiet_seconds,
            burst_seconds=settings.burst_seconds,
            typing_characters_per_second=settings.typing_characters_per_second,
            max_typing_seconds=settings.max_typing_seconds,
            answer_groups=settings.answer_groups,
            language=client.language,
            timezone=client.timezone,
            answer_kinds=settings.answer_kinds,
            takeover_minutes=settings.takeover_minutes,
            pause_words=settings.pause_words,
            resume_words=settings.resume_words,
            night_from=settings.night_from,
            night_until=settings.night_until,
            loop_turns=settings.loop_turns,
            new_chats_per_day=settings.new_chats_per_day,
            warm_up_days=settings.warm_up_days,
            send_pause_seconds=settings.send_pause_seconds,
            fleet_numbers=[
                each for each in await self._numbers_of_fleet() if each not in {status.number, status.lid}
            ],
            muted=client.state != "active",
            restored_id=restored_id,
            restored_since=restored_since,
        )
        return runs_by, changed

    async def _numbers_of_fleet(self) -> list[str]:
        """The numbers of all bots, which never answer each other; remembered for a while."""
        now = time.monotonic()
        if self._fleet_known_until < now:
            async with self._operators.transaction() as connection:
                self._fleet = await store.read_numbers(connection)
            self._fleet_known_until = now + _FLEET_SECONDS
        return self._fleet

    async def is_muted(self, client_id: str) -> bool:
        """Whether the client is not to be answered; remembered for some seconds.

        Raises:
            NotFound: there is no such client.
        """
        now = time.monotonic()
        muted, known_until = self._muted.get(client_id, (False, 0.0))
        if known_until < now:
            async with self._database.client(client_id) as connection:
                muted = _present(await store.read(connection, client_id), client_id).state != "active"
            if len(self._muted) >= _CACHE_SIZE:
                self._muted.clear()
            self._muted[client_id] = (muted, now + _MUTED_SECONDS)
        return muted

    def forget_muted(self, client_id: str) -> None:
        """Look again whether a client is paused, at the next message."""
        self._muted.pop(client_id, None)

    async def speech_hints(self, client_id: str) -> tuple[str, list[str]]:
        """A client's language and the names that its callers are likely to say.

        Raises:
            NotFound: there is no such client.
        """
        async with self._database.client(client_id) as connection:
            client = _present(await store.read(connection, client_id), client_id)
            configuration = await store.read_configuration(connection, client_id)
        return client.language, configuration.settings.vocabulary


def _present(client: Client | None, client_id: str) -> Client:
    if client is None:
        raise NotFound(f"there is no client {client_id!r}")
    return client


def _view(client: Client, bot: BotReport | None, *, changed: bool = False, language: str = "") -> ClientView:
    """What is said about the client, in `language`, else in the client's."""
    view = ClientView(
        id=client.id,
        name=client.name,
        channel=client.channel,
        state=client.state,
        language=client.language,
        timezone=client.timezone,
        config_version=client.config_version,
        created_at=client.created_at.isoformat(),
        host=client.host,
        generation=client.generation,
        changed=changed,
    )
    if bot is not None:
        view.bot_release, view.bot_seen_at = bot.release, bot.seen_at.isoformat()
        view.bot_number, view.bot_backlog = bot.number, bot.backlog
        view.phone_seen_at = bot.phone_seen_at.isoformat() if bot.phone_seen_at else None
        view.bot_warning = phone_warning(bot, language or client.language)
        view.health = number_health(bot, language or client.language)
        if bot.silent_seconds > SILENT_AFTER:
            view.bot_reason = f"no sign of life for {bot.silent_seconds:.0f} s; last state: {bot.state}"
        else:
            view.bot_state, view.bot_reason = bot.state, bot.reason
            view.bot_state_since = bot.state_since.isoformat()
            view.bot_until = bot.until.isoformat() if bot.until else None
    return view


def number_health(bot: BotReport, language: str) -> NumberHealth:
    """How the client's number does, and what to do about it."""
    restricted = bot.state in {"restricted", "banned"}
    return NumberHealth(
        number=bot.number,
        phone_seen_at=bot.phone_seen_at.isoformat() if bot.phone_seen_at else None,
        restricted_until=bot.until.isoformat() if restricted and bot.until else None,
        new_chats=bot.new_chats,
        new_chats_limit=bot.new_chats_limit,
        reconnects=bot.reconnects,
        undelivered=bot.undelivered,
        trouble=trouble(bot),
        advice=advice(bot, language),
    )
