"""What ``docs/performance.md`` says of the newest results, between its markers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

from benchmarks.cards import card_paragraphs
from benchmarks.chunking import work_of
from benchmarks.results import completed
from benchmarks.scenes import SCENES
from benchmarks.simulation import WORKERS
from benchmarks.table import NOTHING, markdown, scene_table
from benchmarks.targets import serial_s, targets_table

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN: Final = "<!-- results: written by python -m benchmarks plot -->"
END: Final = "<!-- end of results -->"


EMPTY: Final = "Nothing has been measured yet."


def written(page: str, newest: Path | None) -> str:
    """``page`` with what the newest result file says between its markers."""
    said = results(completed(newest), newest.name) if newest else EMPTY
    between = f"{BEGIN}\n\n{said}\n\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: between, page, flags=re.DOTALL)


def results(document: Mapping[str, Any], name: str) -> str:
    """Everything that the results say, in Markdown."""
    return "\n\n".join(_paragraphs(document, name))


def _paragraphs(document: Mapping[str, Any], name: str) -> Iterator[str]:
    yield (
        f"`benchmarks/results/{name}`: commit `{document['commit']}` on {document['machine']}, Python "
        f"{document['python']}, FFmpeg {document['ffmpeg']}."
    )
    yield "### Targets"
    yield targets_table(document)
    scenes = document.get("scenes", {})
    if scenes:
        yield "![CPU over the floor, and speed](performance.png)"
    for scene, found in scenes.items():
        yield f"### {scene}: {SCENES[scene].about}"
        rounds = max((len(one.get("rounds", ())) for one in found["engines"].values()), default=0)
        yield from _borrowed(document, scene)
        ran = f"medians of {rounds} rounds" if rounds > 1 else "one round"
        yield f"{found['seconds']:g} s, {found['frames']} frames; {ran}."
        yield scene_table(found, document["cores"])
    yield from _simulated(document)
    if sweep := document.get("sweep", {}).get("x264"):
        yield "### x264: quality against time"
        yield from _borrowed(document, "sweep")
        yield f"{sweep['frames']} frames of `{sweep['scene']}`, encoded with one thread and the same rates and GOPs."
        yield "![VMAF against CPU seconds](sweep.png)"
        yield sweep_table(sweep)
    if cards := document.get("gpu"):
        yield from _borrowed(document, "gpu")
        yield from card_paragraphs(cards)


def _simulated(document: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for scene, found in document.get("chunks", {}).items():
        work = work_of(found, serial_s(document, scene))
        length_s = mean(chunk.made_s for chunk in work.chunks)
        joint_s = mean(chunk.joint_s for chunk in work.chunks[1:] or work.chunks)
        busy = [f"{work.busy(count):.2f}" for count in WORKERS]
        rows.append([scene, str(len(work.chunks)), f"{length_s:.1f}", f"{joint_s:.2f}", *busy])
    if rows:
        yield "### Chunks, and many workers simulated"
        yield from _borrowed(document, "chunks")
        yield (
            "CPU seconds of a chunk, and of beginning at one without having made the one before it (means). Then what "
            "part of their time so many workers, each with a core of its own, would do work that one worker had to do "
            "as well; what a run does before and after its chunks is counted."
        )
        columns = ("scene", "chunks", "CPU s", "joint CPU s", *(f"{count} workers" for count in WORKERS))
        yield markdown(columns, rows)


def _borrowed(document: Mapping[str, Any], part: str) -> Iterator[str]:
    if name := document.get("borrowed", {}).get(part):
        yield f"From `benchmarks/results/{name}`."


def sweep_table(sweep: Mapping[str, Any]) -> str:
    """The points, from the cheapest to the dearest."""
    found = sorted(sweep["points"].items(), key=lambda item: median(item[1]["cpu_s"]))
    rows = [
        (
            f"`{name}`",
            f"{median(point['cpu_s']):.2f}",
            *(NOTHING if point.get(key) is None else f"{point[key]:.2f}" for key in ("vmaf", "vmaf_neg")),
            f"{point['psnr_db']:.2f}",
            f"{point['bytes'] * 8 / 1000 / (sweep['frames'] / 15):.0f}",
        )
        for name, point in found
    ]
    return markdown(("options", "CPU s", "VMAF", "VMAF NEG", "PSNR dB", "kbit/s"), rows)
