"""Confinement of a child process before it reads media: no network, no new privileges; it ends with its parent."""

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

_PR_CAPBSET_DROP: Final = 24
_CAPABILITY_VERSION: Final = 0x20080522
_CAP_DAC_OVERRIDE: Final = 1
_CAP_DAC_READ_SEARCH: Final = 2
_LAST_CAPABILITY: Final = 63

_KEPT: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "OPENBLAS_CORETYPE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "CUDA_PATH",
    "CUDA_MPS_PIPE_DIRECTORY",
)
_SET: Final = {
    # CuPy keeps no compiled kernels in the user's home, where a child must not write.
    "CUPY_CACHE_IN_MEMORY": "1",
    # The memory of a picture is returned to the system when the picture is freed. By default the C library raises this
    # threshold after the first picture of a size. With recordings of many sizes the memory that it keeps then doubles
    # the memory of a child (docs/performance.md). Blocks of sound are smaller; reusing freed memory is faster for them.
    "MALLOC_MMAP_THRESHOLD_": str(256 << 10),
    # NumPy's threads for linear algebra are not used here. They take time to start, and memory for each core.
    "OPENBLAS_NUM_THREADS": "1",
}

_PACKAGE: Final = Path(__file__).parents[1]


def child_environment() -> dict[str, str]:
    """The environment of a child: only variables that hold no secret. It imports the same package as its parent."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    folder = str(_PACKAGE.parent)
    if os.pathsep in folder:  # such a path cannot be named there; an installed package is found without
        return _SET | kept
    paths = [folder, *filter(None, [kept.get("PYTHONPATH")])]
    return _SET | kept | {"PYTHONPATH": os.pathsep.join(paths)}


def confine(parent: int) -> None:
    """Confine this process, as far as the kernel allows; call it before threads start.

    Args:
        parent: the parent's process id; when it is gone already, this process ends.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for request in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # A terminal sends these signals to the whole process group; only the parent acts on them.
        signal.signal(request, signal.SIG_IGN)
    if sys.platform != "linux":
        return
    with suppress(OSError):  # when memory is short, the system kills the child, not the parent
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET):
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    _drop_capabilities(libc)
    # Last, since new credentials undo it.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Drop all capabilities of root except those for files, since recordings may belong to any user.

    Without the others a child can neither read the parent's memory and environment nor rejoin the parent's network.
    """
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, in two halves
    if libc.capget(header, held) == 0:
        kept = held[1] & (1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH)
        libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0))
