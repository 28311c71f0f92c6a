"""Tells errors of a machine that is short of something from those of a file or a program."""

from __future__ import annotations

import errno
import mmap
import resource
from typing import Final

from owtmix.base.errors import DestinationError, MixError, ShortageError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
ENOUGH_BYTES: Final = 512 << 20
"""More than an honest file asks for at once: a frame of 8192x4320 pixels in its largest format has 216 MiB."""
_NO_THREAD: Final = "start new thread"
"""Python's message when the system refuses a thread; the exception has no number."""


def machine_error(error: BaseException) -> MixError | None:
    """What the machine is short of, with what to change; None when ``error``, and what led to it, has other reasons."""
    seen: BaseException | None = error
    while seen is not None:
        if found := _machine_error(seen):
            return found
        seen = seen.__cause__ or seen.__context__
    return None


def _machine_error(error: BaseException) -> MixError | None:
    if isinstance(error, ShortageError):
        return error
    if isinstance(error, ImportError):
        return ShortageError(f"the installation is damaged, or was changed meanwhile: {error}")
    number = getattr(error, "errno", None)
    if number in {errno.EMFILE, errno.ENFILE, errno.EFBIG}:
        return _no_file(number)
    if (isinstance(error, MemoryError) or number == errno.ENOMEM or _limits_memory()) and _lacks_memory():
        return memory_is_short()
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return no_process()
    return DestinationError("the disk is full: free some space") if number in _FULL else None


def _no_file(number: int | None) -> ShortageError:
    if number == errno.ENFILE:
        return ShortageError("too many files are open on this machine: run less at a time, or raise fs.file-max")
    if number == errno.EFBIG:
        return _no_length()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return ShortageError(f"a process may open {files} files, which are too few: raise the limit (ulimit -n)")


def _no_length() -> ShortageError:
    longest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if longest == resource.RLIM_INFINITY:
        return ShortageError("a file gets longer than its disk takes: use another disk")
    raised = "raise the limit (ulimit -f), or use a disk that takes longer files"
    return ShortageError(f"a file may have {longest:,} bytes, which are too few: {raised}")


def _limits_memory() -> bool:
    """Whether this process has a limit of its address space; libraries then report a lack of memory as anything."""
    return any(
        resource.getrlimit(limit)[0] != resource.RLIM_INFINITY for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    )


def _lacks_memory() -> bool:
    """Whether no more memory can be had; otherwise a file asked for an absurd amount."""
    try:
        mmap.mmap(-1, ENOUGH_BYTES, flags=mmap.MAP_PRIVATE).close()  # workers may share none
    except (OSError, MemoryError):
        return True
    return False


def memory_is_short() -> ShortageError:
    """The error for memory that the system refuses."""
    return ShortageError("memory is short: run less at a time, or raise the limit of the process or its container")


def no_process() -> ShortageError:
    """The error for a process or thread that the system refuses to start."""
    return ShortageError("processes are short: run less at a time, or raise the limit (ulimit -u)")


def raise_if_short(error: BaseException) -> None:
    """Raise an error about the machine in the place of ``error`` if the machine is to blame.

    Raises:
        ShortageError: it is short of memory, open files or processes.
        DestinationError: its disk is full.
    """
    if found := machine_error(error):
        raise found from error
