"""Which messages are never answered, decided once, when they are journaled."""

from orbitbot.bot.models import InboundEvent
from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.messages import SilenceReason


def set_aside_reason(event: InboundEvent, settings: BotSettings, now: float) -> SilenceReason | None:
    """Why `event` is never answered, or None if it is to be.

    Args:
        now: Unix time in seconds at which the event is being journaled. A message that waits in the
            journal, for a gateway that is away say, does not grow too old there.
    """
    reasons: tuple[tuple[bool, SilenceReason], ...] = (
        (event.kind == "own", "own_message"),
        (event.kind == "status", "status_broadcast"),
        (event.group and not (settings.answer_groups and event.addressed), "group"),
        (_name(event.sender) in map(_name, settings.fleet_numbers), "fleet_number"),
        (event.kind == "history", "history"),
        (now - event.sent_at > settings.max_age_seconds, "too_old"),
        (settings.muted, "muted"),
        (event.kind == "unsupported", "unsupported"),
        (_is_not_answered(event, settings), "not_answered"),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _is_not_answered(event: InboundEvent, settings: BotSettings) -> bool:
    """Without words, and of a kind that the client only stores. A caption is answered in any case."""
    content = event.content
    if event.type == "voice":  # a file with sound is heard as a voice note is
        return False
    return content is not None and content.kind not in settings.answer_kinds and not event.text


def _name(number: str) -> str:
    """`+55 11 98765-4321` and `5511987654321@s.whatsapp.net` are one number; a LID's digits are none."""
    address, _, server = number.partition("@")
    user = address.partition(":")[0]
    return ("".join(filter(str.isdigit, user)) or user) + ("@lid" if server == "lid" else "")
