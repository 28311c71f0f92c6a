"""The cost of each chunk of a scene, and how busy many workers would be with them.

Each chunk is made in this process, one after the other. Then workers are simulated from these costs, as a machine has
only so many cores: they take chunks from owtmix's own agenda, and do not slow each other down in caches and memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from statistics import mean
from typing import Any, Final

from benchmarks.case import Case
from benchmarks.command_line import keep, new_parser, prepared, say
from benchmarks.results import borrowed
from benchmarks.tables import best, markdown
from owtmix.plan.costs import chunk_costs, mixing_cost
from owtmix.render.audio_mix import mix
from owtmix.render.audio_track import make_audio_track
from owtmix.render.context import RenderContext
from owtmix.render.video_track import VideoTrackMaker
from owtmix.workers.queues import RunQueue

SCENES: Final = ("lively9", "onekey", "hour")
WORKERS: Final = (1, 2, 4, 8, 12, 16)


def main(words: Sequence[str]) -> None:
    """Measure the chunks of scenes."""
    parser = new_parser("benchmarks.lab chunks", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"{', '.join(SCENES)} without")
    arguments = parser.parse_args(words)
    for name in arguments.scenes or SCENES:
        with prepared(name, arguments) as case:
            found = measure(case)
        busy = ", ".join(f"{work_of(found).busy(count):.2f} of {count}" for count in WORKERS)
        print(f"{name}: {len(found['made_s'])} chunks, {sum(found['made_s']):.1f} CPU s, workers busy: {busy}")
        keep(arguments, "chunks", name, found)


def measure(case: Case) -> dict[str, Any]:
    """CPU seconds of every chunk, of the sound, and of starting at a chunk without having made the one before it.

    ``costs`` and ``mixing_cost`` are what the plan takes them for, by which owtmix shares them out.
    """
    track = case.work / "chunk.mp4"
    made_s = []
    maker = VideoTrackMaker(RenderContext(case.plan, case.sources, {}), threads=1)
    for frames in case.picture.chunks:
        begun_s = time.process_time()
        maker.make(frames, track, lambda _: None)
        made_s.append(round(time.process_time() - begun_s, 3))
        say(f"chunk {len(made_s)} of {len(case.picture.chunks)}: {made_s[-1]:.2f} CPU s")
    maker.close()
    first_s = [_first_frame_s(case, frames.start) for frames in case.picture.chunks]
    sound = case.plan.sound
    assert sound
    begun_s = time.process_time()
    for _ in mix(sound.placements, case.sources, sound.samples):
        pass
    mixing_s = round(time.process_time() - begun_s, 3)
    begun_s = time.process_time()
    make_audio_track(case.plan, case.sources, track, lambda _: None, lambda _: None)
    encoding_s = round(time.process_time() - begun_s - mixing_s, 3)
    track.unlink()
    return {
        "made_s": made_s,
        # The first chunk starts where the recordings do, so that it has no joint: only what others take more is one.
        "joints_s": [max(0.0, round(s - first_s[0], 3)) for s in first_s],
        "mixing_s": mixing_s,
        "encoding_s": max(0.0, encoding_s),
        "costs": [round(chunk_costs(case.plan)[frames] / 1e6) for frames in case.picture.chunks],
        "mixing_cost": round(mixing_cost(case.plan) / 1e6),
    }


def _first_frame_s(case: Case, frame: int) -> float:
    """CPU seconds of a chunk of one frame, by a maker that has made nothing before it."""
    begun_s = time.process_time()
    maker = VideoTrackMaker(RenderContext(case.plan, case.sources, {}), threads=1)
    maker.make(range(frame, frame + 1), case.work / "begun.mp4", lambda _: None)
    maker.close()
    return time.process_time() - begun_s


@dataclass(frozen=True, slots=True)
class Chunk:
    """CPU seconds of a chunk for the worker that made the one before it, and how many more for any other worker.

    ``cost`` is what the plan takes it for.
    """

    number: int
    made_s: float
    joint_s: float
    cost: float


@dataclass(frozen=True, slots=True)
class Sound:
    """CPU seconds of mixing, and of encoding at the same time; ``cost`` is what the plan takes mixing for."""

    mixing_s: float = 0.0
    encoding_s: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a job: the chunks, the sound, ``measuring_s`` that all share, and ``serial_s`` that none share."""

    chunks: Sequence[Chunk]
    sound: Sound = Sound()
    measuring_s: float = 0.0
    serial_s: float = 0.0

    @property
    def least_s(self) -> float:
        """CPU seconds of one worker that makes everything, without a joint."""
        made_s = sum(chunk.made_s for chunk in self.chunks)
        return self.serial_s + self.measuring_s + self.sound.mixing_s + self.sound.encoding_s + made_s

    def wall_s(self, workers: int) -> float:
        """Simulated seconds of the job when each worker has a core of its own; the sound is made first.

        Encoding the sound takes the core of the second worker, or of the only one.
        """
        runs: RunQueue[Any] = RunQueue(self.chunks, workers, lambda _: True, lambda chunk: chunk.cost, self.sound.cost)
        runs.claim(0)
        busy_s = [0.0] * workers
        busy_s[0] += self.sound.mixing_s
        busy_s[1 % workers] += self.sound.encoding_s
        free = [(spent_s, worker) for worker, spent_s in enumerate(busy_s)]
        heapify(free)
        made: dict[int, int] = {}
        done_s = max(free)[0]
        while runs:
            now_s, worker = heappop(free)
            chunk = runs.take(worker)
            assert chunk is not None  # all of them are ready
            follows = made.get(worker) == chunk.number - 1
            now_s += chunk.made_s + (0 if follows else chunk.joint_s)
            made[worker] = chunk.number
            done_s = max(done_s, now_s)
            heappush(free, (now_s, worker))
        return self.serial_s + self.measuring_s / workers + done_s

    def busy(self, workers: int) -> float:
        """The least CPU seconds over those of all workers' cores, 0..1."""
        return self.least_s / (workers * self.wall_s(workers))


