"""`orbitbot why`: prints the story of a message, for operators at a shell."""

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from orbitbot.contracts.why import Stage, Story
from orbitbot.conversations.stories import find_stories
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.logs import mask_contact
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.settings import load_settings
from orbitbot.gateway.settings import GatewaySettings

_SECOND: Final = 1000.0  # milliseconds


def main(
    message_id: str, settings_path: Path, *, client_id: str | None, as_json: bool, show_text: bool
) -> int:
    """Print every story that the id has; more than one only if several clients have such a message.

    Raises:
        SettingsError: the settings are missing or wrong.
        NotFound: no ledger has this id.
        Unavailable: the database cannot be reached.
    """
    settings = load_settings(settings_path, GatewaySettings)
    if client_id is not None:
        check_client_id(client_id)
    if "\0" in message_id:
        raise InvalidInput("MESSAGE_ID", "must not hold NUL bytes")
    stories = asyncio.run(_find(settings, message_id, client_id))
    if not show_text:
        stories = [without_text(story) for story in stories]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(stories)).decode())  # noqa: T201  (a command's output)
    else:
        print("\n\n".join(as_text(story) for story in stories))  # noqa: T201  (a command's output)
    return 0


async def _find(settings: GatewaySettings, message_id: str, client_id: str | None) -> list[Story]:
    database = Database(settings.operator_database, "why")
    await database.open()
    try:
        return await find_stories(database, message_id, client_id)
    finally:
        await database.close()


def without_text(story: Story) -> Story:
    """The story without what was said, and with the contact's number cut to its last digits."""
    hidden = {"message": "", "transcription": None, "response": "", "contact": mask_contact(story.contact)}
    return msgspec.structs.replace(story, **hidden)


def as_text(story: Story) -> str:
    """A story as people read it: one stage a line, with the time since the one before."""
    reason = f" ({story.reason})" if story.reason else ""
    lines = [
        f"{story.message_id} of {story.client_id}, {story.type} from {story.contact}: {story.state}{reason}"
    ]
    width = max(len(stage.name) for stage in story.stages)
    lines += [_line(stage, width) for stage in story.stages]
    if story.turn:
        others = len(story.messages) - 1
        merged = f", merged with {others} other message{'s' * (others > 1)}" if others else ""
        lines.append(f"  turn {story.turn}{merged}; attempts: {story.attempts}")
    if story.source:
        provider = (
            f", {_duration(story.timings.provider)} of it the provider" if story.timings.provider else ""
        )
        total = _duration(story.timings.total) if story.timings.total is not None else "?"
        lines.append(f"  answered by {story.model} ({story.source}) in {total}{provider}")
    if story.interrupted:
        lines.append("  interrupted: nobody works on it until its bot posts it again")
    if story.maybe_repeated:
        lines.append("  the contact may have got (a part of) the answer twice")
    said = {"wrote": story.message, "was heard": story.transcription, "got": story.response}
    lines += [f"  {what}: {text}" for what, text in said.items() if text]
    return "\n".join(lines)


def _line(stage: Stage, width: int) -> str:
    after = "" if stage.after_ms is None else f"+{_duration(stage.after_ms)}"
    time = stage.at.replace("T", " ")[:23]
    return f"  {time}  {after:>10}  {stage.name:<{width}}  by the {stage.by}"


def _duration(milliseconds: float) -> str:
    if abs(milliseconds) < _SECOND:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / _SECOND:.1f} s"
