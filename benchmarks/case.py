"""A scene, or its beginning, ready to be composed: its job, its plan, and the lossless composition to compare with."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.scenes import SCENES, cut, make
from owtmix.base.cleanup import Scratch
from owtmix.base.progress import Silence
from owtmix.compositor.cpu import CpuCanvas, planes
from owtmix.compositor.overlay import yuv
from owtmix.compositor.overlays import Decoration
from owtmix.jobfile.settings import read_settings, settings_file
from owtmix.jobs.job import Job, Options
from owtmix.plan.model import Picture, RenderPlan
from owtmix.render.frames import Footage, render
from owtmix.render.results import Notes


@dataclass(frozen=True, slots=True)
class Case:
    """What every engine is given. ``work`` is a folder for whatever it writes."""

    name: str
    cfg: Path
    index: Path
    plan: RenderPlan
    work: Path

    @property
    def picture(self) -> Picture:
        assert self.plan.picture
        return self.plan.picture

    def path(self, source: int) -> Path:
        """Where a source of the plan lies."""
        return self.cfg.parent / self.plan.sources[source].key

    @property
    def paths(self) -> list[Path]:
        return [self.path(number) for number in range(len(self.plan.sources))]


def prepare(name: str, cache: Path, work: Path, seconds: float | None = None) -> Case:
    """The scene ``name``, or its first ``seconds``, planned by the tool."""
    folder = make(name, cache).absolute()
    index = folder / f"{SCENES[name].job_id}.json"
    work.mkdir(parents=True, exist_ok=True)
    if seconds is not None:
        index = cut(index, seconds, work.absolute() / index.name)
    cfg = folder / "cfg.json"
    scratch = Scratch()
    try:
        plan = Job(cfg, read_settings(settings_file()), Options(index=str(index), device="cpu")).plan(
            Silence(), scratch
        )
    finally:
        scratch.sweep()
    return Case(name, cfg, index, plan, work.absolute())


def compose(case: Case, path: Path, frames: range | None = None) -> range:
    """Write the plan's frames, yuv420p one after the other, as the tool composes them; returns which."""
    picture = case.picture
    chosen = range(picture.frames) if frames is None else frames
    canvas = CpuCanvas(picture.canvas, yuv(picture.background, picture.matrix), picture.resize_mode, picture.matrix)
    decoration = Decoration(picture, {}, case.plan.epoch_at, case.plan.time_zone)
    footage, notes = Footage(case.plan.sources, case.paths), Notes()
    with path.open("wb") as file, closing(render(picture, chosen, footage, canvas, decoration, notes)) as composed:
        for _, drawn in composed:
            for plane in planes(drawn.frame):
                file.write(np.ascontiguousarray(plane).data)
            drawn.release()
    if notes.failures:
        raise RuntimeError(f"sources fail: {notes.failures}")
    return chosen


def frame_bytes(picture: Picture) -> int:
    """Of one frame of a composition."""
    return picture.canvas.width * picture.canvas.height * 3 // 2


def seconds(t: Fraction) -> float:
    """A time for FFmpeg, to the microsecond."""
    return round(float(t), 6)
