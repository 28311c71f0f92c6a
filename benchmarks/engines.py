"""The engines: owtmix, and FFmpeg with two kinds of filter graphs, as commands; other compositors are in ``lab``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import ffmpeg_graphs
from benchmarks.case import Case, Engine, Made
from benchmarks.ffmpeg import program
from benchmarks.lab.peers import peers
from benchmarks.measure import run

GRAPH: Final = "ffmpeg graph"
INTERVALS: Final = "ffmpeg intervals"
PLAIN: Final = ", plain veryfast"


def engines(workers: Iterable[int], cache: Path) -> list[Engine]:
    """All engines; owtmix once for each number of ``workers``. What peers need is kept in ``cache``."""
    return [
        *map(owtmix, workers),
        Engine(GRAPH, partial(_graph, plain=False)),
        Engine(GRAPH + PLAIN, partial(_graph, plain=True)),
        Engine(INTERVALS, partial(_intervals, plain=False)),
        Engine(INTERVALS + PLAIN, partial(_intervals, plain=True)),
        *peers(cache),
    ]


def owtmix(workers: int, device: str = "cpu") -> Engine:
    """This checkout's owtmix with a number of workers, on a device."""

    def compose(case: Case) -> Made:
        output = case.work / "owtmix.mp4"
        command = [sys.executable, "-m", "owtmix", "--quiet", "--json", "--fresh", "--workers", str(workers)]
        command += ["--device", device, "--index", str(case.index), "--output", str(output), str(case.cfg)]
        cost, said = run([command], case.work)
        return Made(cost, output, json.loads(said))

    on = "" if device == "cpu" else f", {device}"
    return Engine(f"owtmix, {workers} worker{'s' if workers > 1 else ''}{on}", compose)


def _graph(case: Case, plain: bool) -> Made:
    """One command with one filter graph for everything."""
    output, script = case.work / "ffmpeg-graph.mp4", case.work / "graph.txt"
    graphs = [ffmpeg_graphs.whole_graph(case.plan), ffmpeg_graphs.sound_graph(case.plan)]
    script.write_text(";\n".join(graphs), encoding="utf-8")
    maps = ["-/filter_complex", str(script), "-map", "[picture]", "-map", "[sound]"]
    coding = ["-frames:v", str(case.picture.frames), *_encoder(case, plain), *_sound_encoder(case)]
    return Made(run([_ffmpeg(*_inputs(case), *maps, *coding, str(output))], case.work)[0], output)


def _intervals(case: Case, plain: bool) -> Made:
    """A command for each layout, one after the other; one for the sound; one that joins them."""
    output, sound, listing = (case.work / name for name in ("ffmpeg-intervals.mp4", "sound.mp4", "parts.txt"))
    layouts = ffmpeg_graphs.intervals(case.picture)
    parts = [case.work / f"interval-{number}.mp4" for number in range(len(layouts))]
    listing.write_text("".join(f"file '{part}'\n" for part in parts), encoding="utf-8")
    mix = ["-filter_complex", ffmpeg_graphs.sound_graph(case.plan), "-map", "[sound]", *_sound_encoder(case)]
    join = ["-f", "concat", "-safe", "0", "-i", str(listing), "-i", str(sound), "-map", "0:v", "-map", "1:a"]
    commands = [
        *(_interval(case, frames, plain, part) for frames, part in zip(layouts, parts, strict=True)),
        _ffmpeg(*_inputs(case), *mix, str(sound)),
        _ffmpeg(*join, "-c", "copy", str(output)),
    ]
    return Made(run(commands, case.work)[0], output)


def _interval(case: Case, frames: range, plain: bool, part: Path) -> list[str]:
    inputs: list[str] = []
    leads_s: list[Fraction] = []
    for placement in ffmpeg_graphs.placements(case.plan, frames):
        source = case.plan.sources[placement.source]
        assert source.video
        file_s = case.picture.clock.time(frames.start) - placement.offset_s
        from_s = file_s - ffmpeg_graphs.file_start(source)
        leads_s.append(min(ffmpeg_graphs.lead_s(source.video, file_s), from_s))
        inputs += ["-ss", f"{round(float(from_s - leads_s[-1]), 6)}", "-i", str(case.paths[placement.source])]
    graph = ffmpeg_graphs.interval_graph(case.plan, frames, leads_s)
    coding = ["-frames:v", str(len(frames)), *_encoder(case, plain)]
    return _ffmpeg(*inputs, "-filter_complex", graph, "-map", "[picture]", *coding, str(part))


def _ffmpeg(*arguments: str) -> list[str]:
    return [program(), "-hide_banner", "-nostdin", "-y", "-v", "error", *arguments]


def _inputs(case: Case) -> list[str]:
    return [word for path in case.paths for word in ("-i", str(path))]


def _encoder(case: Case, plain: bool) -> list[str]:
    """The plan's own x264 options, or only the usual preset; FFmpeg chooses the number of threads either way."""
    encoding = case.picture.encoding
    options = dict(encoding.options)
    if plain:
        options = {"preset": "veryfast", "maxrate": options["maxrate"], "bufsize": options["bufsize"]}
    words = [word for key, value in options.items() for word in (f"-{key}:v", value)]
    rate = ["-b:v", f"{encoding.bit_rate_kbps}k", "-g", str(encoding.gop), "-r", str(case.picture.clock.fps)]
    return ["-c:v", encoding.encoder, *words, *rate, "-pix_fmt", "yuv420p"]


def _sound_encoder(case: Case) -> Sequence[str]:
    encoding = case.sound.encoding
    return "-c:a", encoding.encoder, "-b:a", f"{encoding.bit_rate_kbps}k", "-ac", str(encoding.channels)
