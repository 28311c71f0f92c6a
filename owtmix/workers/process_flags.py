"""What a process tells the kernel about itself: who may look into it, with whom it ends, its name."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
_PR_SET_NAME: Final = 15


def protect_memory() -> None:
    """Keep other processes of the same user from reading this one's memory and environment, as its children would."""
    _prctl(PR_SET_DUMPABLE, 0)


def end_with(parent: int) -> None:
    """End this process when its ``parent`` ends, or has ended already."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def name_process(name: str) -> None:
    """Give it a name of at most 15 characters, for programs that list processes."""
    _prctl(_PR_SET_NAME, name.encode())


def _prctl(option: int, value: int | bytes) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
