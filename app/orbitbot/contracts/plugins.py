"""AI `POST /api/check-plugins` and `POST /api/plugins`: what is installed, and whether settings fit it."""

from typing import Any

import msgspec


class CheckPlugins(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`plugins` as in a client's settings: plugin → settings."""

    plugins: dict[str, Any]


class PluginProblem(msgspec.Struct, rename="camel"):
    """A field that cannot be as it is."""

    field: str
    detail: str


class PluginProblems(msgspec.Struct, rename="camel"):
    """Everything that does not fit; empty if all does."""

    problems: list[PluginProblem]


class PluginView(msgspec.Struct, rename="camel"):
    """One installed plugin.

    Attributes:
        always_on: it works for every client, and cannot be switched on or off.
        hooks: which it has.
        settings: a JSON schema of what may be set of it.
        failures: of its hooks, since the process that tells started.
        suspended: it is left alone for the moment because it kept failing.
    """

    name: str
    description: str
    distribution: str
    always_on: bool
    hooks: list[str]
    settings: dict[str, Any]
    calls: int = 0
    failures: int = 0
    suspended: bool = False
    last_error: str = ""


class PluginList(msgspec.Struct, rename="camel"):
    """All installed plugins, by name."""

    plugins: list[PluginView]
