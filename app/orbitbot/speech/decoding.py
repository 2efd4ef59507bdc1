"""Audio files to samples, in processes apart from the service (`decoder`)."""

import asyncio
import logging
import sys
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from orbitbot.foundation.errors import TooLarge, Unavailable, Unprocessable, UnsupportedMedia
from orbitbot.speech import decoder
from orbitbot.speech.decoder import Decoded, Job, Reply
from orbitbot.speech.formats import HELP, container_of

TIMEOUT: Final = 30.0  # seconds for one file; ten minutes of Opus take about one
GRACE: Final = 0.5  # seconds in which a process may end by itself
RETRY_AFTER: Final = 5.0  # seconds

Samples = NDArray[np.float32]

log = logging.getLogger(__name__)


class AudioDecoder:
    """A few decoder processes, each with one file at a time.

    Args:
        processes: how many.
        max_seconds: longest audio; of a longer one no more than this is ever decoded.
        timeout: seconds after which a file is given up.
    """

    def __init__(self, processes: int, max_seconds: float, timeout: float = TIMEOUT) -> None:
        self._max_seconds = max_seconds
        self._processes = [_DecoderProcess(timeout) for _ in range(processes)]
        self._idle: asyncio.LifoQueue[_DecoderProcess] = asyncio.LifoQueue()
        for process in self._processes:
            self._idle.put_nowait(process)

    async def start(self) -> None:
        """Start the processes, so that the first note need not wait for it."""
        await asyncio.gather(*(process.start() for process in self._processes))

    async def close(self) -> None:
        """End the processes."""
        await asyncio.gather(*(process.stop() for process in self._processes))

    async def decode(self, audio: bytes) -> Samples:
        """Mono samples from -1 to 1 at `decoder.SAMPLE_RATE`, at least one.

        Raises:
            UnsupportedMedia: not an audio file of a kind that is supported.
            TooLarge: longer than `max_seconds`.
            Unprocessable: damaged beyond use, or the decoder crashed or hung on it.
            Unavailable: the decoder cannot be started.
        """
        container = container_of(audio)
        if container is None:
            raise UnsupportedMedia(f"audio: this is not an audio file that is supported; allowed: {HELP}")
        process = await self._idle.get()
        try:
            reply = await process.run(Job(audio, container, self._max_seconds))
        finally:
            self._idle.put_nowait(process)
        if isinstance(reply, Decoded):
            return np.frombuffer(reply.samples, np.int16).astype(np.float32) / -float(np.iinfo(np.int16).min)
        match reply.reason:
            case "too_long":
                raise TooLarge(f"audio: longer than {self._max_seconds:g} s")
            case "no_audio":
                raise UnsupportedMedia("audio: the file holds no sound")
            case "strange":
                raise Unprocessable(
                    "audio: a sound that no telephone records; allowed: "
                    f"1 to {decoder.MAX_CHANNELS} channels, at most {decoder.MAX_SAMPLE_RATE} Hz"
                )
            case "damaged":
                raise Unprocessable("audio: the file is damaged and cannot be decoded")


class _DecoderProcess:
    """One process of `decoder`; started when it is needed, and again after it has died."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._process: asyncio.subprocess.Process | None = None
        self._replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

    async def start(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    decoder.__name__,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    start_new_session=True,  # a SIGTERM to the service's group must not end it: notes drain
                )
            except OSError as error:
                raise Unavailable(
                    f"the decoder cannot be started: {error.strerror}", retry_after=RETRY_AFTER
                ) from error
        return self._process

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # an idle process ends at that, and a dead one is not signalled
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def run(self, job: Job) -> Reply:
        for _ in range(2):  # the first process may have died of something else, between two notes
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._exchange(job)
            except TimeoutError as error:
                await self.stop()
                raise Unprocessable("audio: the file takes too long to decode") from error
            except (ConnectionError, EOFError):
                await self.stop()
                log.warning("the decoder process died", extra={"action": "decode", "bytes": len(job.audio)})
            except asyncio.CancelledError:
                await self.stop()  # else its reply would be taken for the next note's
                raise
        raise Unprocessable("audio: the file makes the decoder fail")

    async def _exchange(self, job: Job) -> Reply:
        process = await self.start()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the decoder was started without pipes")
        process.stdin.write(decoder.framed(job))
        await process.stdin.drain()
        length = await process.stdout.readexactly(decoder.LENGTH_BYTES)
        return self._replies.decode(await process.stdout.readexactly(int.from_bytes(length, "big")))
