"""One run per job id and state folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from owtmix.base.errors import BusyError, DestinationError
from owtmix.base.strict_json import printable

MOST_BYTES: Final = 65_536
LONGEST_PATH: Final = 1000


@contextmanager
def lock_job(state: Path, job_id: str, job_file: Path | None = None) -> Iterator[None]:
    """Hold the job id in the state folder while the block runs; the system releases it when the process ends.

    Raises:
        BusyError: another process holds it; the message names that process and its job file.
        DestinationError: the state folder cannot be written.
    """
    folder = state / "locks"
    path = folder / f"{job_id}.lock"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = _opened(path, state, job_id)
    except OSError as error:
        raise DestinationError(f"{path} cannot be locked: {error.strerror}") from None
    try:
        owner = json.dumps({"process": os.getpid(), "job_file": str(job_file.absolute()) if job_file else ""})
        with suppress(OSError):  # a full disk: nobody can be told who it is
            os.ftruncate(held, 0)
            os.pwrite(held, owner.encode(errors="surrogateescape"), 0)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(held)


@contextmanager
def lock_folder(folder: Path, job_id: str) -> Iterator[None]:
    """Hold the work folder of a job while the block runs, against runs with another state folder.

    Raises:
        BusyError: another process holds it.
        OSError: it cannot be opened.
    """
    with ExitStack() as opened:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"the job {job_id} is already running: its work folder {folder} is in use") from None
        except OSError:
            pass  # some network file systems cannot lock folders
        yield


def _opened(path: Path, state: Path, job_id: str) -> int:
    """The descriptor of the locked file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise BusyError(f"the job {job_id} is already running{owner} (state folder {state})") from None
        except OSError:
            return descriptor  # some network file systems cannot lock; nothing protects the job there
        # The one who held it has removed the file, perhaps between the opening and the lock.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


def _owner(descriptor: int) -> str:
    """Who holds the lock, for a message; empty when that cannot be read."""
    try:
        owner = json.loads(os.pread(descriptor, MOST_BYTES, 0))
        job_file = printable(str(owner["job_file"]), LONGEST_PATH)
        return f": process {int(owner['process'])}" + f", job file {job_file}" * bool(job_file)
    except (OSError, ValueError, KeyError, TypeError):
        return ""
