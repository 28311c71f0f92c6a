"""Whether the disk has room is told before anything is made; what an earlier run made needs none again."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from owtmix.base.errors import DestinationError
from owtmix.jobfile.settings import PlanSettings
from owtmix.plan.build import make_plan
from owtmix.plan.model import RenderPlan
from owtmix.produce.disk_space import check_room, expected_bytes
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
    plan: RenderPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float, free: float, enough: bool
) -> None:
    size_bytes = expected_bytes(plan)
    assert size_bytes > 600 * 1_000_000 / 8
    left = SimpleNamespace(free=round(free * size_bytes) + 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: left)
    if enough:
        check_room(plan, tmp_path, tmp_path, round(kept * size_bytes))
    else:
        with pytest.raises(DestinationError, match=r"MiB are needed, and the disk of .* MiB left: free some space"):
            check_room(plan, tmp_path, tmp_path, round(kept * size_bytes))


def test_of_two_disks_each_holds_one(plan: RenderPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, output = tmp_path / "work", tmp_path / "output"
    size_bytes = expected_bytes(plan)
    left = {work: size_bytes, output: size_bytes - 1}
    for folder in left:
        folder.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=left[path]))
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path: SimpleNamespace(st_dev=path) if path in left else stat(path))
    with pytest.raises(DestinationError, match=f"the disk of {output}"):
        check_room(plan, work, output, 0)
    left[output] += 1
    check_room(plan, work, output, 0)
