"""Commands that a client's admin numbers write into the chat, such as `/status`; see docs/plugins.md.

The numbers are a setting of the plugin `admin`, which brings `/pause` and `/resume`; those, and what other
plugins bring, go on to the AI service.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from orbitbot.clients.configurations import ConfigurationService
from orbitbot.clients.service import ClientService
from orbitbot.contracts.configure import Configure
from orbitbot.contracts.versions import ConfigurationView
from orbitbot.conversations.people import People
from orbitbot.conversations.statistics import Statistics
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import OrbitBotError, Unavailable
from orbitbot.gateway.owner_texts import NAMES, OTHER_NAMES, texts
from orbitbot.gateway.services import AiService

PREFIX: Final = "/"
_NUMBER_HOSTS: Final = ("", "s.whatsapp.net", "c.us")  # whose ids are telephone numbers
CONFIRM_SECONDS: Final = 300.0
HISTORY: Final = 10  # exchanges that are shown
SHOWN: Final = 3000  # characters of a personality or a history
DAYS: Final = 7
MAX_DAYS: Final = 366

_KNOWN = "SELECT reply FROM owner_commands WHERE client_id = %s AND turn_id = %s"
_KEEP = """
INSERT INTO owner_commands (client_id, turn_id, contact, command, arguments, outcome, reply, code)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (client_id, turn_id) DO NOTHING
"""
_CONFIRM = """
UPDATE owner_commands SET outcome = 'confirmed'
WHERE client_id = %s AND contact = %s AND code = %s AND outcome = 'asked'
  AND at > clock_timestamp() - make_interval(secs => %s)
