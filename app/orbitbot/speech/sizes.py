"""How much memory a model takes, and how much there is for models."""

import os
from pathlib import Path
from typing import Final

_ON_GPU: Final = 0.8  # of its memory is for models; the rest for what they compute
_ON_CPU: Final = 0.5
_WEIGHT_BYTES: Final = {"int8": 1.0, "int16": 2.0, "float16": 2.0, "bfloat16": 2.0, "float32": 4.0}
_WORKING: Final = 1.3  # times the weights


def model_bytes(file: Path, compute_type: str) -> int:
    """What the model of this `model.bin` takes in memory, about: its weights are converted when it is loaded.

    Published files hold two bytes a weight; a file of int8 weights is smaller and never larger in memory.
    """
    if not file.is_file():
        return 0
    stored = file.stat().st_size
    weight = _WEIGHT_BYTES.get(compute_type.partition("_")[0], 4.0)
    return int(stored * max(weight / 2, 1.0) * _WORKING)


def memory_for_models(device: str, gpu_bytes: int = 0) -> int:
    """Bytes that models may take together."""
    if device == "cuda" and gpu_bytes:
        return int(gpu_bytes * _ON_GPU)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _ON_CPU)
