"""What the system tells of processes: their memory, what holds them up, and those it has ended for want of memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

_HELD: Final = re.compile(rb"^Vm(?:RSS|PTE):\s*(\d+) kB", re.MULTILINE)


def held_bytes(pid: int) -> int:
    """The memory that a process holds, in bytes; 0 where the system does not tell.

    That is what is resident, and the tables of its pages: those of a huge reservation of which a byte is read here and
    there take memory that does not count as resident.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0
    return sum(int(kib) << 10 for kib in _HELD.findall(status))


def peak_bytes(pid: int) -> int:
    """The most resident memory that a process has had, in bytes; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def is_held_up(pid: int) -> bool:
    """Whether a thread of a process waits for a disk or a file server, or somebody has stopped it."""
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError, IndexError):
            # The name in parentheses may hold anything.
            if thread.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] in "DTt":
                return True
    return False


def count_oom_kills() -> int:
    """How many processes the system has ended for want of memory since it started; 0 where it does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def available_memory_bytes() -> int | None:
    """The memory for new processes: that of the machine, or of this one's control groups; None if unknown."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    for limit, usage, parts in _group_files():
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            limited = int(limit.read_text(encoding="ascii"))
            used = int(usage.read_text(encoding="ascii")) - _freeable_bytes(parts)
            found.append(max(0, limited - used))
    return min(found, default=None)


def _freeable_bytes(parts: Path) -> int:
    """What of a control group's memory only holds the contents of files, and is given back when it is needed."""
    for line in parts.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name in {"inactive_file", "total_inactive_file"}:
            return int(value)
    return 0


def _group_files() -> Iterator[tuple[Path, Path, Path]]:
    """The files with limit, usage and parts of the memory of this process's control groups, and those around them."""
    root = Path("/sys/fs/cgroup")
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                mounted, names = root, ("memory.max", "memory.current")
            elif "memory" in controllers.split(","):
                mounted, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
            else:
                continue
            # In a container the group's own path may not be there: its files lie at the root then.
            path = PurePosixPath(group.lstrip("/"))
            for folder in (path, *path.parents):
                group_folder = mounted / folder
                yield group_folder / names[0], group_folder / names[1], group_folder / "memory.stat"
