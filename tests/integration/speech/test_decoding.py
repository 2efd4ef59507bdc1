"""Audio files of every supported kind to samples, in a process that may crash, hang or be lied to."""

import asyncio
import io
import os
import signal
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from orbitbot.foundation.errors import OrbitBotError, TooLarge, Unprocessable, UnsupportedMedia
from orbitbot.speech.decoder import SAMPLE_RATE
from orbitbot.speech.decoding import AudioDecoder
from tests.support.net import wait_for
from tests.support.speech_node import children, command_line
from tests.support.voices import Samples, silence

MAX_SECONDS = 5.0
TONE = 440.0  # Hz


@pytest.fixture
async def decoder() -> AsyncIterator[AudioDecoder]:
    started = AudioDecoder(processes=1, max_seconds=MAX_SECONDS, timeout=20.0)
    await started.start()
    yield started
    await started.close()


def tone(seconds: float) -> Samples:
    """A sine at half of full scale, 16 kHz."""
    at = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * TONE * at)).astype(np.float32)


def pack(samples: Samples, container: str, codec: str, rate: int, layout: str = "mono") -> bytes:
    """`samples` at 16 kHz as a file of another kind."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        pcm = (samples * np.iinfo(np.int16).max).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "rate", "layout"),
    [
        ("ogg", "libopus", 48_000, "mono"),
        ("ogg", "libopus", 48_000, "stereo"),
        ("webm", "libopus", 48_000, "mono"),
        ("mp3", "libmp3lame", 44_100, "stereo"),
        ("mp4", "aac", 44_100, "mono"),
        ("ipod", "aac", 48_000, "stereo"),
        ("adts", "aac", 22_050, "mono"),
        ("amr", "libopencore_amrnb", 8_000, "mono"),
        ("wav", "pcm_s16le", 16_000, "mono"),
        ("wav", "pcm_u8", 8_000, "stereo"),
        ("flac", "flac", 96_000, "mono"),
    ],
)
async def test_every_kind_becomes_mono_samples_at_16_khz(
    decoder: AudioDecoder, container: str, codec: str, rate: int, layout: str
) -> None:
    samples = await decoder.decode(pack(tone(2.0), container, codec, rate, layout))

    assert samples.dtype == np.float32
    assert len(samples) / SAMPLE_RATE == pytest.approx(2.0, abs=0.15)
    middle = samples[SAMPLE_RATE // 2 : SAMPLE_RATE * 3 // 2]
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) == pytest.approx(TONE, abs=2)  # one second: bins of 1 Hz
    assert 0.3 < np.abs(middle).max() < 0.6  # mono made stereo and mixed again is 3 dB quieter


async def test_up_to_the_limit_and_no_further(decoder: AudioDecoder) -> None:
    assert len(await decoder.decode(silence(4.9))) / SAMPLE_RATE == pytest.approx(4.9, abs=0.05)
    with pytest.raises(TooLarge, match="longer than 5 s"):
        await decoder.decode(silence(5.2))


async def test_a_file_that_lies_about_its_length_is_cut_off_while_it_is_decoded(
    decoder: AudioDecoder,
) -> None:
    honest = pack(tone(20.0), "flac", "flac", SAMPLE_RATE)
    total = slice(8 + 14, 8 + 18)  # the lower 32 bits of STREAMINFO's number of samples
    assert int.from_bytes(honest[total], "big") == 20 * SAMPLE_RATE
    lying = honest[: total.start] + SAMPLE_RATE.to_bytes(4, "big") + honest[total.stop :]

    with av.open(io.BytesIO(lying), "r") as container:
        assert container.duration == pytest.approx(1_000_000)  # microseconds: it says one second
    with pytest.raises(TooLarge, match="longer than 5 s"):
        await decoder.decode(lying)


async def test_a_sampling_rate_made_up_to_swell_is_too_long_not_expanded(decoder: AudioDecoder) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as slow:
        slow.setnchannels(1)
        slow.setsampwidth(2)
        slow.setframerate(1)  # Hz: each sample would become 16,000
        slow.writeframes(bytes(2_000_000))

    with pytest.raises(TooLarge):
        await decoder.decode(file.getvalue())


async def test_a_video_without_sound_is_no_audio(decoder: AudioDecoder) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        output.mux([*stream.encode(picture), *stream.encode(None)])

    with pytest.raises(UnsupportedMedia, match="holds no sound"):
        await decoder.decode(file.getvalue())


async def test_a_cut_off_note_is_heard_as_far_as_it_goes(decoder: AudioDecoder) -> None:
    whole = pack(tone(4.0), "ogg", "libopus", 48_000)

    samples = await decoder.decode(whole[: len(whole) // 2])

    assert 1.0 < len(samples) / SAMPLE_RATE < 3.5


async def test_a_decoder_that_hangs_is_given_up_and_replaced() -> None:
    impatient = AudioDecoder(processes=1, max_seconds=MAX_SECONDS, timeout=2.0)
    await impatient.start()
    (pid,) = decoder_processes()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unprocessable, match="takes too long"):
            await impatient.decode(silence(1))
        wait_for(lambda: pid not in decoder_processes(), "the hanging decoder is gone")

        assert len(await impatient.decode(silence(1))) == pytest.approx(SAMPLE_RATE, rel=0.01)
    finally:
        await impatient.close()
    assert decoder_processes() == []


async def test_a_caller_who_gives_up_does_not_leave_its_answer_to_the_next(decoder: AudioDecoder) -> None:
    (pid,) = wait_for(decoder_processes, "a decoder runs")
    os.kill(pid, signal.SIGSTOP)
    given_up = asyncio.create_task(decoder.decode(silence(4)))
    await wait_until_asleep(given_up)

    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up

    assert len(await decoder.decode(silence(1))) == pytest.approx(SAMPLE_RATE, rel=0.01)


async def wait_until_asleep(task: asyncio.Task[Any]) -> None:
    """Let `task` run until it waits for something outside this process."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()


async def test_a_decoder_can_open_neither_files_nor_connections(decoder: AudioDecoder) -> None:
    (pid,) = wait_for(decoder_processes, "a decoder runs")
    await decoder.decode(silence(1))  # by now it has confined itself

    assert limit_of(pid, "Max open files") == 3  # standard input, output, error
    assert limit_of(pid, "Max address space") == 2 * 1024**3


async def test_an_error_leaves_the_decoder_usable(decoder: AudioDecoder) -> None:
    (pid,) = wait_for(decoder_processes, "a decoder runs")
    for wrong in (b"OggS", b"#!AMR\n", b"RIFF\0\0\0\0WAVE", b"\x1aE\xdf\xa3", b"fLaC", b"\xff\xfb"):
        with pytest.raises(OrbitBotError) as caught:
            await decoder.decode(wrong)
        assert 400 <= caught.value.status < 500

    assert len(await decoder.decode(silence(1))) > 0
    assert decoder_processes() == [pid]


def decoder_processes() -> list[int]:
    """The decoders that this very process has started (the shared node has some of its own)."""
    return [pid for pid in children(os.getpid()) if b"speech.decoder" in command_line(pid)]


def limit_of(pid: int, name: str) -> int:
    """One of a process's limits."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(name):
            return int(line.removeprefix(name).split()[0])
    raise LookupError(name)
