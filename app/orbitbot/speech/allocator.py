"""How this process's C library hands out memory while a model computes on a CPU.

Every layer of an encoder asks for tens of megabytes and gives them back. glibc fetches blocks of that size
from the
kernel and returns them each time, and the kernel clears every page again: a quarter of the encoder's time, as
measured by `make bench-speech`. Kept in the process, in large pages, they cost nothing.
"""

import os
from typing import Final

VARIABLE: Final = "GLIBC_TUNABLES"
_TUNABLES: Final = {
    "glibc.malloc.mmap_max": 0,  # large blocks come from the heap, too
    "glibc.malloc.trim_threshold": 8 * 1024**3,  # bytes free at its end, above which they are returned
    "glibc.malloc.top_pad": 64 * 1024**2,
    "glibc.malloc.arena_max": 1,  # other arenas cannot hold blocks of that size
    "glibc.malloc.hugetlb": 1,  # transparent large pages, where the kernel has them
}


def keep_memory() -> None:
    """Set it for processes that are started from now on; other C libraries do not know the variable."""
    os.environ.setdefault(VARIABLE, ":".join(f"{name}={value}" for name, value in _TUNABLES.items()))
