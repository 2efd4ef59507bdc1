"""Models from a mirror: fetched when they are first needed, checked against their sums, kept in a directory.

A mirror is any web server. `{mirror}/{name}/SHA256SUMS` names the files of a model, in the form of sha256sum;
they lie beside it. Whoever can change that file can change the model: it has to be one's own server, by
https.
"""

import hashlib
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from orbitbot.speech.model import REQUIRED_FILES, check_directory

SUMS: Final = "SHA256SUMS"
TIMEOUT: Final = 30.0  # seconds without a byte
_MAX_SUMS: Final = 100_000  # bytes
_MAX_FILE: Final = 16 * 1000**3  # bytes; large-v3 in float32 has 6.2 GB
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_BLOCK: Final = 1 << 20


def fetch_model(mirror: str, name: str, directory: Path) -> None:
    """Put the model `name` of `mirror` into `directory`, which appears when it is complete. Blocks.

    Raises:
        OSError: the mirror does not answer, or has no such model, or the directory cannot be written.
        ValueError: what it has is not a model, or a file is not what its sum says.
    """
    base = f"{mirror.rstrip('/')}/{name}/"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as temporary:
        unfinished = Path(temporary) / "model"
        unfinished.mkdir(mode=0o755)
        for file, wanted in _sums(base):
            if _copy(base + file, unfinished / file) != wanted:
                raise ValueError(f"{base}{file}: it is not the file that {SUMS} names")
        check_directory(unfinished)
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
        unfinished.rename(directory)


def _sums(base: str) -> Iterator[tuple[str, str]]:
    with _open(base + SUMS) as answer:
        text = answer.read(_MAX_SUMS).decode(errors="replace")
    lines = [_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    if not lines or None in lines:
        raise ValueError(f"{base}{SUMS}: not in the form of sha256sum")
    found = {line[2]: line[1] for line in lines if line is not None}
    missing = [file for file in REQUIRED_FILES if file not in found]
    if missing:
        raise ValueError(f"{base}{SUMS}: names no {missing[0]}")
    yield from found.items()


def _copy(address: str, file: Path) -> str:
    """Fetch one file; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with _open(address) as answer, file.open("xb") as output:
        while block := answer.read(_BLOCK):
            size += len(block)
            if size > _MAX_FILE:
                raise ValueError(f"{address}: larger than {_MAX_FILE} bytes")
            digest.update(block)
            output.write(block)
    file.chmod(0o644)
    return digest.hexdigest()


def _open(address: str) -> Any:
    try:
        return urllib.request.urlopen(address, timeout=TIMEOUT)  # noqa: S310  (settings: http(s) only)
    except OSError as error:
        raise OSError(f"{address}: {error}") from error


def free_bytes(directory: Path) -> int:
    """Room on the disk that `directory` is to lie on."""
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free
