"""One run per job id on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from owtmix.base.errors import CODE_JOB_EXISTS, Problem, SpecError


@contextmanager
def lock_job(job_id: str, platform: str = sys.platform) -> Iterator[None]:
    """Hold the job id while the block runs; the system releases it when the process ends in any way.

    ``platform`` is the system's name: Linux has abstract sockets.

    Raises:
        SpecError: another process of this machine, of any user, holds it (error 2).
    """
    name = "owtmix-" + hashlib.sha256(job_id.encode()).hexdigest()[:32]
    hold = _hold_socket if platform == "linux" else _hold_file
    with hold(job_id, name):
        yield


@contextmanager
def lock_folder(folder: Path, job_id: str) -> Iterator[None]:
    """Hold a folder of the job while the block runs, against runs that ``lock_job`` does not see: in other containers.

    Raises:
        SpecError: another process holds it (error 2).
        OSError: it cannot be opened.
    """
    with ExitStack() as opened:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _already_running(job_id, 0) from error
        except OSError:
            pass  # some network file systems cannot lock folders; ``lock_job`` alone protects them
        yield


@contextmanager
def _hold_socket(job_id: str, name: str) -> Iterator[None]:
    """An abstract socket: a name that only one socket can have, and that leaves no file behind."""
    address = "\0" + name
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as holder:
        try:
            holder.bind(address)
        except OSError as error:
            raise _already_running(job_id, _process_at(address)) from error
        holder.listen()
        yield


def _process_at(address: str) -> int:
    """The process that listens at ``address``; 0 where that cannot be known, as across containers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(address)
        except OSError:
            return 0
        credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


@contextmanager
def _hold_file(job_id: str, name: str) -> Iterator[None]:
    """A lock on a file in the temporary folder, for systems without abstract sockets."""
    file = os.open(Path(tempfile.gettempdir()) / f"{name}.lock", os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise _already_running(job_id, 0) from error
    try:
        yield
    finally:
        os.close(file)


def _already_running(job_id: str, process: int) -> SpecError:
    which = f" (process {process})" if process else ""
    return SpecError(Problem("", f"the job {job_id} is already running on this machine{which}", CODE_JOB_EXISTS))
