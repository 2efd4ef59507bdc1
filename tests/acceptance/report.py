"""Shows a conversation in a terminal: every exchange, what was heard and answered, and where time went."""

import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from orbitbot.contracts.why import Story
from tests.acceptance.conversation import Account, Play

WIDTH: Final = 100  # columns
INDENT: Final = " " * 25
_COLOURS: Final = {"dim": "2", "bold": "1", "green": "32", "yellow": "33", "red": "31"}


class Screen:
    """Prints to a terminal, with colours where it has them."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._colours = stream.isatty()

    def say(self, text: str = "") -> None:
        """One line (or more), at once."""
        print(text, file=self._stream, flush=True)

    def paint(self, text: str, colour: str) -> str:
        """`text` in one of the colours, where there are any."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self._colours else text

    def show(self, play: Play) -> None:
        """An exchange: who, when, what was written or said, what was heard, what was answered."""
        contact = play.contact
        at = time.strftime("%H:%M:%S", time.localtime(play.sent_at - contact.age))
        head = f"{at}  {contact.number}"
        heard = iter(_heard(play.turns))
        for line in play.exchange.lines:
            if line.is_voice:
                self._block(head, f'(voice, {len(line.said.split())} words) "{next(heard, "")}"')
            else:
                self._block(head, line.text)
            head = ""
        for story in play.turns:
            self._answer(story)
        self.say()

    def _answer(self, story: Story) -> None:
        if story.state != "delivered":
            self._block(INDENT[:-3] + "✗", f"{story.state}: {story.reason}", colour="yellow")
            return
        took = sum(stage.after_ms or 0.0 for stage in story.stages[2:]) / 1000
        self._block(INDENT[:-3] + "→", story.response, colour="green")
        self._block(
            "", f"{story.source}, {story.model}, {took:.1f} s after the first message was journaled", "dim"
        )

    def _block(self, head: str, text: str, colour: str = "") -> None:
        wrapped = [
            piece
            for line in text.splitlines() or [""]
            if line or "\n" not in text
            for piece in textwrap.wrap(line, WIDTH - len(INDENT)) or [""]
        ]
        for number, piece in enumerate(wrapped):
            start = (head if number == 0 else "").ljust(len(INDENT))
            self.say(start + (self.paint(piece, colour) if colour else piece))

    def times(self, plays: Iterable[Play]) -> None:
        """A table of stage times over all turns, in milliseconds."""
        stories = [story for play in plays for story in play.turns if story.state == "delivered"]
        rows = {
            "queued (quiet time included)": [story.timings.queued for story in stories],
            "transcription": [story.timings.transcription for story in stories],
            "answer": [story.timings.answer for story in stories],
            "  of it the provider": [story.timings.provider for story in stories],
            "delivery (typing included)": [_between(story, "answered", "delivered") for story in stories],
            "our overhead": [_overhead(story) for story in stories],
        }
        self.say(self.paint(f"{'stage, ms':<30}{'turns':>8}{'p50':>9}{'p95':>9}{'longest':>10}", "bold"))
        for name, values in rows.items():
            measured = sorted(value for value in values if value is not None)
            if not measured:
                self.say(f"{name:<30}{0:>8}{'–':>9}{'–':>9}{'–':>10}")  # noqa: RUF001  (a dash: no value)
                continue
            p50, p95 = quantile(measured, 0.5), quantile(measured, 0.95)
            self.say(f"{name:<30}{len(measured):>8}{p50:>9.1f}{p95:>9.1f}{measured[-1]:>10.1f}")
        self.say(
            self.paint("our overhead: inside the gateway, speech and AI service; without the provider", "dim")
        )

    def counts(self, account: Account) -> None:
        """The account of all messages, then whatever is wrong with it."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(account.silenced.items()))
        self.say(
            f"in {account.messages} (and {account.redelivered} of them delivered twice)"
            f" · answered {account.answered}"
            f" · silenced {account.silenced.total()}{f' ({reasons})' if reasons else ''}"
            f" · failed {len(account.failed)} · lost {len(account.lost)} · doubled {len(account.doubled)}"
        )
        for complaint in account.complaints():
            self.say(self.paint(complaint, "red"))
        for surprise in account.unexpected:
            self.say(self.paint(f"unexpected: {surprise}", "yellow"))


def quantile(values: Sequence[float], fraction: float) -> float:
    """The quantile of sorted values, by linear interpolation (as PostgreSQL's percentile_cont)."""
    place = fraction * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def _heard(turns: Iterable[Story]) -> list[str]:
    return [words for story in turns if story.transcription for words in story.transcription.split("\n")]


def _between(story: Story, first: str, last: str) -> float | None:
    """Milliseconds from one stage to another."""
    total: float | None = None
    for stage in story.stages:
        if total is not None:
            total += stage.after_ms or 0.0
            if stage.name == last:
                return total
        elif stage.name == first:
            total = 0.0
    return None


def _overhead(story: Story) -> float | None:
    if story.timings.total is None:
        return None
    return max(0.0, story.timings.total - (story.timings.provider or 0.0))
