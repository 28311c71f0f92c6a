"""Disk space is checked before anything is made; chunks of an earlier run need none again."""

from __future__ import annotations

from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError
from owtmix.jobfile.settings import PlanSettings
from owtmix.plan.build import make_plan
from owtmix.plan.model import RenderPlan
from owtmix.produce.disk_space import Disk, check_disk_space, disk_of
from tests.support import plans


@pytest.fixture
def plan() -> RenderPlan:
    clips = plans.room(plans.both(plans.ANNA, 0, 600))
    return make_plan(plans.JOB, plans.index_of(clips), clips, PlanSettings())


@pytest.mark.parametrize(
    ("kept", "free", "enough"),
    [(0, 2.0, True), (0, 1.9, False), (0.9, 1.1, True), (0.9, 1.0, False), (1.5, 1.0, True), (1.5, 0.9, False)],
)
def test_one_disk_holds_the_chunks_and_the_finished_file(
    plan: RenderPlan, tmp_path: Path, kept: float, free: float, enough: bool
) -> None:
    size_bytes = plan.expected_bytes
    assert size_bytes > 600 * 1_000_000 / 8
    disk = Disk(1, round(free * size_bytes) + 1)
    if enough:
        check_disk_space(plan, tmp_path, tmp_path, round(kept * size_bytes), lambda _: disk)
    else:
        with pytest.raises(DestinationError, match=r"MiB are needed, and the disk of .* MiB left: free some space"):
            check_disk_space(plan, tmp_path, tmp_path, round(kept * size_bytes), lambda _: disk)


def test_of_two_disks_one_holds_the_chunks_and_one_the_finished_file(plan: RenderPlan) -> None:
    work, output = Path("work"), Path("output")
    size_bytes = plan.expected_bytes
    disks = {work: Disk(1, size_bytes), output: Disk(2, size_bytes - 1)}
    with pytest.raises(DestinationError, match=f"the disk of {output}"):
        check_disk_space(plan, work, output, 0, disks.__getitem__)
    disks[output] = Disk(2, size_bytes)
    check_disk_space(plan, work, output, 0, disks.__getitem__)


def test_folders_of_one_disk_have_its_number_and_free_space(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    here, inside = disk_of(tmp_path), disk_of(tmp_path / "inside")
    assert here.number == inside.number == tmp_path.stat().st_dev
    assert here.free_bytes > 0
