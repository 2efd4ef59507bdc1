"""`PUT /api/clients/{clientId}/lease` (operators): which host runs the client's bot.

A lease is a generation, not a timer: an unreachable gateway ends nobody's. A higher one is given only when
the old host is known to be stopped.
"""

import msgspec


class TakeLease(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The host that is going to run the bot, by its name in the inventory.

    Attributes:
        old_host_is_stopped: whoever asks knows that the bot does not run on the old host any more.
    """

    host: str
    old_host_is_stopped: bool = False


class Lease(msgspec.Struct, rename="camel"):
    """What the bot has to show: its settings hold the generation."""

    host: str
    generation: int
    changed: bool = False  # whether this call changed anything
