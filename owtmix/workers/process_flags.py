"""What a process tells the kernel about itself: who may look into it, with whom it ends, whom it adopts, its name."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37

_ADOPTING: Final = threading.Lock()


def protect_memory(*, protected: bool = True) -> None:
    """Keep other processes of the same user from reading this one's memory and environment, as its children would."""
    _prctl(_PR_SET_DUMPABLE, int(not protected))


def end_with(parent: int) -> None:
    """End this process when its ``parent`` ends, or has ended already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def name_process(name: str) -> None:
    """Give it a name of at most 15 characters, for programs that list processes."""
    _prctl(_PR_SET_NAME, name.encode())


@contextmanager
def adopting() -> Iterator[None]:
    """In the block, orphans among the descendants of this process become its children, not those of the system.

    One thread at a time is in it: whether a process adopts holds for all of its threads.
    """
    with _ADOPTING:
        before = ctypes.c_int()
        _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before))
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        try:
            yield
        finally:
            _prctl(_PR_SET_CHILD_SUBREAPER, before.value)


def _prctl(option: int, value: object) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
