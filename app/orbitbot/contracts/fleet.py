"""`/api/fleet…` (operators): hosts of bots, what they have room for, where each client belongs, and moves."""

from typing import Annotated, Literal

import msgspec

from orbitbot.contracts.bot import BotState
from orbitbot.contracts.clients import ChannelKind, ClientState, CredentialCreated

MoveStage = Literal["begun", "copied", "starting", "done", "failed"]
HostName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1_000_000.0)]


class HostLimits(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How far a host may be filled with bots.

    Attributes:
        bots: at most.
        spare_mib: of memory that stay free whatever comes.
        bot_mib: of memory that one more bot is expected to take.
        load: of the processors, as a share of all of them (a load average over 5 minutes), above which no
            bot is added.
    """

    bots: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 250
    spare_mib: Count = 512
    bot_mib: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 48
    load: Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)] = 0.9


class HostMeasure(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What was measured on a host.

    Attributes:
        bots: of which supervisor has a program.
        free_mib: memory that is available without swapping.
        load: average of the last 5 minutes, divided by the number of processors.
    """

    bots: Count
    total_mib: Count
    free_mib: Count
    processors: Count
    load: Share
    limits: HostLimits = msgspec.field(default_factory=HostLimits)


class MeasuredHost(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A host as measured just now."""

    name: HostName
    measure: HostMeasure


class NewClient(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A client to be placed: registered where it is new, its host kept where it has one.

    Attributes:
        host: where it is to run; empty: where most room is.
        channel, name, language, timezone: as in `PUT /api/clients/{clientId}`; None: as registered, or the
            default of a new client.
        old_host_is_stopped: see `TakeLease`.
    """

    id: str
    host: str = ""
    channel: ChannelKind | None = None
    name: str | None = None
    language: str | None = None
    timezone: str | None = None
    old_host_is_stopped: bool = False


class PlaceClients(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`POST /api/fleet/placements`: all of them get a host, or none and the reason.

    Attributes:
        hosts: that may be chosen, as measured just now. Others keep what they have and get nothing new.
    """

    clients: Annotated[list[NewClient], msgspec.Meta(min_length=1, max_length=2000)]
    hosts: Annotated[list[MeasuredHost], msgspec.Meta(max_length=1000)]


class Placement(msgspec.Struct, rename="camel"):
    """Where a client belongs; `chosen` is whether this call decided it."""

    id: str
    host: str
    generation: int
    channel: ChannelKind
    config_version: int
    chosen: bool = False


class Placements(msgspec.Struct, rename="camel"):
    """One for each client that was asked for, in the same order; `changed` is whether any is new."""

    clients: list[Placement]
    changed: bool


class BotCredentials(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`POST /api/fleet/credentials`: client id → id of the credential that its host has, or empty."""

    held: Annotated[dict[str, str], msgspec.Meta(max_length=2000)]


class BotCredentialsMade(msgspec.Struct, rename="camel"):
    """Client id → new credential, for those whose host had none in force. Secrets are shown this once."""

    made: dict[str, CredentialCreated]
    changed: bool


class BeginMove(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`POST /api/clients/{clientId}/moves`: begins a move, or goes on with one that was interrupted.

    Attributes:
        to: host, with its measure: refused when that is full or draining.
        old_host_is_dead: whoever asks knows that the bot's present host is down for good; its data are lost.
    """

    to: MeasuredHost
    old_host_is_dead: bool = False


class MoveProgress(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`PATCH /api/clients/{clientId}/moves/{id}`: how far a move has come.

    Attributes:
        stage: `copied`: the data are whole at the new host; `starting`: the bot may have run there; `done`.
        turn_back: the bot does not start there: the same move goes on towards where it came from.
    """

    stage: Literal["copied", "starting", "done"] | None = None
    turn_back: bool = False
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    silent_seconds: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] | None = None


class MoveView(msgspec.Struct, rename="camel"):
    """A move. Times are RFC 3339.

    Attributes:
        id: 0 where the client is at `to_host` already and nothing is to be done.
        generation: that the bot at `to_host` runs on.
        turned_back: it did not start where it was to go (`reason`), and returns.
    """

    id: int
    client_id: str
    from_host: str
    to_host: str
    stage: MoveStage
    generation: int = 0
    channel: ChannelKind = "neonize"
    without_state: bool = False
    turned_back: bool = False
    reason: str = ""
    silent_seconds: float | None = None
    author: str = ""
    started_at: str = ""
    finished_at: str | None = None
    changed: bool = False


class DrainHost(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`PUT /api/fleet/hosts/{name}`: whether a host gets no more bots.

    Attributes:
        measure: as measured just now; without it the host is one that is known.
    """

    draining: bool
    measure: HostMeasure | None = None


class HostView(msgspec.Struct, rename="camel"):
    """A host of bots; `room` is for how many more bots, `full_because` why for none."""

    name: str
    clients: int
    draining: bool
    measure: HostMeasure | None
    measured_at: str | None
    room: int
    full_because: str = ""
    changed: bool = False


class FleetClient(msgspec.Struct, rename="camel"):
    """Where a client belongs, how its bot is, and what is not as it should be (empty: nothing)."""

    id: str
    state: ClientState
    channel: ChannelKind
    host: str
    generation: int
    bot_state: BotState | Literal["unknown"]
    bot_generation: int
    wrong: str = ""


class FleetView(msgspec.Struct, rename="camel"):
    """`GET /api/fleet`: everything about who runs where.

    Attributes:
        clients: those that are not removed, by id.
        removed: ids of removed ones; their bots run nowhere.
        moves: the last ones, newest first.
    """

    hosts: list[HostView]
    clients: list[FleetClient]
    removed: list[str]
    moves: list[MoveView]


class SharedConfiguration(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`PATCH /api/fleet/configuration`: what every client has that has not chosen otherwise itself.

    Attributes:
        personality: None: it stays as it is.
        settings: replaced field by field; null takes one back.
    """

    personality: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    settings: dict[str, msgspec.Raw] | None = None


class SharedConfigurationView(msgspec.Struct, rename="camel"):
    """What is in force; `told` bots were ordered to fetch it at once."""

    version: int
    personality: str
    settings: dict[str, object]
    changed: bool = False
    told: int = 0
