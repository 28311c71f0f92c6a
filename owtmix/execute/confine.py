"""What a child process gives up before it touches media: its life without the parent, new privileges, the network."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000

_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "OPENBLAS_CORETYPE")


def environment() -> dict[str, str]:
    """The variables that a child gets: none that could hold a secret."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def confine(parent: int) -> None:
    """Confine this process, as far as the kernel allows; call it before threads start.

    Args:
        parent: the parent's process id; when it is gone already, this process ends.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for request in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(
            request, signal.SIG_IGN
        )  # a terminal, or who stops a group, sends them to all; the parent decides
    if sys.platform != "linux":
        return
    with suppress(OSError):  # where memory is short, the system is to end the child, not the job
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET):
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    # Last, since new credentials undo it.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
