"""Built-in plugin: what to do while the business is closed, by the opening hours in its settings."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Annotated, Final, Literal

import msgspec

from orbitbot.contracts.configure import Opening
from orbitbot.plugins.hooks import (
    Decision,
    PluginSettings,
    PromptContext,
    Reply,
    Silence,
    TurnContext,
    hookimpl,
)
from orbitbot.plugins.zones import zone_of

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
AHEAD: Final = 15  # days in which the next opening is looked for
_MIDNIGHT: Final = "24:00"
_TEXTS: Final = {
    "pt": {
        "closed": "Agora estamos fechados. Abrimos {when}. Deixe a sua mensagem: respondemos depois.",
        "closed_unknown": "Agora estamos fechados. Deixe a sua mensagem: respondemos depois.",
        "open_fact": "A loja está aberta agora, até {until}.",
        "closed_fact": "A loja está fechada agora; abre {when}.",
        "closed_unknown_fact": "A loja está fechada agora.",
        "today": "hoje às {time}", "tomorrow": "amanhã às {time}", "later": "{day}, dia {date}, às {time}",
    },
    "en": {
        "closed": "We are closed now. We open {when}. Leave your message: we answer as soon as we open.",
        "closed_unknown": "We are closed now. Leave your message: we answer as soon as we open.",
        "open_fact": "The business is open now, until {until}.",
        "closed_fact": "The business is closed now; it opens {when}.",
        "closed_unknown_fact": "The business is closed now.",
        "today": "today at {time}", "tomorrow": "tomorrow at {time}", "later": "on {day}, {date}, at {time}",
    },
}  # fmt: skip
_WEEKDAYS: Final = {
    "pt": ("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}


class BusinessHoursSettings(PluginSettings, frozen=True):
    """What may be set.

    Attributes:
        when_closed: `note` lets the assistant answer, knowing that it is closed; `reply` answers with
            `closedText`; `silence` does not answer.
        closed_text: empty: the language's own.
        holidays: days on which it is closed, YYYY-MM-DD.
    """

    when_closed: Literal["note", "reply", "silence"] = "note"
    closed_text: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    holidays: Annotated[tuple[date, ...], msgspec.Meta(max_length=200)] = ()


class BusinessHours:
    """Knows whether the business is open, tells the assistant, and answers for it while it is closed."""

    @hookimpl
    def plugin_settings(self) -> type[PluginSettings]:
        """See `BusinessHoursSettings`."""
        return BusinessHoursSettings

    @hookimpl
    def prompt_facts(self, context: PromptContext) -> str | None:
        """Whether it is open now, and until or from when."""
        if not context.business.hours:
            return None
        texts, now = _texts(context.language), context.now.astimezone(zone_of(context.timezone))
        holidays = context.settings.holidays
        until = open_until(context.business.hours, holidays, now)
        if until is not None:
            return texts["open_fact"].format(until=f"{until:%H:%M}")
        opens = next_opening(context.business.hours, holidays, now)
        if opens is None:
            return texts["closed_unknown_fact"]
        return texts["closed_fact"].format(when=_when(opens, now, context.language))

    @hookimpl
    def before_answer(self, context: TurnContext) -> Decision | None:
        """Answer or be silent while it is closed, if so set."""
        settings: BusinessHoursSettings = context.settings
        hours = context.business.hours
        if settings.when_closed == "note" or not hours:
            return None
        now = context.now.astimezone(zone_of(context.timezone))
        if open_until(hours, settings.holidays, now) is not None:
            return None
        if settings.when_closed == "silence":
            return Silence("out_of_hours")
        texts = _texts(context.language)
        if settings.closed_text:
            return Reply(settings.closed_text)
        opens = next_opening(hours, settings.holidays, now)
        if opens is None:
            return Reply(texts["closed_unknown"])
        return Reply(texts["closed"].format(when=_when(opens, now, context.language)))


def _spans(hours: Iterable[Opening], holidays: Iterable[date], day: date) -> list[tuple[datetime, datetime]]:
    """When it opens and closes on a day, without zone; closing before opening means the next day."""
    if day in holidays:
        return []
    found = []
    for rule in hours:
        if DAYS[day.weekday()] in rule.days:
            opens = datetime.combine(day, _time(rule.opens))
            closes = datetime.combine(day, _time(rule.closes))
            if rule.closes == _MIDNIGHT or closes <= opens:
                closes += timedelta(days=1)
            found.append((opens, closes))
    return sorted(found)


def _time(text: str) -> time:
    return time(0, 0) if text == _MIDNIGHT else time.fromisoformat(text)


def open_until(hours: Iterable[Opening], holidays: Iterable[date], now: datetime) -> datetime | None:
    """When it closes, if it is open; None if it is closed."""
    hours, holidays = list(hours), list(holidays)
    clock = now.replace(tzinfo=None)
    for day in (clock.date() - timedelta(days=1), clock.date()):
        for opens, closes in _spans(hours, holidays, day):
            if opens <= clock < closes:
                return closes
    return None


def next_opening(hours: Iterable[Opening], holidays: Iterable[date], now: datetime) -> datetime | None:
    """When it opens next; None if it does not within `AHEAD` days."""
    hours, holidays = list(hours), list(holidays)
    clock = now.replace(tzinfo=None)
    for ahead in range(AHEAD):
        for opens, _ in _spans(hours, holidays, clock.date() + timedelta(days=ahead)):
            if opens > clock:
                return opens
    return None


def _texts(language: str) -> dict[str, str]:
    return _TEXTS["pt" if language.partition("-")[0].lower() == "pt" else "en"]


def _when(opens: datetime, now: datetime, language: str) -> str:
    texts = _texts(language)
    days = (opens.date() - now.date()).days
    name = {0: "today", 1: "tomorrow"}.get(days, "later")
    weekdays = _WEEKDAYS["pt" if texts is _TEXTS["pt"] else "en"]
    day = f"{opens:%d/%m}" if texts is _TEXTS["pt"] else f"{opens.day} {opens:%B}"
    return texts[name].format(time=f"{opens:%H:%M}", day=weekdays[opens.weekday()], date=day)
