"""What a command costs: wall and CPU seconds, with all its descendants, and how much memory they hold."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

SAMPLE_S: Final = 0.25
_KIB_PER_MIB: Final = 1024


class CommandError(Exception):
    """A measured command failed; says what it wrote last."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command, or of several in turn.

    ``cpu_s`` has every descendant that was waited for. ``tree_mib`` is the highest sum of the proportional set sizes of
    all processes at one moment, ``process_mib`` the highest resident set of any one of them. ``course_mib`` is the
    highest sum in each second, from the first to the last.
    """

    wall_s: float
    cpu_s: float
    tree_mib: float
    process_mib: float
    course_mib: tuple[float, ...] = ()

    def then(self, other: Cost) -> Cost:
        """Both, one after the other."""
        return Cost(
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            max(self.tree_mib, other.tree_mib),
            max(self.process_mib, other.process_mib),
            self.course_mib + other.course_mib,
        )


NOTHING: Final = Cost(0, 0, 0, 0)


def run(command: Sequence[str], folder: Path) -> tuple[Cost, str]:
    """Run ``command`` in ``folder``; returns its cost and what it wrote to standard output.

    Raises:
        CommandError: it failed.
    """
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        start = time.monotonic()
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            with Memory(child.pid) as memory:
                _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            child.send_signal(signal.SIGTERM)
            child.wait()
            raise
        wall_s = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            err.seek(0)
            said = err.read().decode(errors="replace")[-2000:]
            raise CommandError(f"{' '.join(command)[:500]} ended with {child.returncode}:\n{said}")
        out.seek(0)
        cost = Cost(wall_s, used.ru_utime + used.ru_stime, memory.tree_mib, memory.process_mib, memory.course_mib)
        return cost, out.read().decode(errors="replace")


class Memory:
    """Watches a process and its descendants while the block runs."""

    def __init__(self, pid: int) -> None:
        self.process_mib = 0.0
        self._course_mib: list[float] = []
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def course_mib(self) -> tuple[float, ...]:
        return tuple(self._course_mib)

    @property
    def tree_mib(self) -> float:
        return max(self._course_mib, default=0.0)

    def _watch(self) -> None:
        start = time.monotonic()
        while not self._over.wait(SAMPLE_S):
            shares = [_memory_mib(pid) for pid in family(self._pid)]
            elapsed_s = int(time.monotonic() - start)
            self._course_mib += [0.0] * (elapsed_s + 1 - len(self._course_mib))
            self._course_mib[-1] = max(self._course_mib[-1], sum(proportional for _, proportional in shares))
            self.process_mib = max([self.process_mib, *(resident for resident, _ in shares)])


def family(pid: int) -> Iterator[int]:
    """A process and all its living descendants."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for thread in threads:
        try:
            children = (thread / "children").read_text(encoding="ascii")
        except OSError:
            continue
        for child in children.split():
            yield from family(int(child))


def _memory_mib(pid: int) -> tuple[float, float]:
    """The resident set of a process, and its proportional share; nothing where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = {name: int(size) for name, _, size in (line.removesuffix(" kB").partition(":") for line in lines[1:])}
    return sizes.get("Rss", 0) / _KIB_PER_MIB, sizes.get("Pss", 0) / _KIB_PER_MIB
