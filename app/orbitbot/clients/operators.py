"""`orbitbot set-operator`: creates an operator's account, or changes its password."""

import asyncio
import re
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from orbitbot.clients import store
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import SettingsError
from orbitbot.foundation.migrations import MigrateSettings
from orbitbot.foundation.settings import load_settings, read_secret

_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,62}")
_SHORTEST_PASSWORD: Final = 12  # characters


def main(name: str, password_file: Path, settings_path: Path) -> int:
    """Print `changed` or `unchanged`; never the password.

    Raises:
        SettingsError: the name is not allowed, or the password is missing or too short.
        Unavailable: the database cannot be reached.
    """
    settings = load_settings(settings_path, MigrateSettings)
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is not an operator's name; allowed: 1 to 63 lower-case letters, digits, '.', '_' "
            "and '-', starting with a letter"
        )
    password = read_secret(password_file)
    if len(password) < _SHORTEST_PASSWORD:
        raise SettingsError(f"{password_file}: the password has fewer than {_SHORTEST_PASSWORD} characters")
    changed = asyncio.run(_run(settings, name, password))
    print("changed" if changed else "unchanged")  # noqa: T201  (the command's answer)
    return 0


async def _run(settings: MigrateSettings, name: str, password: str) -> bool:
    database = Database(settings.database, "set-operator")
    await database.open()
    try:
        return await set_operator(database, name, password)
    finally:
        await database.close()


async def set_operator(database: Database, name: str, password: str) -> bool:
    """Make `password` the operator's; returns whether it was another before (or there was none).

    A change revokes the tokens issued so far.
    """
    hasher = PasswordHasher()
    async with database.transaction() as connection:
        found = await store.read_operator(connection, name)
        if found is not None and _matches(hasher, found[0], password):
            return False
        await store.write_operator(connection, name, hasher.hash(password))
        return True


def _matches(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
    try:
        hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    return not hasher.check_needs_rehash(password_hash)
