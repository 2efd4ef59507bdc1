"""Built-in plugin: commands that admin numbers write into the chat, `/pause 5511912345678`.

Which commands there are is the hook `commands` of every plugin that works for the client; this one brings
help, pause and resume. The service carries them out (`ai.commanding`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec

from orbitbot.plugins.hooks import (
    Command,
    PauseChat,
    PluginSettings,
    PromptContext,
    Reply,
    ResumeChat,
    TurnContext,
    hookimpl,
)

PREFIX: Final = "/"
NUMBER_HOSTS: Final = ("", "s.whatsapp.net", "c.us")  # whose ids are telephone numbers
_NUMBER: Final = re.compile(r"\+?[\d\s().-]{6,25}")
_TEXTS: Final = {
    "pt": {
        "pause": "faz o assistente ficar em silêncio com um contato: /pause NÚMERO [MINUTOS]",
        "resume": "faz o assistente responder de novo a um contato: /resume NÚMERO",
        "paused": "Pronto: não respondo mais a {contact}{how_long}.",
        "minutes": " por {minutes} minutos", "for_good": " até /resume {contact}",
        "resumed": "Pronto: volto a responder a {contact}.",
        "usage": "Não entendi. Use: {usage}",
        "unknown": "Não conheço esse comando. Comandos:",
    },
    "en": {
        "pause": "makes the assistant silent towards a contact: /pause NUMBER [MINUTES]",
        "resume": "makes the assistant answer a contact again: /resume NUMBER",
        "paused": "Done: I do not answer {contact} any more{how_long}.",
        "minutes": " for {minutes} minutes", "for_good": " until /resume {contact}",
        "resumed": "Done: I answer {contact} again.",
        "usage": "I did not understand. Use: {usage}",
        "unknown": "I do not know that command. Commands:",
    },
}  # fmt: skip


Number = Annotated[str, msgspec.Meta(pattern=r"^\+?\d[\d\s().-]{6,20}$")]


class AdminSettings(PluginSettings, frozen=True):
    """What may be set: the numbers that may give commands, with country code."""

    numbers: Annotated[tuple[Number, ...], msgspec.Meta(max_length=20)] = ()


class Admin:
    """Lets the client's own numbers command the assistant in the chat."""

    @hookimpl
    def plugin_settings(self) -> type[PluginSettings]:
        """See `AdminSettings`."""
        return AdminSettings

    @hookimpl
    def commands(self, context: PromptContext) -> Sequence[Command]:  # noqa: ARG002  (the hook's own)
        """`/pause` and `/resume`."""
        return [
            Command("pause", _both("pause"), _pause),
            Command("resume", _both("resume"), _resume),
        ]


def digits(number: str) -> str:
    """A telephone number's digits, or a channel id without its host."""
    return "".join(each for each in number.partition("@")[0] if each.isdigit())


def is_admin(settings: AdminSettings, contact: str) -> bool:
    """Whether the contact may give commands."""
    number, _, host = contact.partition("@")
    if host not in NUMBER_HOSTS or not number.removeprefix("+").isdecimal():
        return False
    return any(digits(each) == digits(number) for each in settings.numbers)


def texts(language: str) -> Mapping[str, str]:
    """This plugin's words in the client's language, English where it has none."""
    return _TEXTS["pt" if language.partition("-")[0].lower() == "pt" else "en"]


def help_text(commands: Sequence[Command], language: str, *, unknown: bool) -> str:
    """Every command and what it does."""
    short = language.partition("-")[0].lower()
    lines = [texts(language)["unknown"]] if unknown else []
    lines += [
        f"{PREFIX}{each.name}: {each.help.get(short) or each.help.get('en') or ''}".rstrip(": ")
        for each in commands
    ]
    return "\n".join(lines)


def _both(name: str) -> dict[str, str]:
    return {language: words[name] for language, words in _TEXTS.items()}


def _number(arguments: str) -> tuple[str, str]:
    """The number at the beginning, and the rest."""
    first, _, rest = arguments.strip().partition(" ")
    return (digits(first), rest.strip()) if _NUMBER.fullmatch(first) else ("", "")


def _pause(context: TurnContext, arguments: str) -> Reply:
    words = texts(context.language)
    contact, rest = _number(arguments)
    if not contact or (rest and not rest.isdigit()):
        return Reply(words["usage"].format(usage=words["pause"].partition(": ")[2]))
    minutes = float(rest) if rest else None
    how_long = words["minutes" if minutes else "for_good"].format(minutes=rest, contact=contact)
    done = words["paused"].format(contact=contact, how_long=how_long)
    return Reply(done, (PauseChat(minutes, contact, "paused by an admin number"),))


def _resume(context: TurnContext, arguments: str) -> Reply:
    words = texts(context.language)
    contact, _ = _number(arguments)
    if not contact:
        return Reply(words["usage"].format(usage=words["resume"].partition(": ")[2]))
    return Reply(words["resumed"].format(contact=contact), (ResumeChat(contact),))
