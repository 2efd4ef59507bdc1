"""Voice notes that came as references: fetched after they were journaled, once, or given up."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from orbitbot.bot.channels.channel import MediaGone, MediaUnavailable
from orbitbot.bot.journal import Journal
from orbitbot.bot.media import MediaStore
from orbitbot.bot.media_fetching import PATIENCE, MediaFetcher
from orbitbot.bot.models import InboundEvent, RemoteMedia
from tests.unit.bot.virtual_time import run_virtually, virtual_now

NOTE = b"OggS" * 100
DIGEST = hashlib.sha256(NOTE).hexdigest()


class Source:
    """A channel that fails as told, then gives the note."""

    def __init__(self, *troubles: Exception, for_ever: Exception | None = None) -> None:
        self.troubles = list(troubles)
        self.for_ever = for_ever
        self.calls = 0

    async def fetch_media(self, source: bytes, target: Path) -> None:
        self.calls += 1
        if self.for_ever or self.troubles:
            raise self.for_ever or self.troubles.pop(0)
        target.write_bytes(NOTE)  # noqa: ASYNC240  (nobody waits)


def voice(message_id: str) -> InboundEvent:
    return InboundEvent(
        id=message_id,
        chat="5511",
        sender="5511",
        type="voice",
        sent_at=virtual_now(),
        remote_media=RemoteMedia(source=b"s", digest=DIGEST, size=len(NOTE)),
    )


def fetch(directory: Path, source: Source, *ids: str) -> tuple[list[str], list[bool], float]:
    """What was settled, whether each has its note, and how long it took in virtual seconds."""

    async def life() -> tuple[list[str], list[bool], float]:
        journal = Journal(directory / "journal.db", now=virtual_now)
        settled: list[str] = []
        fetcher = MediaFetcher(
            journal, MediaStore(directory / "media"), source, on_settled=settled.append, now=virtual_now
        )
        began = virtual_now()
        for message_id in ids:
            journal.record(voice(message_id))
        assert all(each.awaits_media for each in journal.pending("5511"))
        running = asyncio.create_task(fetcher.run())
        while len(settled) < len(ids):  # noqa: ASYNC110  (in virtual time)
            await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pending = journal.pending("5511")
        assert not any(each.awaits_media for each in pending)
        journal.close()
        return settled, [each.media is not None for each in pending], virtual_now() - began

    return run_virtually(life())


def test_it_is_fetched_once_for_every_message_with_this_content(tmp_path: Path) -> None:
    source = Source()
    assert fetch(tmp_path, source, "V1", "V2")[:2] == (["5511", "5511"], [True, True])
    assert source.calls == 1
    assert (tmp_path / "media" / DIGEST).read_bytes() == NOTE
    assert [path.name for path in (tmp_path / "media").iterdir()] == [DIGEST]


def test_what_fails_for_now_is_tried_again(tmp_path: Path) -> None:
    source = Source(*[MediaUnavailable("no network")] * 5)
    assert fetch(tmp_path, source, "V1")[1] == [True]
    assert source.calls == 6


def test_what_is_gone_is_settled_at_once_without_it(tmp_path: Path) -> None:
    source = Source(MediaGone("404"))
    _, notes, seconds = fetch(tmp_path, source, "V1")
    assert (notes, source.calls) == ([False], 1)
    assert seconds < 1


def test_what_never_comes_is_given_up_and_holds_up_nothing_for_ever(tmp_path: Path) -> None:
    _, notes, seconds = fetch(tmp_path, Source(for_ever=MediaUnavailable("500")), "V1")
    assert notes == [False]
    assert PATIENCE <= seconds < PATIENCE + 60


def test_a_crash_between_journal_and_fetch_loses_nothing(tmp_path: Path) -> None:
    async def before() -> None:
        journal = Journal(tmp_path / "journal.db", now=virtual_now)
        journal.record(voice("V1"))
        journal.close()

    run_virtually(before())
    journal = Journal(tmp_path / "journal.db")
    wanted = journal.wanted_media()
    assert wanted is not None
    assert (wanted[0], wanted[1], wanted[3].source) == ("V1", "5511", b"s")
    journal.close()


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64])
def test_a_digest_that_is_none_leads_nowhere(tmp_path: Path, digest: str) -> None:
    assert MediaStore(tmp_path / "media").find(RemoteMedia(source=b"", digest=digest, size=1)) is None
