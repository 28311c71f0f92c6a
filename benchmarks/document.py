"""The part of ``docs/performance.md`` between its markers: the newest results, and the targets of speed beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.engines import GRAPH, INTERVALS, PLAIN
from benchmarks.lab import chunks, gpu_report, sweep
from benchmarks.results import borrowed, completed
from benchmarks.scenes import SCENES
from benchmarks.tables import best, fastest, floor_of, highest, middle, scene_table, target, targets_table

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN: Final = "<!-- results: written by python -m benchmarks plot -->"
END: Final = "<!-- end of results -->"
EMPTY: Final = "Nothing has been measured yet."
SIMULATED: Final = 16
MB_PER_MIB: Final = (1 << 20) / 1_000_000
EDGE: Final = 0.1
"""The first and the last part of a run are left out of the course of its memory."""

Document = Mapping[str, Any]


def written(page: str, newest: Path | None) -> str:
    """``page`` with the results of the newest file between its markers."""
    told = "\n\n".join(paragraphs(completed(newest), newest.name)) if newest else EMPTY
    between = f"{BEGIN}\n\n{told}\n\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: between, page, flags=re.DOTALL)


def paragraphs(document: Document, name: str) -> Iterator[str]:
    """All results in Markdown; ``name`` is that of the result file."""
    yield (
        f"`benchmarks/results/{name}`: commit `{document['commit']}` on {document['machine']}, Python "
        f"{document['python']}, FFmpeg {document['ffmpeg']}."
    )
    yield "### Targets"
    yield targets_table(list(targets(document)))
    if scenes := document.get("scenes", {}):
        yield "![CPU over the floor, and speed](performance.png)"
    for scene, found in scenes.items():
        yield f"### {scene}: {SCENES[scene].about}"
        rounds = max((len(one.get("rounds", ())) for one in found["engines"].values()), default=0)
        yield from borrowed(document, scene)
        ran = f"medians of {rounds} rounds" if rounds > 1 else "one round"
        yield f"{found['seconds']:g} s, {found['frames']} frames; {ran}."
        yield scene_table(found, document["cores"])
    for experiment in (chunks, sweep, gpu_report):
        yield from experiment.paragraphs(document)


def targets(document: Document) -> Iterator[Sequence[str]]:
    """The rows of all targets that the scenes have."""
    same, plain = (GRAPH, INTERVALS), (GRAPH + PLAIN, INTERVALS + PLAIN)
    for scene, above in (("grid4", 1.2), ("lively9", 1.17), ("crowd25", 1.2), ("lecture", 1.15)):
        ours = best(document, scene)
        floor_s = floor_of(document["scenes"][scene]) if ours else None
        yield target(f"{scene}: CPU / floor", _ratio(_median(ours, "cpu_s"), floor_s), most=above)
    yield target("grid4: times as fast as FFmpeg's graph", _times_as_fast(document, "grid4", (GRAPH,)), least=1.12)
    for scene, times in (("lively9", 1.55), ("crowd25", 1.5), ("onekey", 1)):
        about = f"{scene}: times as fast as FFmpeg's better way, same options"
        yield target(about, _times_as_fast(document, scene, same), least=times)
    for scene in ("grid4", "lively9", "crowd25", "lecture", "onekey"):
        yield target(f"{scene}: VMAF NEG above plain `-preset veryfast`", _above(document, scene, plain), least=-0.2)
    grid4, hour = best(document, "grid4"), best(document, "hour")
    for scene, ours in (("grid4", grid4), ("lively9", best(document, "lively9"))):
        busy = _ratio(_median(ours, "cpu_s"), _median(ours, "wall_s"))
        yield target(f"{scene}: cores busy", _ratio(busy, document["cores"]), least=0.9)
    for scene, ours in (("grid4", grid4), ("hour", hour)):
        process_mb = highest(ours["rounds"], "process_mib") * MB_PER_MIB if ours else None
        yield target(f"{scene}: MB of one process, 1080p", process_mb, most=350)
    growth = _growth(hour["course_mib"]) if hour else None
    yield target("hour: memory of the second half / first half", growth, most=1.05)
    starts = document.get("scenes", {}).get("grid4", {}).get("start_s")
    yield target("grid4: s of a whole job of one frame", median(starts) if starts else None, most=0.5)
    busy = chunks.busy(document, "hour", SIMULATED)
    yield target(f"hour: cores busy with {SIMULATED} workers, simulated", busy, least=0.9)


def _median(run: Document | None, key: str) -> float | None:
    return middle(run["rounds"], key) if run else None


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or not b else a / b


def _times_as_fast(document: Document, scene: str, engines: Sequence[str]) -> float | None:
    """How much faster owtmix is than the fastest of some engines."""
    peer = fastest(document, scene, engines.__contains__)
    return _ratio(_median(peer, "wall_s"), _median(best(document, scene), "wall_s"))


def _above(document: Document, scene: str, engines: Sequence[str]) -> float | None:
    """How much higher owtmix's VMAF NEG is than that of the fastest of some engines."""
    both = best(document, scene), fastest(document, scene, engines.__contains__)
    ours, peer = (run.get("vmaf_neg") if run else None for run in both)
    return None if ours is None or peer is None else float(ours - peer)


def _growth(course: Sequence[float]) -> float:
    """The highest memory in the second half of a run over that in the first."""
    edge = round(len(course) * EDGE)
    course = course[edge : len(course) - edge]
    half = len(course) // 2
    return float(max(course[half:]) / max(course[:half]))
