"""Client ids and every name derived from one: paths, system user, supervisor program, Redis prefix.

This is the only place where such a name is made. The Ansible filters call it too.
"""

import hashlib
import re
from pathlib import PurePosixPath

from orbitbot.foundation.errors import InvalidInput

CLIENT_ID_PATTERN = r"^[a-z][a-z0-9-]{1,30}$"
CLIENT_ID_HELP = "2 to 31 characters: lower-case letters, digits and hyphens, starting with a letter"

_CLIENT_ID = re.compile(
    CLIENT_ID_PATTERN.removesuffix("$") + r"\Z"
)  # "$" alone would let a final newline pass
_USER_NAME_LIMIT = 32  # characters; useradd refuses longer names
_USER_PREFIX = "bot-"


def check_client_id(value: str) -> str:
    """Return `value` if it is a valid client id.

    Raises:
        InvalidInput: names the value and what is allowed.
    """
    if not _CLIENT_ID.match(value):
        raise InvalidInput("clientId", f"{value!r} is not a client id; allowed: {CLIENT_ID_HELP}")
    return value


def system_user(client_id: str) -> str:
    """The bot's own system user, at most 32 characters and different for every client id."""
    name = _USER_PREFIX + check_client_id(client_id)
    if len(name) <= _USER_NAME_LIMIT:
        return name
    digest = hashlib.sha256(client_id.encode()).hexdigest()[:8]
    return f"{name[: _USER_NAME_LIMIT - len(digest) - 1].rstrip('-')}-{digest}"


def supervisor_program(client_id: str) -> str:
    """The name of the bot's program (and group) in supervisor."""
    return f"bot-{check_client_id(client_id)}"


def supervisor_file(client_id: str) -> str:
    """The file name of the bot's program under supervisor's `conf.d`."""
    return f"orbitbot-{supervisor_program(client_id)}.conf"


def state_directory(client_id: str, root: str = "/var/lib/orbitbot/bots") -> str:
    """The bot's own directory (mode 0700): WhatsApp session, journal, media, credential."""
    return str(PurePosixPath(root) / check_client_id(client_id))


def settings_file(client_id: str, root: str = "/etc/orbitbot/bots") -> str:
    """The bot's settings file, written by Ansible."""
    return str(PurePosixPath(root) / f"{check_client_id(client_id)}.toml")


def log_file(client_id: str, root: str = "/var/log/orbitbot/bots") -> str:
    """The bot's log, rotated by supervisor."""
    return str(PurePosixPath(root) / f"{check_client_id(client_id)}.log")


def redis_prefix(client_id: str) -> str:
    """What every Redis key of this client starts with."""
    return f"client:{check_client_id(client_id)}:"
