"""OrbitBot: AI assistants on WhatsApp for many clients, on a fleet of bare hosts."""

import os

_PREFIX, _SUFFIX = "orbitbot-", ".dist-info"


def _version() -> str:
    """The installed version, from the name of the folder beside the package.

    importlib.metadata would tell it, too, and take 2 MiB of each of hundreds of bots.
    """
    for name in os.listdir(os.path.dirname(os.path.dirname(__file__))):  # noqa: PTH120, PTH208
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            return name[len(_PREFIX) : -len(_SUFFIX)]
    from importlib.metadata import version  # noqa: PLC0415  (an editable installation lies elsewhere)

    return version("orbitbot")


__version__ = _version()
