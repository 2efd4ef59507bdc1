"""Personalities: texts with placeholders, filled in from the client's `business` settings.

`{{business_name}}`, `{{hours}}`, `{{address}}`, `{{prices}}` … stand for what `PLACEHOLDERS` lists. A line
whose placeholders are all empty is left out, so that one text serves a shop that has entered everything and
one that has entered nothing. Anything else in braces is taken as it is.
"""

import re
from collections.abc import Callable
from typing import Final

from orbitbot.ai.models import Profile
from orbitbot.contracts.configure import Business, Opening, Price
from orbitbot.contracts.placeholders import PLACEHOLDER

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES: Final = {
    "pt": ("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
_FROM_TO: Final = {"pt": "{} a {}", "en": "{} to {}", "es": "{} a {}"}
_HOURS: Final = {"pt": "{}: das {} às {}", "en": "{}: {} to {}", "es": "{}: de {} a {}"}


def _language(tag: str) -> str:
    short = tag.partition("-")[0].lower()
    return short if short in _NAMES else "en"


def days_text(days: list[str], language: str) -> str:
    """Days of the week as people say them: `segunda a sexta, domingo`."""
    names = _NAMES[_language(language)]
    wanted = sorted({_DAYS.index(day) for day in days})
    parts: list[str] = []
    while wanted:
        run = [wanted.pop(0)]
        while wanted and wanted[0] == run[-1] + 1:
            run.append(wanted.pop(0))
        if len(run) > 2:  # noqa: PLR2004  ("Monday to Tuesday" is no range)
            parts.append(_FROM_TO[_language(language)].format(names[run[0]], names[run[-1]]))
        else:
            parts += [names[day] for day in run]
    return ", ".join(parts)


def hours_text(hours: list[Opening], language: str) -> str:
    """Opening hours, one rule after the other."""
    form = _HOURS[_language(language)]
    return "; ".join(
        form.format(days_text(list(rule.days), language), rule.opens, rule.closes) for rule in hours
    )


def prices_text(prices: list[Price]) -> str:
    """Prices, one a line."""
    return "\n".join(f"- {price.item}: {price.price}" for price in prices)


PLACEHOLDERS: Final[dict[str, Callable[[Business, Profile], str]]] = {  # of contracts.placeholders
    "business_name": lambda business, profile: business.name or profile.name,
    "address": lambda business, _: business.address,
    "phone": lambda business, _: business.phone,
    "website": lambda business, _: business.website,
    "payment": lambda business, _: business.payment,
    "delivery": lambda business, _: business.delivery,
    "hours": lambda business, profile: hours_text(business.hours, profile.language),
    "prices": lambda business, _: prices_text(business.prices),
    "notes": lambda business, _: business.notes,
}


def render(profile: Profile) -> str:
    """The client's personality with its placeholders filled in."""
    business = profile.settings.business
    values: dict[str, str] = {}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in PLACEHOLDERS:
            return match[0]
        if name not in values:
            values[name] = PLACEHOLDERS[name](business, profile).strip()
        return values[name]

    lines: list[str] = []
    for line in profile.personality.splitlines():
        names = [name for name in PLACEHOLDER.findall(line) if name in PLACEHOLDERS]
        filled = PLACEHOLDER.sub(value, line)
        if not names or any(values[name] for name in names):
            lines.append(filled)
    return "\n".join(lines).strip()
