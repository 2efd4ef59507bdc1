"""Says in words what a message holds beside its text, for the assistant to read.

A description stands in square brackets, on a line of its own, in Portuguese or English.
"""

from typing import Final

from orbitbot.bot.models import Content, InboundEvent, Quoted

QUOTE_LIMIT: Final = 300  # characters of a quoted message
NAME_LIMIT: Final = 200  # characters of a file's, place's or contact's name

_TEXTS: Final = {
    "pt": {
        "image": "enviou uma imagem", "video": "enviou um vídeo",
        "audio": "enviou um arquivo de áudio", "document": "enviou um documento",
        "location": "enviou uma localização", "contact": "enviou um contato",
        "sticker": "enviou uma figurinha",
        "poll": "enviou uma enquete", "reaction": "reagiu com {name}", "unreacted": "retirou a reação",
        "reacted_to": " a: “{text}”", "quote": "em resposta a: “{text}”",
    },
    "en": {
        "image": "sent an image", "video": "sent a video",
        "audio": "sent an audio file", "document": "sent a document",
        "location": "sent a location", "contact": "sent a contact", "sticker": "sent a sticker",
        "poll": "sent a poll", "reaction": "reacted with {name}", "unreacted": "took a reaction back",
        "reacted_to": " to: “{text}”", "quote": "in reply to: “{text}”",
    },
}  # fmt: skip


def described(event: InboundEvent, language: str) -> str:
    """The event's text, with what it replies to and what it holds in words before it."""
    texts = _TEXTS["pt" if language.partition("-")[0].lower() == "pt" else "en"]
    lines = []
    if event.content is not None and event.content.kind == "reaction":
        lines.append(f"[{_reaction(event.content, event.quoted, texts)}]")
    else:
        if event.quoted is not None and event.quoted.text:
            lines.append(f"[{texts['quote'].format(text=_short(event.quoted.text, QUOTE_LIMIT))}]")
        if event.content is not None:
            lines.append(f"[{_content(event.content, texts)}]")
    return "\n".join(filter(None, [*lines, event.text]))


def _reaction(content: Content, quoted: Quoted | None, texts: dict[str, str]) -> str:
    said = texts["reaction"].format(name=_short(content.name, 20)) if content.name else texts["unreacted"]
    if quoted is not None and quoted.text:
        said += texts["reacted_to"].format(text=_short(quoted.text, QUOTE_LIMIT))
    return said


def _content(content: Content, texts: dict[str, str]) -> str:
    facts = [_short(content.name, NAME_LIMIT), _short(content.detail, NAME_LIMIT)]
    if content.position is not None:
        latitude, longitude = content.position
        facts.append(f"{latitude:.6f}, {longitude:.6f}")
    told = "; ".join(filter(None, facts))
    return texts[content.kind] + (f": {told}" if told else "")


def _short(text: str, limit: int) -> str:
    """One line of at most `limit` characters that cannot end the brackets it stands in."""
    line = " ".join(text.split()).replace("[", "(").replace("]", ")")
    return line if len(line) <= limit else line[: limit - 1] + "…"
