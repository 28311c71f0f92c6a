"""Somebody who writes into the output's folder puts another thing in the place of the unfinished output."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import DestinationError
from owtmix.base.progress import ZERO, NoProgress, Unit
from owtmix.jobfile.settings import Settings
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options


class SwapAt(NoProgress):
    """Swaps the unfinished output in ``out`` when ``stage`` begins: for a link to ``target``, or for a file."""

    def __init__(self, stage: str, out: Path, kind: str, target: Path) -> None:
        self._stage, self._out, self._kind, self._target = stage, out, kind, target

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        del total, unit, done
        if name != self._stage:
            return
        for staged in self._out.glob(".*.part.*"):
            staged.unlink()
            if self._kind == "link":
                staged.symlink_to(self._target)
            else:
                staged.write_bytes(b"of somebody else")


@pytest.mark.parametrize("kind", ["link", "file"])
@pytest.mark.parametrize("stage", ["composing", "publishing"])
def test_nothing_else_becomes_the_output_and_nothing_outside_is_written(tiny: Path, stage: str, kind: str) -> None:
    outside = tiny.parents[1] / "outside.mp4"
    outside.write_bytes(b"outside")
    out = tiny.parent / "out"
    job = Job(tiny, Settings(), Options(device="cpu"), tiny.parents[1] / "state")
    with pytest.raises(DestinationError, match=r"replaced|removed or changed"):
        job.run(SwapAt(stage, out, kind, outside), TemporaryPaths())
    assert outside.read_bytes() == b"outside"
    assert not [path for path in out.iterdir() if not path.name.startswith(".")]
