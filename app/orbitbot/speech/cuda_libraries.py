"""Makes the CUDA libraries of NVIDIA's wheels known to CTranslate2, which looks for them by name alone.

A host of kind `speech-gpu` has them in its virtual environment (`locks/speech-gpu.txt`). Loaded before
CTranslate2 asks for them, they are found without a search path in the environment.
"""

import ctypes
import importlib.util
import logging
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("nvidia.cuda_nvrtc", "nvidia.cublas", "nvidia.cudnn")  # each needs those before it

log = logging.getLogger(__name__)


def load_cuda_libraries() -> list[str]:
    """Load those that are installed; their file names. None on a host without a GPU."""
    loaded = []
    for package in _PACKAGES:
        for file in _libraries(package):
            try:
                ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:  # one that needs another one first, or the driver
                log.warning("not loaded: %s", error, extra={"action": "cuda", "library": file.name})
            else:
                loaded.append(file.name)
    return loaded


def _libraries(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return []
    if spec is None or spec.submodule_search_locations is None:
        return []
    folders = [Path(each) / "lib" for each in spec.submodule_search_locations]
    files = [file for folder in folders for file in folder.glob("lib*.so.*")]
    return sorted(files, key=lambda file: ("Lt" not in file.name, file.name))  # cuBLAS needs cuBLASLt
