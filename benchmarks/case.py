"""Cases and engines: a scene ready to be composed, ways to compose it, and the lossless composition to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame

from benchmarks.measure import Cost
from benchmarks.scenes import SCENES, cut, make
from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.progress import NoProgress
from owtmix.compositor.factory import make_canvas, open_gpu
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.model import PicturePlan, RenderPlan, SoundPlan
from owtmix.produce.file_sources import FileSources
from owtmix.render.context import RenderContext
from owtmix.render.frames import Decoding, render_frames
from owtmix.render.results import RenderResult
from tests.support.sources import file_sources


@dataclass(frozen=True, slots=True)
class Case:
    """A scene, or its beginning, with its plan. An engine writes its files to the folder ``work``."""

    name: str
    cfg: Path
    index: Path
    plan: RenderPlan
    work: Path

    @property
    def picture(self) -> PicturePlan:
        assert self.plan.picture
        return self.plan.picture

    @property
    def sound(self) -> SoundPlan:
        assert self.plan.sound
        return self.plan.sound

    @property
    def paths(self) -> list[Path]:
        """The recordings, in the order of the plan's sources."""
        return [self.cfg.parent / source.key for source in self.plan.sources]

    @property
    def sources(self) -> FileSources:
        """Opens the recordings."""
        return file_sources(self.plan, self.paths)


@dataclass(frozen=True, slots=True)
class Made:
    """The output of an engine, its cost, and the engine's own report."""

    cost: Cost
    output: Path
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to compose. ``missing`` says why the engine cannot compose a case; it is empty where it can."""

    name: str
    compose: Callable[[Case], Made]
    missing: Callable[[Case], str] = lambda _: ""


def prepare(name: str, cache: Path, work: Path, seconds: float | None = None) -> Case:
    """The scene ``name``, or its first ``seconds``, planned by owtmix."""
    folder = make(name, cache).absolute()
    work.mkdir(parents=True, exist_ok=True)
    index = folder / f"{SCENES[name].job_id}.json"
    if seconds is not None:
        index = cut(index, seconds, work.absolute() / index.name)
    cfg = folder / "cfg.json"
    scratch = TemporaryPaths()
    try:
        job = Job(cfg, read_settings(settings_file()), Options(index=str(index), device="cpu"))
        plan = job.plan(NoProgress(), scratch)
    finally:
        scratch.remove_all()
    return Case(name, cfg, index, plan, work.absolute())


def composed(case: Case, frames: range, device: RenderDevice = CPU) -> Iterator[VideoFrame]:
    """The plan's ``frames`` as owtmix composes them; each frame is valid until the next one."""
    gpu, result = open_gpu(device), RenderResult()
    canvas = make_canvas(case.picture, gpu, device.memory_bytes)
    overlays = RenderContext(case.plan, case.sources, {}, device).overlays()
    decoding = Decoding(case.sources, gpu)
    with closing(render_frames(case.picture, frames, decoding, canvas, overlays, result)) as rendering:
        for _, rendered in rendering:
            yield rendered.frame
            rendered.release()
    if result.failures:
        raise RuntimeError(f"sources fail: {result.failures}")


def compose(case: Case, path: Path, frames: range | None = None) -> None:
    """Write ``frames``, or all frames of the plan, as raw yuv420p."""
    with path.open("wb") as file:
        for frame in composed(case, frames or range(case.picture.frames)):
            file.write(frame.to_ndarray().data)
