"""A client's configuration: every change is a new version, and any version can be compared and restored."""

import difflib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from orbitbot.clients import store
from orbitbot.clients.models import Client, Configuration
from orbitbot.contracts.configure import ClientSettings, Configure, Configured
from orbitbot.contracts.placeholders import PLACEHOLDER_NAMES, unknown_placeholders
from orbitbot.contracts.versions import (
    Comparison,
    ConfigurationView,
    Difference,
    PatchClient,
    VersionLine,
    VersionList,
)
from orbitbot.foundation.database import Connection, Database
from orbitbot.foundation.errors import InvalidInput, NotFound
from orbitbot.foundation.text import check_strings

PAGE: Final = 50  # versions in one list
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_AT: Final = re.compile(r"^(?P<message>.*?)(?: - at `\$(?:\.(?P<path>[^`]*))?`)?$", re.DOTALL)
_FIELDS: Final = {field.encode_name: field for field in msgspec.structs.fields(ClientSettings)}

log = logging.getLogger(__name__)

_VERSIONS = """
SELECT version, author, created_at, note, personality, settings AS chosen, name, language, timezone
FROM client_configs
WHERE client_id = %s AND version <= %s
ORDER BY version DESC
LIMIT %s
"""

_INSERT = """
INSERT INTO client_configs (client_id, version, personality, settings, author, note, name, language, timezone)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

_APPLY = """
UPDATE clients
SET config_version = %s, name = %s, language = %s, timezone = %s, updated_at = now()
WHERE id = %s
"""


class PluginChecker(Protocol):
    """Knows the installed plugins, and what may be set of each."""

    async def __call__(self, plugins: Mapping[str, Any]) -> None:
        """Refuse settings that a plugin does not have.

        Raises:
            InvalidInput: names the plugin and the field.
            Unavailable: whoever knows is away.
        """
        ...


class Version(msgspec.Struct, frozen=True):
    """A row of `client_configs`; name, language and time zone are None in rows from before they were kept."""

    version: int
    author: str
    created_at: datetime | None
    note: str
    personality: str
    chosen: dict[str, Any]
    name: str | None
    language: str | None
    timezone: str | None


class ConfigurationService:
    """Everything that is done with configurations.

    Args:
        check_plugins: None where no plugin can be checked: settings of plugins are taken as they are then.
        on_change: called with the client's id after a new version is stored.
    """

    def __init__(
        self,
        database: Database,
        check_plugins: PluginChecker | None = None,
        on_change: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self._database = database
        self._check_plugins = check_plugins
        self._on_change = on_change

    async def configure(self, client_id: str, wanted: Configure, author: str) -> Configured:
        """Merge `wanted` into the configuration; a difference makes a new version.

        Raises:
            InvalidInput: a setting that does not exist, or a value that is not allowed; names it.
            NotFound: there is no such client.
        """
        patch = PatchClient(personality=wanted.personality, settings=wanted.settings)
        view, changed = await self.patch(client_id, patch, author)
        return Configured(success=True, version=view.version, changed=changed)

    async def patch(self, client_id: str, wanted: PatchClient, author: str) -> tuple[ConfigurationView, bool]:
        """Change what is given; returns what is in force now, and whether that is a new version.

        Raises:
            InvalidInput, NotFound: see `configure`.
        """
        check_strings(wanted)
        if wanted.language is not None and not LANGUAGE.fullmatch(wanted.language):
            raise InvalidInput(
                "language", f"{wanted.language!r} is not a BCP 47 language, such as pt or pt-BR"
            )
        if self._check_plugins is not None and (raw := (wanted.settings or {}).get("plugins")):
            plugins = msgspec.json.decode(raw)
            if isinstance(plugins, dict) and plugins:
                await self._check_plugins(plugins)
        async with self._database.client(client_id) as connection:
            client, present = await _read(connection, client_id, lock=True)
            if wanted.timezone is not None and not await store.timezone_exists(connection, wanted.timezone):
                raise InvalidInput(
                    "timezone", f"{wanted.timezone!r} is not an IANA time zone, such as America/Sao_Paulo"
                )
            before = Configuration(present.version, present.personality, present.chosen)
            merged = merge(before, Configure(personality=wanted.personality, settings=wanted.settings))
            after = msgspec.structs.replace(
                present,
                version=merged.version,
                personality=merged.personality,
                chosen=merged.chosen,
                name=wanted.name or client.name,
                language=wanted.language or client.language,
                timezone=wanted.timezone or client.timezone,
                author=author,
                note=wanted.note,
            )
            here = msgspec.structs.replace(
                present, name=client.name, language=client.language, timezone=client.timezone
            )
            if not _differences(here, after):
                return _view(client, present), False
            await _store(connection, client_id, after)
            client, present = await _read(connection, client_id)
        await self._tell(client_id)
        return _view(client, present), True

    async def present(self, client_id: str) -> ConfigurationView:
        """What is in force.

        Raises:
            NotFound: there is no such client.
        """
        async with self._database.client(client_id) as connection:
            return _view(*await _read(connection, client_id))

    async def versions(self, client_id: str, before: int | None) -> VersionList:
        """Versions older than `before` (all, if None), newest first.

        Raises:
            NotFound: there is no such client.
        """
        async with self._database.client(client_id) as connection:
            await _read(connection, client_id)
            newest = 2**31 - 1 if before is None else before - 1
            rows = await _rows(connection, client_id, newest, PAGE + 1)
        older = [*rows[1:], None][: len(rows[:PAGE])]
        lines = [
            VersionLine(
                version=row.version,
                author=row.author,
                created_at=row.created_at.isoformat() if row.created_at else "",
                note=row.note,
                changed=[each.field for each in _differences(previous or _NOTHING, row)],
            )
            for row, previous in zip(rows[:PAGE], older, strict=True)
        ]
        return VersionList(lines, lines[-1].version if len(rows) > PAGE else None)

    async def read(self, client_id: str, version: int) -> ConfigurationView:
        """One version, whole.

        Raises:
            NotFound: there is no such client or version.
        """
        async with self._database.client(client_id) as connection:
            client, _ = await _read(connection, client_id)
            return _view(client, await _version(connection, client_id, version))

    async def compare(self, client_id: str, version: int, other: int) -> Comparison:
        """What differs between two versions.

        Raises:
            NotFound: there is no such client or version.
        """
        async with self._database.client(client_id) as connection:
            await _read(connection, client_id)
            first = await _version(connection, client_id, version)
            second = await _version(connection, client_id, other)
        lines = difflib.unified_diff(
            first.personality.splitlines(), second.personality.splitlines(), lineterm="", n=1
        )
        return Comparison(version, other, _differences(first, second), list(lines)[2:])

    async def restore(self, client_id: str, version: int, author: str) -> tuple[ConfigurationView, bool]:
        """Make a version the present one again, as a new version; harmless when it is the present one.

        Raises:
            NotFound: there is no such client or version.
            InvalidInput: this release does not know one of its settings any more.
        """
        async with self._database.client(client_id) as connection:
            client, present = await _read(connection, client_id, lock=True)
            wanted = await _version(connection, client_id, version)
            here = msgspec.structs.replace(
                present, name=client.name, language=client.language, timezone=client.timezone
            )
            after = msgspec.structs.replace(
                wanted,
                version=present.version + 1,
                name=wanted.name or client.name,
                language=wanted.language or client.language,
                timezone=wanted.timezone or client.timezone,
                author=author,
                note=f"restored version {version}",
            )
            if not _differences(here, after):
                return _view(client, present), False
            _settings(after.chosen)
            await _store(connection, client_id, after)
            client, present = await _read(connection, client_id)
        await self._tell(client_id)
        return _view(client, present), True

    async def _tell(self, client_id: str) -> None:
        if self._on_change is None:
            return
        try:
            await self._on_change(client_id)
        except Exception:  # the change is stored, and comes by itself with the bot's next sign of life
            log.exception("the bot was not told", extra={"client_id": client_id, "action": "configure"})


_NOTHING: Final = Version(0, "", None, "", "", {}, None, None, None)


def merge(present: Configuration, wanted: Configure) -> Configuration:
    """The next version of `present`, with what `wanted` changes.

    Raises:
        InvalidInput: see `ConfigurationService.configure`.
    """
    chosen: dict[str, Any] = dict(present.chosen)
    for name, raw in (wanted.settings or {}).items():
        if name not in _FIELDS:
            raise InvalidInput(f"settings.{name}", f"no such setting; allowed: {', '.join(sorted(_FIELDS))}")
        value = msgspec.json.decode(raw)
        check_strings(value, field=f"settings.{name}")
        if value is None:
            chosen.pop(name, None)
        else:
            chosen[name] = value
    _settings(chosen)
    personality = present.personality if wanted.personality is None else wanted.personality
    for name in unknown_placeholders(personality):
        raise InvalidInput(
            "personality", f"no such placeholder {{{{{name}}}}}; allowed: {', '.join(PLACEHOLDER_NAMES)}"
        )
    return Configuration(present.version + 1, personality, chosen)


def _settings(chosen: Mapping[str, Any]) -> ClientSettings:
    try:
        return msgspec.convert(chosen, ClientSettings)
    except msgspec.ValidationError as error:
        found = _AT.match(str(error))
        message, path = found.group("message", "path") if found else (str(error), None)
        raise InvalidInput(f"settings.{path}" if path else "settings", message) from error


async def _read(connection: Connection, client_id: str, *, lock: bool = False) -> tuple[Client, Version]:
    client = await (store.lock if lock else store.read)(connection, client_id)
    if client is None:
        raise NotFound(f"there is no client {client_id!r}")
    rows = await _rows(connection, client_id, 2**31 - 1, 1)
    return client, rows[0] if rows else _NOTHING


async def _rows(connection: Connection, client_id: str, newest: int, limit: int) -> list[Version]:
    async with connection.cursor(row_factory=class_row(Version)) as cursor:
        await cursor.execute(_VERSIONS, (client_id, newest, limit))
        return await cursor.fetchall()


async def _version(connection: Connection, client_id: str, version: int) -> Version:
    rows = await _rows(connection, client_id, version, 1) if 0 < version < 2**31 else []
    if not rows or rows[0].version != version:
        raise NotFound(f"client {client_id!r} has no version {version}")
    return rows[0]


async def _store(connection: Connection, client_id: str, version: Version) -> None:
    fields = (version.name, version.language, version.timezone)
    await connection.execute(
        _INSERT,
        (client_id, version.version, version.personality, Jsonb(version.chosen), version.author, version.note,
         *fields),
    )  # fmt: skip
    await connection.execute(_APPLY, (version.version, *fields, client_id))


def _view(client: Client, version: Version) -> ConfigurationView:
    known = {name: value for name, value in version.chosen.items() if name in _FIELDS}
    return ConfigurationView(
        version=version.version,
        author=version.author,
        created_at=version.created_at.isoformat() if version.created_at else None,
        note=version.note,
        name=version.name or client.name,
        language=version.language or client.language,
        timezone=version.timezone or client.timezone,
        personality=version.personality,
        settings=msgspec.convert(known, ClientSettings),
        chosen=sorted(known),
    )


def _differences(before: Version, after: Version) -> list[Difference]:
    """Field by field; a setting that was not chosen counts as its default, an unknown name as equal."""
    found: list[Difference] = []
    for field in ("name", "language", "timezone"):
        old, new = getattr(before, field), getattr(after, field)
        if old is not None and new is not None and old != new:
            found.append(Difference(field, old, new))
    if before.personality != after.personality:
        found.append(Difference("personality", before.personality, after.personality))
    old_settings, new_settings = _effective(before), _effective(after)
    found += [
        Difference(f"settings.{name}", old_settings.get(name), new_settings.get(name))
        for name in sorted(old_settings.keys() | new_settings.keys())
        if old_settings.get(name) != new_settings.get(name)
    ]
    return found


def _effective(version: Version) -> dict[str, Any]:
    known = {name: value for name, value in version.chosen.items() if name in _FIELDS}
    built: dict[str, Any] = msgspec.to_builtins(msgspec.convert(known, ClientSettings))
    return built
