"""Confines a child process before it reads media, with what the kernel offers, by ctypes alone.

The layers are independent, so that one holds where another is missing: a child that hostile media has taken over
reaches neither other files nor the network, starts nothing, and cannot touch other processes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from owtmix.base.beneath import open_file
from owtmix.workers.call_filter import call_filter
from owtmix.workers.file_access import FileAccess
from owtmix.workers.process_flags import end_with, protect_memory

NO_NEW_PRIVILEGES: Final = "no-new-privileges"
CAPABILITIES: Final = "capabilities"
NETWORK: Final = "network"
LANDLOCK: Final = "landlock"
SECCOMP: Final = "seccomp"
LAYERS: Final = (NO_NEW_PRIVILEGES, CAPABILITIES, NETWORK, LANDLOCK, SECCOMP)
"""What a child may be confined with: see docs/security.md, "Confinement"."""

_PR_SET_SECCOMP: Final = 22
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_CAPABILITY_VERSION: Final = 0x20080522
_CAP_DAC_OVERRIDE: Final = 1
_CAP_DAC_READ_SEARCH: Final = 2
_LAST_CAPABILITY: Final = 63

_OWN_THREADS: Final = 512
"""The most threads of a child that has a user namespace of its own, in which only they count."""
_ALL_THREADS: Final = 16_384
"""Elsewhere all processes and threads of the user count: no program of theirs should notice this limit."""


def confine(parent: int, access: FileAccess, file_bytes: int) -> tuple[str, ...]:
    """Confine this process, as far as the kernel allows; call it before threads start.

    Args:
        parent: the parent's process id; when it is gone already, this process ends.
        access: the files that it may read or write, besides those of Python and its packages.
        file_bytes: the longest file that it may write.

    Returns:
        The layers that hold, of ``LAYERS``.

    Raises:
        OSError: the kernel has a layer, and was short of what it takes.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for request in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # A terminal sends these signals to the whole process group; only the parent acts on them.
        signal.signal(request, signal.SIG_IGN)
    if sys.platform != "linux":
        return ()
    libc = ctypes.CDLL(None, use_errno=True)
    own_network = libc.unshare(_CLONE_NEWNET) == 0
    own_users = not own_network and libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    _limit_resources(file_bytes, _OWN_THREADS if own_users else _ALL_THREADS)
    layers = [
        (NO_NEW_PRIVILEGES, libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0),
        (CAPABILITIES, _drop_capabilities(libc)),
        (NETWORK, own_network or own_users),
        (LANDLOCK, _restrict_files(libc, access)),
    ]
    # New credentials undo these, and the filter forbids them.
    protect_memory()
    end_with(parent)
    layers.append((SECCOMP, _filter_calls(libc, gpu=access.gpu)))
    return tuple(name for name, holds in layers if holds)


def _limit_resources(file_bytes: int, threads: int) -> None:
    for limit, wanted in ((resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_NPROC, threads)):
        now = resource.getrlimit(limit)
        soft, hard = (wanted if value == resource.RLIM_INFINITY else min(wanted, value) for value in now)
        resource.setrlimit(limit, (soft, hard))
    # How many files may be open is no protection: a room with many streams needs as many as the machine allows.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Drop all capabilities of root except those for files, since recordings may belong to any user.

    Without the others a child can neither read the parent's memory and environment nor rejoin the parent's network.
    """
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, in two halves
    if libc.capget(header, held):
        return False
    kept = held[1] & (1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH)
    return bool(libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)) == 0)


# Landlock, as in the header of Linux with that name

_LANDLOCK_CREATE: Final = 444
_LANDLOCK_ADD_RULE: Final = 445
_LANDLOCK_RESTRICT: Final = 446
_RULE_PATH_BENEATH: Final = 1
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REMOVE_DIR: Final = 1 << 4
_REMOVE_FILE: Final = 1 << 5
_MAKE_DIR: Final = 1 << 7
_MAKE_REG: Final = 1 << 8
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_FILE_RIGHTS: Final = _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_HANDLED: Final = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV))
"""The rights that each version of Landlock began to handle. All that are handled and not granted are denied."""
_TCP: Final = 3
_SCOPES: Final = 3
"""No abstract Unix sockets and no signals of others."""
_READ: Final = _READ_FILE | _READ_DIR
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Why a right cannot be given. Any other error of a path means that it leads to no file, which needs none."""
_WRITE: Final = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE


def _restrict_files(libc: ctypes.CDLL, access: FileAccess) -> bool:
    """Deny all files but those of ``access`` and Python's, for good."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = sum(added for since, added in _HANDLED if version >= since)
    fields = [rights]
    if version >= 4:  # noqa: PLR2004 - as in linux/landlock.h
        fields.append(_TCP)
    if version >= 6:  # noqa: PLR2004
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    if (ruleset := libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)) < 0:
        return False
    try:
        for paths, granted, opener in (
            (access.python(), _READ, _opened),
            (access.read, _READ, _opened),
            (access.recordings, _READ_FILE, _opened_recording),
            (access.write, _WRITE, _opened_itself),
            (access.devices(), _READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEV, _opened),
        ):
            _allow(libc, ruleset, paths, granted & rights, opener)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _opened(path: Path) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _opened_itself(path: Path) -> int:
    """A link in the place of a folder gives no right to its target."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)


def _opened_recording(path: Path) -> int:
    """A file; nothing else that stands in its place, or in that of a folder above."""
    file = open_file(path, os.O_PATH)
    if not stat.S_ISREG(_mode(file)):
        os.close(file)
        raise OSError(errno.ENOENT, "it is no file")
    return file


def _mode(file: int) -> int:
    """What a descriptor is of; 0, which is nothing, where the system cannot tell."""
    try:
        return os.fstat(file).st_mode
    except OSError:
        return 0


def _allow(libc: ctypes.CDLL, ruleset: int, paths: Iterable[Path], granted: int, opener: Callable[[Path], int]) -> None:
    for path in paths:
        try:
            file = opener(path)
        except OSError as error:
            if error.errno in _SHORT:
                raise
            continue
        try:
            fitting = granted if stat.S_ISDIR(_mode(file)) else granted & _FILE_RIGHTS
            rule = struct.pack("=Qi", fitting, file)
            failed = libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0
            if failed and (number := ctypes.get_errno()) != errno.EBADFD:  # of what is in no file system: stays denied
                raise OSError(number, "landlock_add_rule")
        finally:
            os.close(file)


def _filter_calls(libc: ctypes.CDLL, *, gpu: bool) -> bool:
    """Deny system calls that no task needs; False on a kind of machine whose numbers are not known."""
    program = call_filter(platform.machine(), os.getpid(), gpu=gpu)
    if not program:
        return False
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(program), ctypes.addressof(memory))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)
