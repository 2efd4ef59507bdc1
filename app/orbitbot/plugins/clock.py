"""Built-in plugin: the date and time where the client is, in the client's language."""

from datetime import UTC, datetime
from typing import Final

from orbitbot.plugins.hooks import PromptContext, hookimpl
from orbitbot.plugins.zones import zone_of

_WEEKDAYS: Final = {
    "pt": (
        "segunda-feira",
        "terça-feira",
        "quarta-feira",
        "quinta-feira",
        "sexta-feira",
        "sábado",
        "domingo",
    ),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_MONTHS: Final = {
    "pt": (
        "janeiro", "fevereiro", "março", "abril", "maio", "junho",
        "julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip


class Clock:
    """Tells the assistant what day and time it is, so that "today" and "are you open" have an answer."""

    @hookimpl
    def prompt_facts(self, context: PromptContext) -> str:
        """Such as `Agora: domingo, 22 de novembro de 2026, 09:21 (America/Sao_Paulo).`"""
        zone = zone_of(context.timezone)
        now, zone_name = context.now.astimezone(zone), "UTC" if zone is UTC else context.timezone
        language = context.language.partition("-")[0].lower()
        return _portuguese(now, zone_name) if language == "pt" else _english(now, zone_name)


def _portuguese(now: datetime, zone_name: str) -> str:
    weekday, month = _WEEKDAYS["pt"][now.weekday()], _MONTHS["pt"][now.month - 1]
    return f"Agora: {weekday}, {now.day} de {month} de {now.year}, {now:%H:%M} ({zone_name})."


def _english(now: datetime, zone_name: str) -> str:
    weekday, month = _WEEKDAYS["en"][now.weekday()], _MONTHS["en"][now.month - 1]
    return f"Now: {weekday}, {now.day} {month} {now.year}, {now:%H:%M} ({zone_name})."
