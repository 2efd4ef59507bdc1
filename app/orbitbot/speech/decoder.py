"""The process that decodes audio: reads jobs on standard input, writes samples on standard output.

It stands apart from the service because it runs C code over what strangers send: if that code crashes,
hangs or eats memory, one note is lost and the service goes on (`decoding.AudioDecoder` starts another).
It can open no file and no connection. It ends when its standard input does.

Every job and every reply is one MessagePack document after its length (4 bytes, big-endian).
"""

import contextlib
import io
import resource
import signal
import sys
import wave
from collections.abc import Iterator
from typing import Any, Final, Literal

import av
import av.error
import msgspec

from orbitbot.speech.formats import Container

SAMPLE_RATE: Final = 16_000  # Hz
SAMPLE_BYTES: Final = 2  # signed 16 bits, native byte order
LENGTH_BYTES: Final = 4
MAX_SAMPLE_RATE: Final = 96_000  # Hz; no telephone records more, and it costs memory
MAX_CHANNELS: Final = 8

_MEMORY_LIMIT: Final = 2 * 1024**3  # bytes of address space
_OPEN_FILES: Final = 3  # standard input, output and error
_MAX_BAD_PACKETS: Final = 200  # then the file counts as damaged beyond use
_MICROSECONDS: Final = 1_000_000  # FFmpeg's unit of a container's duration


class Job(msgspec.Struct, frozen=True, array_like=True):
    """A file to decode, and how much audio it may hold."""

    audio: bytes
    container: Container
    max_seconds: float


class Decoded(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Mono samples at `SAMPLE_RATE`, `SAMPLE_BYTES` each."""

    samples: bytes


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Why a file was not decoded."""

    reason: Literal["damaged", "no_audio", "strange", "too_long"]


Reply = Decoded | Refused


def decode(job: Job) -> Reply:
    """Decode `job`, never more of it than its limit allows."""
    try:
        with av.open(
            io.BytesIO(job.audio),
            mode="r",
            format=job.container,
            metadata_errors="ignore",
            options={"protocol_whitelist": "none"},
        ) as container:
            if not container.streams.audio:
                return Refused("no_audio")
            sound = container.streams.audio[0].codec_context
            if sound.sample_rate > MAX_SAMPLE_RATE or not 0 < sound.channels <= MAX_CHANNELS:
                return Refused("strange")
            if (container.duration or 0) / _MICROSECONDS > job.max_seconds:
                return Refused("too_long")
            return _decode_stream(container, job.max_seconds)
    except (av.error.FFmpegError, ValueError, EOFError, MemoryError, OverflowError):
        return Refused("damaged")


def _decode_stream(container: Any, max_seconds: float) -> Reply:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    samples, seconds = bytearray(), 0.0
    for frame in _frames(container):
        frame.pts = None  # a wrong time stamp must not lose the sound
        seconds += frame.samples / max(frame.sample_rate, 1)
        if seconds > max_seconds:  # the container's own duration is only a claim
            return Refused("too_long")
        for resampled in resampler.resample(frame):
            samples += _samples_of(resampled)
    if not samples:
        return Refused("damaged")
    for resampled in resampler.resample(None):
        samples += _samples_of(resampled)
    return Decoded(bytes(samples))


def _frames(container: Any) -> Iterator[Any]:
    """The first audio stream's frames; packets that are damaged are left out."""
    bad = 0
    packets = container.demux(container.streams.audio[0])
    while bad < _MAX_BAD_PACKETS:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):  # the end, or damage that hides the rest
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            bad += 1


def _samples_of(frame: Any) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES]


def framed(message: Job | Reply) -> bytes:
    """A message as it goes over the pipe."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def _rehearse() -> None:
    """Decode a little silence: PyAV imports parts of itself when they are first used."""
    file = io.BytesIO()
    with wave.open(file, "wb") as silence:
        silence.setnchannels(1)
        silence.setsampwidth(SAMPLE_BYTES)
        silence.setframerate(SAMPLE_RATE // 2)
        silence.writeframes(bytes(SAMPLE_RATE))
    decode(Job(file.getvalue(), "wav", max_seconds=10.0))
    decode(Job(b"damaged", "ogg", max_seconds=10.0))


def _confine() -> None:
    """Give up what decoding does not need."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


def main() -> int:
    """Serve jobs until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a drain must still get its notes decoded
    _rehearse()
    _confine()
    jobs, replies = sys.stdin.buffer, sys.stdout.buffer
    decoder = msgspec.msgpack.Decoder(Job)
    while length := jobs.read(LENGTH_BYTES):
        job = decoder.decode(jobs.read(int.from_bytes(length, "big")))
        with contextlib.suppress(BrokenPipeError):
            replies.write(framed(decode(job)))
            replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
