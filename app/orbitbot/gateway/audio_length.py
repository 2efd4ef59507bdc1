"""How long a voice note is, about, without decoding it: what the pool of speech nodes balances by."""

from typing import Final

LONGEST: Final = 3600.0  # seconds; nothing longer is transcribed
SHORTEST: Final = 0.5
_OPUS_RATE: Final = 48_000  # of an OGG page's granule position, whatever the sound's own rate
_PAGE: Final = b"OggS"
_LARGEST_PAGE: Final = 65_307  # bytes
_USUAL_BYTES: Final = 2_000  # a second, of a voice note in any other format


def audio_seconds(file: bytes) -> float:
    """Seconds of sound: read off an OGG file's last page, else guessed from the size."""
    if file.startswith(_PAGE):
        last = file.rfind(_PAGE, max(0, len(file) - _LARGEST_PAGE))
        position = int.from_bytes(file[last + 6 : last + 14], "little", signed=True)
        seconds = position / _OPUS_RATE
        if 0 < seconds <= LONGEST:
            return max(seconds, SHORTEST)
    return min(max(len(file) / _USUAL_BYTES, SHORTEST), LONGEST)
