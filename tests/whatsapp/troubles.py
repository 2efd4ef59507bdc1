"""What can go wrong, by switches that a test turns."""

from dataclasses import dataclass, field
from typing import Literal

# What of the server's side still works: everything; nothing but the open socket; everything but the delivery
# of messages and receipts.
Hearing = Literal["all", "nothing", "answers_only"]


@dataclass
class Troubles:
    """The troubles of the moment, for every bot unless said otherwise.

    Attributes:
        refuse_connections: TCP connections are closed at once.
        hold_connections: TCP connections are accepted, and nothing ever comes.
        outdated: every login ends with failure 405.
        banned_for: seconds of a temporary ban by number; its logins end with failure 402.
        hearing: by number.
        delay: seconds before every stanza of the server's, by number.
        send_error: error code that answers what a bot sends, by number (463: its outreach is locked).
        receipt_delay: seconds until contacts' phones say that they have a message, by the bot's number.
        lost_acknowledgements: bots by number whose next sends are delivered and never acknowledged: how many.
    """

    refuse_connections: bool = False
    hold_connections: bool = False
    outdated: bool = False
    banned_for: dict[str, int] = field(default_factory=dict)
    hearing: dict[str, Hearing] = field(default_factory=dict)
    delay: dict[str, float] = field(default_factory=dict)
    send_error: dict[str, int] = field(default_factory=dict)
    receipt_delay: dict[str, float] = field(default_factory=dict)
    lost_acknowledgements: dict[str, int] = field(default_factory=dict)
