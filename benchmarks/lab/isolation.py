"""The cost of child processes, and of their confinement.

Recordings are measured and decoded in a process, in one that is confined, and in confined children. Prints CPU seconds
per hour of input for these ways, which alternate in one run, and the ratios. Each way is a process of its own that
measures and decodes every file, picture and sound, as a job does.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Final

from owtmix.inputs.tasks import ProbeTask
from owtmix.plan.media_info import ClockRules, Probe
from owtmix.workers.base import Limits
from owtmix.workers.file_access import FileAccess
from owtmix.workers.local import WorkerPool
from owtmix.workers.sandbox import confine
from tests.support.people import COLOURS, Take, record

ROUNDS: Final = 5
LENGTH_MS: Final = 600_000


class _NoReporter:
    """Ignores what a task reports."""

    def advance(self, done_s: float) -> None:
        pass

    def checkpoint(self, done_s: float) -> None:
        pass

    def heartbeat(self) -> None:
        pass

    def warn(self, message: str) -> None:
        pass


def main(words: Sequence[str]) -> None:
    """Measure all ways, or be one of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab isolation", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="recordings; generated ones without")
    parser.add_argument("--way", choices=sorted(_WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.way:
        print(float(_WAYS[arguments.way](_tasks(arguments.files))))
        return
    with tempfile.TemporaryDirectory() as folder:
        _compare(arguments.files or _generate(Path(folder)))


def _compare(files: Sequence[Path]) -> None:
    costs: dict[str, list[float]] = {way: [] for way in _WAYS}
    for _ in range(ROUNDS):
        for way, found in costs.items():
            before = _cpu_s(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-m", "benchmarks.lab", "isolation", "--way", way, *map(str, files)]
            input_s = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            found.append((_cpu_s(resource.RUSAGE_CHILDREN) - before) / input_s * 3600)
    for way, found in costs.items():
        spread = f"{min(found):.1f} to {max(found):.1f} in {len(found)} runs"
        print(f"{way:10} {median(found):7.1f} CPU s per hour of input ({spread})")
    for way in ("confined", "children"):
        ratio = median(costs[way]) / median(costs["in-process"])
        print(f"{way} / in-process: {ratio:.3f} over {input_s:.0f} s of input")


def _tasks(files: Sequence[Path]) -> list[ProbeTask]:
    return [ProbeTask(n, path.name, path.absolute(), ClockRules(), wholly=True) for n, path in enumerate(files)]


def _in_process(tasks: Sequence[ProbeTask]) -> Fraction:
    """Returns the length of all files in seconds."""
    found = (task.run(_NoReporter()) for task in tasks)
    return sum((what.span.duration for what in found if isinstance(what, Probe)), Fraction(0))


def _confined(tasks: Sequence[ProbeTask]) -> Fraction:
    """As ``_in_process``, after the confinement of a worker."""
    confine(os.getppid(), FileAccess(read=frozenset(task.path for task in tasks)), 1 << 40)
    return _in_process(tasks)


def _in_children(tasks: Sequence[ProbeTask]) -> Fraction:
    with WorkerPool(2, Limits(4 << 30, 60), print) as executor:
        executor.allow(read=[task.path for task in tasks])
        return sum((outcome.value.span.duration for outcome in executor.run(tasks)), Fraction(0))


_WAYS: Final = {"in-process": _in_process, "confined": _confined, "children": _in_children}


def _cpu_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _generate(folder: Path) -> list[Path]:
    """Two cameras of ten minutes, as browsers and phones record them."""
    takes = (
        Take("browser_1", 0, LENGTH_MS, COLOURS[0], 440, size=(640, 360), fps=15, container="webm"),
        Take("phone_1", 0, LENGTH_MS, COLOURS[1], 440, size=(640, 360), fps=15, container="mp4"),
    )
    paths = [folder / f"{take.stream}.{take.container}" for take in takes]
    for take, path in zip(takes, paths, strict=True):
        record(take, path)
    return paths
