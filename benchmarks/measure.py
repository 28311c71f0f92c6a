"""The cost of a command: wall seconds, CPU seconds with all its descendants, and their memory."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CORES: Final = os.cpu_count() or 1
SAMPLE_S: Final = 0.25


class CommandError(Exception):
    """A command failed; the message has the end of its standard error."""


@dataclass(slots=True)
class Cost:
    """The cost of one command, or of several in turn.

    ``cpu_s`` has every descendant that was waited for. ``tree_mib`` is the highest sum of the proportional set sizes of
    all processes at one moment, ``process_mib`` the highest resident set of any one process. ``course_mib`` is the
    highest sum in each second, from the first to the last.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    tree_mib: float = 0.0
    process_mib: float = 0.0
    course_mib: list[float] = field(default_factory=list)


def run(commands: Sequence[Sequence[str]], folder: Path) -> tuple[Cost, str]:
    """Run ``commands`` in ``folder``, one after the other; returns their cost and the last one's standard output.

    Raises:
        CommandError: a command failed.
    """
    cost, said = Cost(), ""
    for command in commands:
        said = _run(command, folder, cost)
    return cost, said


def _run(command: Sequence[str], folder: Path, cost: Cost) -> str:
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        start = time.monotonic()
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            _watch_memory(child.pid, cost)
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        cost.wall_s += time.monotonic() - start
        cost.cpu_s += used.ru_utime + used.ru_stime
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            said = err.read().decode(errors="replace")[-2000:]
            raise CommandError(f"{' '.join(command)[:500]} ended with {child.returncode}:\n{said}")
        return out.read().decode(errors="replace")


def _watch_memory(pid: int, cost: Cost) -> None:
    """Sample the memory of a process and its descendants until the process ends."""
    start, before = time.monotonic(), len(cost.course_mib)
    ended = os.pidfd_open(pid)
    try:
        while not select.select([ended], [], [], SAMPLE_S)[0]:
            sizes = [_memory_mib(process) for process in _family(pid)]
            total_mib = sum(proportional for _, proportional in sizes)
            cost.process_mib = max(cost.process_mib, *(resident for resident, _ in sizes))
            cost.tree_mib = max(cost.tree_mib, total_mib)
            second = before + int(time.monotonic() - start)
            cost.course_mib += [0.0] * (second + 1 - len(cost.course_mib))
            cost.course_mib[-1] = max(cost.course_mib[-1], total_mib)
    finally:
        os.close(ended)


def _family(pid: int) -> Iterator[int]:
    """A process and all its living descendants."""
    yield pid
    try:
        children = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # the process or one of its threads has just ended
        return
    for child in " ".join(children).split():
        yield from _family(int(child))


def _memory_mib(pid: int) -> tuple[float, float]:
    """The resident set and the proportional set of a process; zeros for one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = {name: int(size) for name, _, size in (line.removesuffix(" kB").partition(":") for line in lines[1:])}
    return sizes.get("Rss", 0) / 1024, sizes.get("Pss", 0) / 1024
