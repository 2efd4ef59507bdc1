"""Which container a file is, by its first bytes.

The decoder is told the container and never left to guess: FFmpeg's guessing would also accept playlists
and scripts, which make it open further files and addresses.
"""

from typing import Final, Literal, get_args

Container = Literal["aac", "amr", "flac", "matroska", "mov", "mp3", "ogg", "wav"]

CONTAINERS: Final[tuple[Container, ...]] = get_args(Container)
HELP: Final = "OGG (Opus, Vorbis), MP3, M4A/MP4, WAV, WebM, AMR, AAC or FLAC"

_SIGNATURES: Final[tuple[tuple[int, bytes, Container], ...]] = (
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "mov"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"#!AMR", "amr"),
    (0, b"fLaC", "flac"),
)
_MPEG_SYNC: Final = 0xE0  # the upper three bits of the second byte, after 0xFF
_MPEG_LAYER: Final = 0x06  # its two bits for the layer; none set: AAC in ADTS frames


def container_of(file: bytes) -> Container | None:
    """FFmpeg's name of the container, or None if `file` is none of those that are supported."""
    for offset, signature, container in _SIGNATURES:
        if file.startswith(signature, offset):
            return container
    if file.startswith(b"RIFF") and file.startswith(b"WAVE", 8):
        return "wav"
    if len(file) > 1 and file[0] == 0xFF and file[1] & _MPEG_SYNC == _MPEG_SYNC:  # noqa: PLR2004
        return "mp3" if file[1] & _MPEG_LAYER else "aac"
    return None