RETURNING command, arguments
"""
_BACKUP = "INSERT INTO client_events (client_id, kind, contact, data) VALUES (%s, 'backup_asked', %s, '{}')"


class _Said(msgspec.Struct, frozen=True):
    """What a command answers; `asks`: it does nothing before it is confirmed."""

    text: str
    asks: bool = False
    refused: bool = False


class _Asked(msgspec.Struct, frozen=True):
    """A command, by whom, and whether it has been confirmed."""

    client_id: str
    contact: str
    name: str
    arguments: str
    confirmed: bool
    words: Any

    def usage(self) -> _Said:
        """How it is to be written."""
        return _Said(self.words["usage"].format(usage=self.words[self.name].partition(": ")[0]), refused=True)


class OwnerCommands:
    """Carries out commands, and keeps a record of each."""

    def __init__(
        self,
        database: Database,
        *,
        clients: ClientService,
        configurations: ConfigurationService,
        people: People,
        statistics: Statistics,
        ai: AiService,
    ) -> None:
        self._database = database
        self._clients = clients
        self._configurations = configurations
        self._people = people
        self._statistics = statistics
        self._ai = ai
        self._actions: dict[str, Callable[[_Asked], Awaitable[_Said]]] = {
            "status": self._status,
            "stats": self._stats,
            "personality": self._personality,
            "model": self._model,
            "plugins": self._plugins,
            "history": self._history,
            "backup": self._backup,
            "help": self._help,
        }

    async def reply(self, client_id: str, contact: str, turn: str, message: str) -> str | None:
        """The answer to a command; None if this is none, or none of these.

        Raises:
            Unavailable: the database cannot be reached; nothing was done, or the turn's repetition tells.
        """
        text = message.strip()
        if not text.startswith(PREFIX):
            return None
        name, _, arguments = text.removeprefix(PREFIX).partition(" ")
        name = OTHER_NAMES.get(name.lower(), name.lower())
        if name not in NAMES:
            return None
        view = await self._configurations.present(client_id)
        if not _may_command(view, contact):
            return None
        async with self._database.client(client_id) as connection:
            known = await (await connection.execute(_KNOWN, (client_id, turn))).fetchone()
        if known is not None:
            return str(known[0])
        asked = _Asked(client_id, contact, name, arguments.strip(), False, texts(view.language))  # noqa: FBT003
        return await self._carry_out(asked, turn)

    async def _carry_out(self, asked: _Asked, turn: str) -> str:
        name, arguments = asked.name, asked.arguments
        try:
            if name == "confirm":
                said = await self._confirm(asked)
            else:
                said = await self._actions[name](asked)
        except Unavailable:
            raise
        except OrbitBotError as error:
            said = _Said(asked.words["refused"].format(detail=error.detail), refused=True)
        code, text = None, said.text
        if said.asks:
            code = f"{secrets.randbelow(10_000):04d}"
            text = asked.words["ask"].format(what=text, code=code)
        outcome = "asked" if said.asks else "refused" if said.refused else "done"
        async with self._database.client(asked.client_id) as connection:
            row = (asked.client_id, turn, asked.contact, name, arguments, outcome, text, code)
            await connection.execute(_KEEP, row)
        return text

    async def _confirm(self, asked: _Asked) -> _Said:
        async with self._database.client(asked.client_id) as connection:
            row = await (
                await connection.execute(
                    _CONFIRM, (asked.client_id, asked.contact, asked.arguments, CONFIRM_SECONDS)
                )
            ).fetchone()
        if row is None:
            return _Said(asked.words["no_code"], refused=True)
        name, arguments = row
        again = msgspec.structs.replace(asked, name=name, arguments=arguments, confirmed=True)
        return await self._actions[name](again)

    async def _status(self, asked: _Asked) -> _Said:
        view = await self._clients.read(asked.client_id)
        if view.health is None:
            return _Said(asked.words["no_bot"])
        reason = f" ({view.bot_reason})" if view.bot_reason else ""
        number = view.health.number or "-"
        lines = [
            asked.words["bot"].format(state=view.bot_state, reason=reason, number=number),
            asked.words["counts"].format(**msgspec.structs.asdict(view.health)),
            view.health.advice,
        ]
        return _Said("\n".join(lines))

    async def _stats(self, asked: _Asked) -> _Said:
        days = int(asked.arguments) if asked.arguments.isdecimal() else 0 if asked.arguments else DAYS
        if not 1 <= days <= MAX_DAYS:
            return asked.usage()
        stats = await self._statistics.read(asked.client_id, days)
        return _Said(
            asked.words["numbers"].format(
                days=days,
                messages=stats.messages,
                answered=stats.answered,
                silenced=stats.silenced,
                failed=stats.failed,
                cost=stats.cost_usd,
            )
        )

    async def _personality(self, asked: _Asked) -> _Said:
        what, _, which = asked.arguments.partition(" ")
        which = which.strip()
        if which and not which.isdecimal():
            return asked.usage()
        if what in {"", "show"}:
            number = int(which) if which else None
            view = (
                await self._configurations.present(asked.client_id)
                if number is None
                else await self._configurations.read(asked.client_id, number)
            )
            return _Said(view.personality[:SHOWN] or asked.words["no_personality"])
        if what == "list":
            return await self._list_versions(asked)
        if what != "use" or not which:
            return asked.usage()
        await self._configurations.read(asked.client_id, int(which))  # refuses one that is not there
        if not asked.confirmed:
            return _Said(asked.words["confirm_use"].format(what=which), asks=True)
        await self._configurations.restore(asked.client_id, int(which), _author(asked))
        return _done(asked, "used", which)

    async def _list_versions(self, asked: _Asked) -> _Said:
        present = await self._configurations.present(asked.client_id)
        found = await self._configurations.versions(asked.client_id, None)
        lines = [
            f"{each.version}: {each.created_at[:16].replace('T', ' ')} {each.note or ', '.join(each.changed)}"
            + (asked.words["present"] if each.version == present.version else "")
            for each in found.versions[:HISTORY]
        ]
        return _Said("\n".join([asked.words["versions"], *lines]))

    async def _model(self, asked: _Asked) -> _Said:
        if not asked.arguments:
            view = await self._configurations.present(asked.client_id)
            model = view.settings.model or asked.words["default_model"]
            return _Said(asked.words["model_is"].format(model=model))
        if len(asked.arguments.split()) != 1:
            return asked.usage()
        if not asked.confirmed:
            return _Said(asked.words["confirm_model"].format(what=asked.arguments), asks=True)
        await self._set(asked, "model", asked.arguments)
        return _done(asked, "switched", asked.arguments)

    async def _plugins(self, asked: _Asked) -> _Said:
        view = await self._configurations.present(asked.client_id)
        plugins: dict[str, dict[str, Any]] = dict(view.settings.plugins)
        what, _, name = asked.arguments.partition(" ")
        name = name.strip()
        if not what:
            names = await self._ai.plugin_names()
            lines = [
                f"{each}: {asked.words['on' if plugins.get(each, {}).get('enabled') else 'off']}"
                for each in names
            ]
            return _Said("\n".join([asked.words["plugins_are"], *lines]))
        if what not in {"on", "off"} or not name:
            return asked.usage()
        if what == "off" and not asked.confirmed:
            return _Said(asked.words["confirm_off"].format(what=name), asks=True)
        plugins[name] = {**plugins.get(name, {}), "enabled": what == "on"}
        await self._set(asked, "plugins", plugins)
        return _done(asked, f"turned_{what}", name)

    async def _history(self, asked: _Asked) -> _Said:
        contact = _digits(asked.arguments)
        if not contact:
            return asked.usage()
        kept = await self._people.export(asked.client_id, contact)
        lines = []
        for each in kept.exchanges[-HISTORY:]:
            when = str(each["created_at"])[:16].replace("T", " ")
            lines += [f"[{when}] {contact}: {each['question']}"] if each["question"] else []
            lines += [f"→ {each['answer']}"] if each["answer"] else []
        return _Said("\n".join(lines)[-SHOWN:] or asked.words["no_history"].format(contact=contact))

    async def _backup(self, asked: _Asked) -> _Said:
        async with self._database.client(asked.client_id) as connection:
            await connection.execute(_BACKUP, (asked.client_id, asked.contact))
        return _Said(asked.words["backup_asked"])

    async def _help(self, asked: _Asked) -> _Said:
        return _Said("\n".join(asked.words[name] for name in (*NAMES[:-1], "pause", "resume", "help")))

    async def _set(self, asked: _Asked, setting: str, value: Any) -> None:
        wanted = Configure(settings={setting: msgspec.Raw(msgspec.json.encode(value))})
        await self._configurations.configure(asked.client_id, wanted, _author(asked))


def _may_command(view: ConfigurationView, contact: str) -> bool:
    """Whether the contact has one of the numbers in the settings of the plugin `admin`."""
    settings = view.settings.plugins.get("admin", {})
    numbers, (user, _, host) = settings.get("numbers", ()), contact.partition("@")
    if settings.get("enabled") is not True or host not in _NUMBER_HOSTS or not user.isdecimal():
        return False
    return any(_digits(each) == user for each in numbers)


def _digits(number: str) -> str:
    return "".join(each for each in number.partition("@")[0] if each.isdigit())


def _author(asked: _Asked) -> str:
    return f"admin:{asked.contact}"


def _done(asked: _Asked, what: str, name: str) -> _Said:
    return _Said(asked.words["done"].format(what=asked.words[what].format(what=name)))
