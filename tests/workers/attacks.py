"""What code in a worker might try: ``python -m tests.workers.attacks FOLDER [--user UID] [--no-namespaces] [--free]``.

The process becomes user UID, hides its memory as a parent does, and forks. The child confines itself, unless it is
free, and tries everything. Printed are the layers that hold, and what came of each attack.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import importlib
import json
import mmap
import os
import platform
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from owtmix.workers.file_access import FileAccess
from owtmix.workers.process_flags import protect_memory
from owtmix.workers.sandbox import confine
from owtmix.workers.syscalls import MACHINES

FILE_BYTES = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001


def call(name: str, *arguments: Any) -> int:
    """A system call that must succeed."""
    result = LIBC.syscall(MACHINES[platform.machine()].numbers[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return int(result)


def prctl(option: int, value: int) -> None:
    if LIBC.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def deny_namespaces() -> None:
    """As containers do: this process and its children make no namespaces."""
    number = MACHINES[platform.machine()].numbers["unshare"]
    program = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, _REFUSE), (0x06, 0, 0, _ALLOW)]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code, len(code))
    LIBC.prctl(38, 1, 0, 0, 0)
    if LIBC.prctl(22, 2, struct.pack("@HP", len(program), ctypes.addressof(memory)), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def of_open_files(recording: Path, bench: Path) -> dict[str, Callable[[], object]]:
    """Attacks by what is open already, which Landlock leaves alone."""

    def take_space() -> None:
        """Space of a file beyond its length is not counted as its length is."""
        with (bench / "spacious").open("wb") as file:
            call("fallocate", file.fileno(), 1, 0, ctypes.c_long(4 * FILE_BYTES))

    def reading(of: Callable[[int], object]) -> Callable[[], object]:
        """Do something with a recording that is open for reading."""

        def attack() -> None:
            with recording.open("rb") as file:
                of(file.fileno())

        return attack

    return {
        "take space beyond the limit": take_space,
        "lock a recording": reading(lambda file: fcntl.flock(file, fcntl.LOCK_EX)),
        "change the generation of a recording": reading(
            lambda file: fcntl.ioctl(file, 0x40087602, struct.pack("l", 7))
        ),
    }


def attacks(folder: Path, parent: int) -> dict[str, Callable[[], object]]:
    """Each attack by its name. ``folder`` holds ``secret``, ``recording``, ``bench``, ``unix`` and ``port``."""
    secret, recording, bench = folder / "secret", folder / "recording", folder / "bench"
    port = int((folder / "port").read_text())

    def connect(family: int, address: Any) -> None:
        with socket.socket(family, socket.SOCK_STREAM) as peer:
            peer.settimeout(2)
            peer.connect(address)

    def fork() -> None:
        if not (pid := os.fork()):
            os._exit(0)
        os.waitpid(pid, 0)

    def write_long() -> None:
        with (bench / "long").open("wb") as file:
            file.truncate(FILE_BYTES + 1)

    def push_input() -> None:
        terminal, _other = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSTI, b"x")

    def watch() -> None:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        fcntl.fcntl(os.open(folder, os.O_RDONLY), 1026, 2)

    def lease() -> None:
        with (bench / "leased").open("wb"):
            pass
        with (bench / "leased").open("rb") as file:
            fcntl.fcntl(file, 1024, 0)

    def lock() -> None:
        """Locks take memory that no process is charged for."""
        with (bench / "locked").open("wb") as file:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 7)

    def vm_read() -> None:
        local = ctypes.create_string_buffer(8)
        here = struct.pack("PN", ctypes.addressof(local), 8)
        there = struct.pack("PN", id(secret), 8)  # forked, so it has the same addresses
        call("process_vm_readv", parent, here, 1, there, 1, 0)

    return of_open_files(recording, bench) | {
        "watch a folder by a descriptor": watch,
        "lease a file": lease,
        "lock a byte of a file": lock,
        "take memory that counts for nobody": lambda: mmap.mmap(-1, 4096),
        "change attributes of a recording": lambda: call(
            "file_setattr", -100, str(recording).encode(), struct.pack("QIIII", 1 << 5, 0, 0, 0, 0), 24, 0
        ),
        "read a secret": secret.read_bytes,
        "read the passwords": lambda: Path("/etc/shadow").read_bytes(),
        "list a folder": lambda: list(Path("/etc").iterdir()),
        "write beside a recording": lambda: (folder / "planted").write_bytes(b"x"),
        "write into a recording": lambda: recording.write_bytes(b"x"),
        "shorten a recording": lambda: os.truncate(recording, 0),
        "remove a recording": recording.unlink,
        "rename a recording": lambda: recording.rename(bench / "taken"),
        "link to a recording": lambda: os.link(recording, bench / "linked"),
        "link to a secret": lambda: (bench / "link").symlink_to(secret),
        "make a pipe": lambda: os.mkfifo(bench / "pipe"),
        "change a mode": lambda: recording.chmod(0o777),
        "change an owner": lambda: os.chown(recording, os.getuid(), os.getgid()),
        "change a time": lambda: os.utime(recording, (0, 0)),
        "write without end": write_long,
        "read the parent's environment": Path(f"/proc/{parent}/environ").read_bytes,
        "read the parent's memory": lambda: Path(f"/proc/{parent}/mem").open("rb"),
        "read memory by a call": vm_read,
        "trace the parent": lambda: call("ptrace", 0x4206, parent, 0, 0),
        "signal the parent": lambda: os.kill(parent, 0),
        "signal a thread of the parent": lambda: call("tgkill", parent, parent, 0),
        "hold the parent": lambda: call("pidfd_open", parent, 0),
        "limit the parent": lambda: call("prlimit64", parent, 7, None, ctypes.create_string_buffer(16)),
        "renice the parent": lambda: os.setpriority(
            os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent) + 1
        ),
        "signal the parent by a pipe": lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, parent),
        "choose the signal of a pipe": lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETSIG, 9),
        "outlive the parent": lambda: prctl(1, 0),
        "open its memory to others": lambda: prctl(4, 1),
        "connect by TCP": lambda: connect(socket.AF_INET, ("127.0.0.1", port)),
        "send by UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
        "connect to a Unix socket": lambda: connect(socket.AF_UNIX, str(folder / "unix")),
        "listen": lambda: socket.create_server(("127.0.0.1", 0)),
        "run a program": lambda: subprocess.run(["/bin/true"], check=True),
        "replace the program": lambda: call("execve", b"/nonexistent", None, None),
        "fork": fork,
        "make a user namespace": lambda: call("unshare", 0x10000000),
        "make a mount namespace": lambda: call("unshare", 0x00020000),
        "change the root": lambda: os.chroot(folder),
        "mount": lambda: call("mount", b"none", bytes(bench), b"tmpfs", 0, None),
        "set up io_uring": lambda: call("io_uring_setup", 1, ctypes.create_string_buffer(120)),
        "load a BPF program": lambda: call(
            "bpf", 0, ctypes.create_string_buffer(b"\2\0\0\0\4\0\0\0\4\0\0\0\1", 128), 128
        ),
        "set up asynchronous I/O": lambda: call("io_setup", 1, ctypes.create_string_buffer(8)),
        "fill pipes": os.pipe,
        "watch folders": lambda: call("inotify_init1", 0),
        "use the keys": lambda: call("keyctl", 0, -3, 1),
        "share memory by name": lambda: call("shmget", 0, 4096, 0o1600),
        "push input into a terminal": push_input,
    }


def needs(folder: Path) -> dict[str, Callable[[], object]]:
    """What a task must be able to do."""

    def run_thread() -> None:
        done = threading.Event()
        threading.Thread(target=done.set).start()
        assert done.wait(20)

    def make_file() -> None:
        made = folder / "bench" / "track"
        made.write_bytes(b"x" * 1000)
        made.write_bytes(b"y")
        assert made.read_bytes() == b"y"
        made.unlink()

    return {
        "read a recording": (folder / "recording").read_bytes,
        "start a thread": run_thread,
        "import a module": lambda: os.access(os.__file__, os.R_OK) and importlib.import_module("wave"),
        "make a file": make_file,
        "write to a prepared file": lambda: (folder / "output").write_bytes(b"x"),
        "get random numbers": lambda: Path("/dev/urandom").open("rb").read(8),
        "know its own memory": Path("/proc/self/statm").read_text,
        "signal itself": lambda: os.kill(os.getpid(), 0),
    }


def outcome_of(attempt: Callable[[], object]) -> str:
    """``done``, or the error."""
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - whatever refuses
        return f"{type(error).__name__}: {error}"
    return "done"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--user", type=int, default=os.getuid())
    parser.add_argument("--no-namespaces", action="store_true")
    parser.add_argument("--free", action="store_true")
    options = parser.parse_args()
    folder: Path = options.folder
    if options.no_namespaces:
        deny_namespaces()
    if options.user != os.getuid():
        os.setgroups([])
        os.setgid(options.user)
        os.setuid(options.user)
        LIBC.prctl(4, 1, 0, 0, 0)  # as after the start of a program
    if not options.free:
        protect_memory()
    parent = os.getpid()
    if os.fork():
        os.wait()
        return
    access = FileAccess(
        read=frozenset([folder / "recording", folder / "port"]),
        write=frozenset([folder / "bench", folder / "output"]),
    )
    if options.free:
        LIBC.prctl(4, 1, 0, 0, 0)
    held = () if options.free else confine(parent, access, FILE_BYTES)
    found = {
        "held": held,
        "needs": {name: outcome_of(attempt) for name, attempt in needs(folder).items()},
        "attacks": {name: outcome_of(attempt) for name, attempt in attacks(folder, parent).items()},
    }
    print(json.dumps(found), flush=True)  # noqa: T201 - the reply
    os._exit(0)


if __name__ == "__main__":
    main()
