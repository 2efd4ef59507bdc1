"""A client's configuration and its versions.

PATCH /api/clients/{clientId}                                    change anything of it
GET   /api/clients/{clientId}/versions                           who changed it when, newest first
GET   /api/clients/{clientId}/versions/{version}                 one of them, whole
GET   /api/clients/{clientId}/versions/{version}/compare/{other} what differs
POST  /api/clients/{clientId}/versions/{version}/restore         make it the present one, as a new version
"""

from typing import Annotated, Any

import msgspec

from orbitbot.contracts.configure import ClientSettings


class PatchClient(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is left out (null) stays as it is; `settings` is replaced field by field, and a setting given as
    null goes back to its default."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    language: str | None = None  # BCP 47
    timezone: str | None = None  # IANA
    personality: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    settings: dict[str, msgspec.Raw] | None = None  # checked against ClientSettings, by name
    note: Annotated[str, msgspec.Meta(max_length=500)] = ""  # why, for the list of versions


class ConfigurationView(msgspec.Struct, rename="camel"):
    """One version, whole.

    Attributes:
        version: 0 for a client that was never configured.
        settings: as they are in force, defaults included.
        chosen: the names of those that were set.
    """

    version: int
    author: str
    created_at: str | None
    note: str
    name: str
    language: str
    timezone: str
    personality: str
    settings: ClientSettings
    chosen: list[str]


class VersionLine(msgspec.Struct, rename="camel"):
    """One version in the list; `changed` names what differs from the one before."""

    version: int
    author: str
    created_at: str
    note: str
    changed: list[str]


class VersionList(msgspec.Struct, rename="camel"):
    """Versions, newest first; `before` is what to ask with for older ones, null at the end."""

    versions: list[VersionLine]
    before: int | None = None


class Difference(msgspec.Struct, rename="camel"):
    """One thing that differs: `personality`, `name`, `settings.temperature` …"""

    field: str
    before: Any
    after: Any


class Comparison(msgspec.Struct, rename="camel"):
    """What changes from `version` to `other`; `personality` also line by line, as diff has it."""

    version: int
    other: int
    differences: list[Difference]
    personality_diff: list[str] = []
