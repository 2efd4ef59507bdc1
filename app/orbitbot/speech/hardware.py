"""What a node computes on, and what follows from it: number format, workers, sizes of batches."""

import os
from typing import Final, Literal

import msgspec

from orbitbot.speech.settings import SpeechSettings

# A core's share of a batch fits its caches: windows are encoded one by one, and decoded a few at a time,
# where the decoder's weights are then read once for all of them. A GPU is only busy with many.
_CPU_ENCODE: Final = 1
_CPU_DECODE: Final = 4
_GPU_BATCH: Final = 32
_GPU_WORKERS: Final = 2  # one prepares while the other one computes
_CORES_FOR_ONE_THREAD: Final = 4  # up to so many cores, each window has one; with more, two


class Hardware(msgspec.Struct, frozen=True):
    """What models are loaded for.

    Attributes:
        compute_type: CTranslate2's name of the number format.
        workers: batches computed at the same time.
        cpu_threads: of each, on a CPU.
        encode_batch: windows that the encoder takes together, at most.
        decode_batch: … the decoder.
    """

    device: Literal["cpu", "cuda"]
    compute_type: str
    workers: int
    cpu_threads: int
    encode_batch: int
    decode_batch: int

    def __str__(self) -> str:
        """Device and number format."""
        return f"{self.device}, {self.compute_type}"


def find_hardware(settings: SpeechSettings) -> Hardware:
    """What `settings` ask for, and what is there where they leave it open."""
    from ctranslate2 import get_cuda_device_count  # noqa: PLC0415  (half a second: see `model`)

    device = settings.device
    if device == "auto":
        device = "cuda" if get_cuda_device_count() else "cpu"
    on_gpu = device == "cuda"
    compute_type = settings.compute_type
    if compute_type == "auto":
        compute_type = "float16" if on_gpu else "int8"
    cores = len(os.sched_getaffinity(0))
    workers = settings.num_workers
    if not workers:
        workers = _GPU_WORKERS if on_gpu else max(1, cores if cores <= _CORES_FOR_ONE_THREAD else cores // 2)
    return Hardware(
        device=device,
        compute_type=compute_type,
        workers=workers,
        cpu_threads=settings.cpu_threads or max(1, cores // workers),
        encode_batch=settings.encode_batch or (_GPU_BATCH if on_gpu else _CPU_ENCODE),
        decode_batch=settings.decode_batch or (_GPU_BATCH if on_gpu else _CPU_DECODE),
    )
