"""What the NVIDIA driver says of the GPU, by its own tool: CTranslate2 tells no memory and no name."""

import shutil
import subprocess
from typing import Final

import msgspec

TOOL: Final = "nvidia-smi"
_TIMEOUT: Final = 20.0  # seconds
_MEBIBYTE: Final = 1024**2


class Gpu(msgspec.Struct, frozen=True):
    """The first GPU."""

    name: str
    driver: str
    bytes: int


def find_gpu() -> Gpu | None:
    """The first GPU, or None if there is no driver, or it finds none. Blocks for up to a few seconds."""
    tool = shutil.which(TOOL)
    if tool is None:
        return None
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603  (no part of the command comes from outside)
            query, capture_output=True, text=True, timeout=_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse(done.stdout)


def parse(answer: str) -> Gpu | None:
    """The first line of the tool's answer: name, version of the driver, MiB of memory."""
    parts = [part.strip() for part in (answer.splitlines() or [""])[0].split(",")]
    if len(parts) != 3 or not parts[2].isdecimal():  # noqa: PLR2004
        return None
    return Gpu(parts[0], parts[1], int(parts[2]) * _MEBIBYTE)