def work_of(found: Mapping[str, Any], measuring_s: float = 0.0, serial_s: float = 0.0) -> Work:
    """The work to simulate, from the results of ``measure``."""
    measured = enumerate(zip(found["made_s"], found["joints_s"], found["costs"], strict=True))
    chunks = [Chunk(number, *one) for number, one in measured]
    return Work(chunks, Sound(found["mixing_s"], found["encoding_s"], found["mixing_cost"]), measuring_s, serial_s)


def busy(document: Mapping[str, Any], scene: str, workers: int) -> float | None:
    """How busy the workers would be with a scene of a result file; None where its chunks were not measured."""
    found = _complete(document).get(scene)
    return work_of(found, *_around(document, scene)).busy(workers) if found else None


def _complete(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The chunks of each scene that were measured together with the parts of the sound."""
    return {scene: found for scene, found in document.get("chunks", {}).items() if "mixing_s" in found}


def _around(document: Mapping[str, Any], scene: str) -> tuple[float, float]:
    """What a run of a scene does before and after its chunks; 0 where it was not measured.

    First the CPU seconds of measuring the recordings, which keeps all cores busy, then the seconds of everything else.
    """
    stages = (best(document, scene) or {}).get("stages", {})
    others_s = sum(spent_s for stage, spent_s in stages.items() if stage not in {"planning", "composing"})
    return stages.get("planning", 0.0) * document.get("cores", 1), others_s


def paragraphs(document: Mapping[str, Any]) -> Iterator[str]:
    """The section of ``docs/performance.md``."""
    rows = []
    for scene, found in _complete(document).items():
        work = work_of(found, *_around(document, scene))
        length_s = mean(chunk.made_s for chunk in work.chunks)
        joint_s = mean(chunk.joint_s for chunk in work.chunks[1:] or work.chunks)
        shares = [f"{work.busy(count):.2f}" for count in WORKERS]
        rows.append([scene, str(len(work.chunks)), f"{length_s:.1f}", f"{joint_s:.2f}", *shares])
    if rows:
        yield "### Chunks, and many workers simulated"
        yield from borrowed(document, "chunks")
        yield (
            "CPU seconds of a chunk, and of beginning at one without having made the one before it (means). Then what "
            "part of their time so many workers, each with a core of its own, would do work that one worker had to do "
            "as well. What a run does before and after its chunks is counted; all share the measuring of recordings."
        )
        columns = ("scene", "chunks", "CPU s", "joint CPU s", *(f"{count} workers" for count in WORKERS))
        yield markdown(columns, rows)
