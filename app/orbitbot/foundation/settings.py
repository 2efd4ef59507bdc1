"""Typed settings from TOML files. A wrong file stops the process with a message naming the field.

Nothing reads the environment or a file on import: `main()` of a service loads its settings once and
hands them on. A field ending in `_file` is the path of a file that holds a secret and nothing else.
"""

from pathlib import Path
from typing import TypeVar

import msgspec

from orbitbot.foundation.errors import SettingsError

T = TypeVar("T")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every settings Struct: immutable, and an unknown (misspelt) field is an error."""


class DatabaseSettings(Settings, frozen=True):
    """How one service reaches PostgreSQL, as its own role.

    Attributes:
        tls_ca_file: authority that the server's certificate must be signed by, for the name or address in
            `host`; empty: whatever the server offers, which is for a server on this very host.
        pool_size: connections per worker process.
    """

    user: str
    password_file: str
    name: str = "orbitbot"
    host: str = "127.0.0.1"
    port: int = 5432
    tls_ca_file: str = ""
    pool_size: int = 8


class ListenSettings(Settings, frozen=True):
    """Where a service listens, and with how many worker processes."""

    port: int
    host: str = "127.0.0.1"
    workers: int = 1
    drain_seconds: int = 30  # how long a stopping worker may finish what it has begun


def load_settings(path: str | Path, kind: type[T]) -> T:
    """Read a TOML file into the settings Struct `kind`.

    Raises:
        SettingsError: the file is missing, not TOML, has an unknown field, lacks one, or one has the
            wrong type; the message names file and field.
    """
    path = Path(path)
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def read_secret(path: str | Path) -> str:
    """The secret that a `_file` setting points at, without the final newline.

    Raises:
        SettingsError: the file is missing, unreadable or empty. The message never holds the secret.
    """
    try:
        secret = Path(path).read_text("utf-8").rstrip("\n")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    if not secret:
        raise SettingsError(f"{path}: the secret file is empty")
    return secret
