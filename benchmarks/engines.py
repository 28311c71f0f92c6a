"""Those who compose a case: this tool and its peers, each as the commands it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

from benchmarks import graph, peers
from benchmarks.case import Case, seconds
from benchmarks.engine import Engine, Made
from benchmarks.ffmpeg import program
from benchmarks.measurement import NOTHING, run

CORES: Final = os.cpu_count() or 1

Options = Literal["same", "plain"]


def engines(workers: Sequence[int], hisui: Path | None) -> list[Engine]:
    """All of them; this tool once for each number of ``workers``, where it takes one."""
    return [
        *(map(ours, workers) if takes("--workers") else [ours(None)]),
        Engine("ffmpeg graph", lambda case: _ffmpeg_graph(case, "same")),
        Engine("ffmpeg graph, plain veryfast", lambda case: _ffmpeg_graph(case, "plain")),
        Engine("ffmpeg intervals", lambda case: _ffmpeg_intervals(case, "same")),
        Engine("ffmpeg intervals, plain veryfast", lambda case: _ffmpeg_intervals(case, "plain")),
        peers.gstreamer(),
        peers.melt(),
        peers.hisui(hisui),
    ]


@cache
def takes(option: str) -> bool:
    """Whether this tool has an option."""
    said = subprocess.run([sys.executable, "-m", "owtmix", "--help"], capture_output=True, text=True, check=True)
    return option in said.stdout.replace("\n", " ").split()


def own_command(case: Case, output: Path, workers: int | None, device: str = "cpu") -> list[str]:
    """This tool's command for a case."""
    chosen = [] if workers is None else ["--workers", str(workers)]
    fresh = ["--fresh"] if takes("--fresh") else []
    names = ["--index", str(case.index), "--output", str(output)]
    command = [sys.executable, "-m", "owtmix", "--quiet", "--device", device]
    return [*command, *chosen, *fresh, *names, str(case.cfg)]


def ours(workers: int | None, device: str = "cpu") -> Engine:
    """This tool with a number of workers, or as it comes, on a device."""
    name = "owtmix" if workers is None else f"owtmix, {workers} worker{'s' if workers > 1 else ''}"
    name += "" if device == "cpu" else f", {device}"

    def compose(case: Case) -> Made:
        output = case.work / "owtmix.mp4"
        cost, said = run(own_command(case, output, workers, device), case.work)
        return Made(cost, output, json.loads(said))

    return Engine(name, compose)


def _ffmpeg_graph(case: Case, options: Options) -> Made:
    plan, output, script = case.plan, case.work / "ffmpeg-graph.mp4", case.work / "graph.txt"
    inputs = range(len(plan.sources))
    script.write_text(";\n".join([graph.whole_graph(plan, inputs), graph.sound_graph(plan, inputs)]), encoding="utf-8")
    command = [
        *(program(), "-hide_banner", "-nostdin", "-y", "-v", "error"),
        *(word for path in case.paths for word in ("-i", str(path))),
        *("-/filter_complex", str(script), "-map", "[picture]", "-map", "[sound]"),
        *("-frames:v", str(case.picture.frames), *_encoder(case, options), *_sound_encoder(case), str(output)),
    ]
    return Made(run(command, case.work)[0], output)


def _ffmpeg_intervals(case: Case, options: Options) -> Made:
    """A process for each layout, one after the other; one for the sound; one that joins them."""
    output = case.work / "ffmpeg-intervals.mp4"
    cost = NOTHING
    parts = []
    for number, frames in enumerate(graph.intervals(case.picture)):
        part = case.work / f"interval-{number}.mp4"
        cost = cost.then(run(_interval(case, frames, options, part), case.work)[0])
        parts.append(part)
    sound = case.work / "sound.mp4"
    cost = cost.then(run(_sound(case, sound), case.work)[0])
    listing = case.work / "parts.txt"
    listing.write_text("".join(f"file '{part}'\n" for part in parts), encoding="utf-8")
    join = [
        *(program(), "-nostdin", "-y", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(listing)),
        *("-i", str(sound), "-map", "0:v", "-map", "1:a", "-c", "copy", str(output)),
    ]
    return Made(cost.then(run(join, case.work)[0]), output)


def _interval(case: Case, frames: range, options: Options, part: Path) -> list[str]:
    shown = graph.placements(case.picture, frames)
    words = []
    leads = []
    start_s = case.picture.clock.time(frames.start)
    for placement in shown:
        source = case.plan.sources[placement.source]
        assert source.video
        file_s = start_s - placement.offset_s
        from_s = file_s - graph.file_start(source)
        lead_s = min(graph.lead_s(source.video, file_s), from_s)
        leads.append(lead_s)
        words += ["-ss", f"{seconds(from_s - lead_s)}", "-i", str(case.path(placement.source))]
    graph_text = graph.interval_graph(case.plan, frames, leads)
    return [
        *(program(), "-hide_banner", "-nostdin", "-y", "-v", "error", *words, "-filter_complex", graph_text),
        *("-map", "[picture]", "-frames:v", str(len(frames)), *_encoder(case, options), str(part)),
    ]


def _sound(case: Case, output: Path) -> list[str]:
    inputs = range(len(case.plan.sources))
    return [
        *(program(), "-hide_banner", "-nostdin", "-y", "-v", "error"),
        *(word for path in case.paths for word in ("-i", str(path))),
        *("-filter_complex", graph.sound_graph(case.plan, inputs), "-map", "[sound]"),
        *(*_sound_encoder(case), str(output)),
    ]


def _encoder(case: Case, options: Options) -> list[str]:
    """The plan's own x264 options, or only the preset that people take; FFmpeg's threads either way."""
    encoding = case.picture.encoding
    plain = {"preset": "veryfast"} | {key: value for key, value in encoding.options if key in {"maxrate", "bufsize"}}
    chosen = plain if options == "plain" else dict(encoding.options)
    words = [word for key, value in chosen.items() for word in (f"-{key}:v", value)]
    rate = ["-b:v", f"{encoding.bit_rate_kbps}k", "-g", str(encoding.gop)]
    return ["-c:v", encoding.encoder, *words, *rate, "-r", str(case.picture.clock.fps), "-pix_fmt", "yuv420p"]


def _sound_encoder(case: Case) -> list[str]:
    assert case.plan.sound
    encoding = case.plan.sound.encoding
    return ["-c:a", encoding.encoder, "-b:a", f"{encoding.bit_rate_kbps}k", "-ac", str(encoding.channels)]
