"""The filter of system calls that a confined process has (seccomp): a program, as data.

Landlock decides which files are opened; what is done with an open one, and everything else, is decided here.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from owtmix.workers.process_flags import PR_SET_DUMPABLE, PR_SET_PDEATHSIG
from owtmix.workers.syscalls import DENIED, GPU_CALLS, MACHINES

_CLONE_THREAD: Final = 0x00010000
_TCGETS: Final = 0x5401
_TCGETS2: Final = 0x802C542A
_TIOCGWINSZ: Final = 0x5413
_FIONREAD: Final = 0x541B
_FIONBIO: Final = 0x5421
_FIONCLEX: Final = 0x5450
_FIOCLEX: Final = 0x5451
_OF_ANY_FILE: Final = (_TCGETS, _TCGETS2, _TIOCGWINSZ, _FIONREAD, _FIONBIO, _FIONCLEX, _FIOCLEX)
"""What Python and the C library ask of files by ``ioctl``. File systems have calls that change one which may only be
read: its generation, its attributes, whether it is sealed.
"""
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C
_OF_FILE_SYSTEMS: Final = tuple(ord(kind) << 8 for kind in "Xfv\x94\xf5\x89")
"""The groups of such calls, and that of sockets, which the driver of a GPU does not need."""
_GROUP: Final = 0xFF00
_F_SETOWN: Final = 8
_F_SETSIG: Final = 10
_F_SETOWN_EX: Final = 15
_F_SETLEASE: Final = 1024
_F_LOCKS: Final = (6, 7, 37, 38)
"""``F_SETLK``, ``F_SETLKW``, ``F_OFD_SETLK`` and ``F_OFD_SETLKW``."""
_SHARED_MEMORY: Final = 0x21
"""``MAP_SHARED`` and ``MAP_ANONYMOUS``."""
_F_NOTIFY: Final = 1026

# Instructions, as in the headers of Linux
_LOAD: Final = 0x20
_EQUALS: Final = 0x15
_AND: Final = 0x54
_HAS: Final = 0x45
_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_FAIL: Final = 0x00050000
_NUMBER_AT: Final = 0
_MACHINE_AT: Final = 4
_ARGUMENTS_AT: Final = 16
_X32: Final = 0x40000000
_AF_UNIX: Final = 1
_SOCK_STREAM: Final = 1
_SOCK_SEQPACKET: Final = 5
_SOCKET_KINDS: Final = 0xF
"""The bits of a socket's type without its flags."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, and operand."""


def call_filter(machine: str, pid: int, *, gpu: bool = False) -> list[Instruction]:
    """The filter of system calls for process ``pid`` on a kind of ``machine``; empty where that is not known.

    The driver of a GPU gets Unix sockets of streams, which reach nobody: connecting is denied.
    """
    known = MACHINES.get(machine)
    if not known:
        return []
    call = known.numbers
    refuse, allow = (_RETURN, 0, 0, _FAIL | errno.EPERM), (_RETURN, 0, 0, _ALLOW)
    program: list[Instruction] = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUALS, 1, 0, known.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        refuse,
        # The C library does without them, and then names its flags in a register, where a filter sees them.
        (_EQUALS, 1, 0, call["clone3"]),
        (_EQUALS, 0, 1, call["openat2"]),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]

    def when(name: str, argument: int, *tests: Instruction) -> None:
        """``tests`` of an argument's lower half decide about a call; each jumps over the rest to allow or refuse."""
        body = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument), *tests]
        program.extend([(_EQUALS, 0, len(body), call[name]), *body])

    def when_not(name: str, argument: int, *refused: int) -> None:
        """Refuse a call with one of the values ``refused``."""
        tests = [(_EQUALS, len(refused) - at, 0, value) for at, value in enumerate(refused)]
        when(name, argument, *tests, allow, refuse)

    when("clone", 0, (_HAS, 0, 1, _CLONE_THREAD), allow, refuse)
    for name in ("kill", "tgkill"):  # a process may end itself
        when(name, 0, (_EQUALS, 0, 1, pid), allow, refuse)
    # A descriptor must send no signals to others nor make them wait, and the process not outlive its parent.
    # Locks of parts of files take memory of the system that counts for nobody; a GPU's driver uses some.
    locks = () if gpu else _F_LOCKS
    when_not("fcntl", 1, _F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY, *locks)
    if gpu:  # its driver has hundreds
        numbers, groups = (_TIOCSTI, _TIOCLINUX), _OF_FILE_SYSTEMS
        tests = [(_EQUALS, len(numbers) + len(groups) + 1 - at, 0, value) for at, value in enumerate(numbers)]
        tests += [(_AND, 0, 0, _GROUP)]
        tests += [(_EQUALS, len(groups) - at, 0, value) for at, value in enumerate(groups)]
        when("ioctl", 1, *tests, allow, refuse)
    else:
        when(
            "ioctl",
            1,
            *((_EQUALS, len(_OF_ANY_FILE) - at, 0, value) for at, value in enumerate(_OF_ANY_FILE)),
            refuse,
            allow,
        )
    when_not("prctl", 0, PR_SET_PDEATHSIG, PR_SET_DUMPABLE)
    when("prlimit64", 0, (_EQUALS, 1, 0, 0), (_EQUALS, 0, 1, pid), allow, refuse)
    # The first versions of Landlock let a file be emptied that may only be read.
    empties = ((_AND, 0, 0, os.O_TRUNC | os.O_ACCMODE), (_EQUALS, 0, 1, os.O_TRUNC | os.O_RDONLY))
    for name, argument in (("open", 1), ("openat", 2)):
        if name in call:
            when(name, argument, *empties, refuse, allow)
    denied = known.of(*DENIED)
    if not gpu:
        # Memory that is shared by nobody, and that counts for no process once it is given up, but is not freed.
        when("mmap", 3, (_AND, 0, 0, _SHARED_MEMORY), (_EQUALS, 0, 1, _SHARED_MEMORY), refuse, allow)
    else:
        # Datagrams would reach others without connecting.
        kind = (_LOAD, 0, 0, _ARGUMENTS_AT + 8)
        streams = (kind, (_AND, 0, 0, _SOCKET_KINDS), (_EQUALS, 1, 0, _SOCK_STREAM), (_EQUALS, 0, 1, _SOCK_SEQPACKET))
        when("socket", 0, (_EQUALS, 0, len(streams) + 1, _AF_UNIX), *streams, allow, refuse)
        denied -= known.of(*GPU_CALLS)
    for number in sorted(denied):
        program += [(_EQUALS, 0, 1, number), refuse]
    return [*program, allow]
