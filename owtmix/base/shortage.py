"""Tells a shortage of the machine, which is nobody's fault and may pass, from what is wrong with an input."""

from __future__ import annotations

import errno
from typing import Final

_SHORT_OF: Final = {
    errno.EMFILE: "this process has no file descriptor left",
    errno.ENFILE: "the system has no file descriptor left",
    errno.ENOMEM: "the system has no memory left",
    errno.ENOBUFS: "the system has no memory left for the network",
}


def shortage_of(error: BaseException) -> str | None:
    """What the machine was short of when ``error`` was raised, also as the cause of another error; None otherwise."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return _SHORT_OF[errno.ENOMEM]
        if isinstance(seen, OSError) and seen.errno in _SHORT_OF:
            return _SHORT_OF[seen.errno]
        seen = seen.__cause__ or seen.__context__
    return None
