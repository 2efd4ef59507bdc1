"""No process outlives the one that started it."""

import ctypes
import os
import signal
from typing import Final

from orbitbot.foundation.errors import OrbitBotError

PID_VARIABLE: Final = "ORBITBOT_PID"  # set by the launcher of a sealed bot
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class ParentGone(OrbitBotError):
    """The process that started this one has ended already."""

    problem = "parent-gone"
    title = "The parent process has ended"


def die_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send a signal to this process when its parent ends.

    Debian's supervisor unit kills only supervisord itself (`KillMode=process`). A supervisord that was
    killed would leave its programs behind, and the restarted one would start a second of each beside
    them: two bots on one WhatsApp session, two gateways on one port (Granian shares it by SO_REUSEPORT).

    Args:
        parent: `os.getppid()` as it was when the process began; the parent may have ended since.

    Raises:
        ParentGone: it has.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise ParentGone(f"process {parent} ended while this one was starting")


def visible_pid() -> int:
    """This process's id as the host and supervisor see it; inside a sandbox it has another one."""
    return int(os.environ.get(PID_VARIABLE) or os.getpid())
