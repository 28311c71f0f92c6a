"""Oversized pictures are refused before memory is allocated for them."""

from __future__ import annotations

import gc
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from owtmix.base.errors import InputError
from owtmix.inputs.tasks import ProbeTask
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.media.decode_all import decode_all
from owtmix.media.probe import probe
from owtmix.plan.media_info import ClockRules
from owtmix.workers.base import Limits, TaskReporter
from owtmix.workers.local import WorkerPool
from tests.hostile import files
from tests.support.people import COLOURS, Take, record

PICTURE_MIB: Final = files.BOMB_PX**2 * 3 // 2 >> 20
"""Memory of one picture of a bomb, in MiB."""


@dataclass(frozen=True, slots=True)
class PeakTask(ProbeTask):
    """Probes an intact recording, then this one; returns the growth of peak memory in MiB."""

    result: ClassVar[Any] = int

    def run(self, news: TaskReporter) -> Any:
        ProbeTask(0, "", self.path.with_name("healthy.webm"), self.rules, wholly=True).run(news)
        before = _peak_mib()
        with suppress(InputError):
            ProbeTask.run(self, news)
        return _peak_mib() - before


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@pytest.mark.parametrize("name", ["bomb.webm", "late-bomb.webm", "real-bomb.mp4", "table.mp4", "private.webm"])
def test_no_memory_is_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PYTHONPATH", str(INSTALLATION))
    (tmp_path / "healthy.webm").write_bytes(files.healthy("webm"))
    (tmp_path / name).write_bytes(files.GREEDY[name]())
    warnings: list[str] = []
    with WorkerPool(1, Limits(1 << 30, 60), warnings.append) as crew:
        crew.allow(read=[INSTALLATION, tmp_path])
        (outcome,) = crew.run([PeakTask(0, name, tmp_path / name, ClockRules(), wholly=True)])
    assert outcome.value is not None, outcome
    assert outcome.value < PICTURE_MIB // 3


def test_a_picture_is_freed_as_soon_as_the_next_is_there(tmp_path: Path) -> None:
    """It is not left to the garbage collector: hundreds of large pictures would accumulate."""
    take = Take("a_1", 0, 40_000, COLOURS[0], 440, size=(640, 360), fps=10, sound=False, container="webm")
    record(take, tmp_path / "a.webm")
    found = probe(tmp_path / "a.webm")
    assert found.video
    gc.collect()
    gc.disable()
    try:
        before = _resident_mib()
        decode_all(tmp_path / "a.webm", found.video, lambda _: None)
        grown = _resident_mib() - before
    finally:
        gc.enable()
    all_of_them = 400 * 640 * 360 * 3 // 2 >> 20
    assert grown < all_of_them // 4


def _resident_mib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20
