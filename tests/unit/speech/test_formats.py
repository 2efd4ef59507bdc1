"""Which files are taken for audio, by their first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orbitbot.speech.formats import CONTAINERS, container_of


@pytest.mark.parametrize(
    ("start", "container"),
    [
        (b"OggS\x00\x02", "ogg"),
        (b"ID3\x04\x00", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x40\xc4", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\xff\xf9\x50\x80", "aac"),
        (b"\x00\x00\x00\x20ftypM4A ", "mov"),
        (b"\x00\x00\x00\x18ftyp3gp4", "mov"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "wav"),
        (b"\x1aE\xdf\xa3\x9f", "matroska"),
        (b"#!AMR\n", "amr"),
        (b"#!AMR-WB\n", "amr"),
        (b"fLaC\x00", "flac"),
    ],
)
def test_each_supported_container_is_known(start: bytes, container: str) -> None:
    assert container_of(start) == container


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\xff",
        b"Ogg",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x24\x00\x00\x00AVI LIST",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<html>",
        b"quero sete pacotes de arroz",
    ],
)
def test_nothing_else_is_audio_least_of_all_a_playlist(file: bytes) -> None:
    assert container_of(file) is None


@given(st.binary(max_size=64))
def test_any_bytes_get_an_answer(file: bytes) -> None:
    assert container_of(file) in {None, *CONTAINERS}
