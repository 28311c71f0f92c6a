"""``crowd25`` and ``grid4`` whole: on the CPU, on the card, and by FFmpeg, all on the same cores."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Final

from benchmarks.case import Case
from benchmarks.engines import GRAPH, engines, owtmix
from benchmarks.lab.gpu import CHUNK_FRAMES, composing
from benchmarks.lab.gpu_proof.card import device_of, option_of
from benchmarks.lab.gpu_proof.jobs import told
from benchmarks.lab.gpu_proof.scene_files import prepared_scene
from benchmarks.lab.gpu_proof.setting import Finding, Setting, tried, untried
from benchmarks.measure import CORES, CommandError
from owtmix.plan.device import CPU

SCENES: Final = ("crowd25", "grid4")
ROUNDS: Final = 3
SHARE: Final = 0.45
"""Of the part's time, that the rounds of one scene may take."""
COMPOSED_TIMES: Final = 10.0
FFMPEG_TIMES: Final = 2.0
LAST_LINES: Final = 3
"""Of what a command that fails has said."""
NAMED: Final = "IMAGEIO_FFMPEG_EXE"
"""The environment variable that names FFmpeg's program."""


def run(setting: Setting) -> Iterator[Finding]:
    """Each scene: decoding and composing alone, then whole jobs in turn."""
    if program := shutil.which("ffmpeg"):
        os.environ.setdefault(NAMED, program)
    for name in SCENES:
        start = time.monotonic()
        case = prepared_scene(name, setting, f"jobs-{name}")
        yield Finding(f"{name} made", {"seconds": float(case.plan.duration_s), "took_s": time.monotonic() - start})
        yield tried(f"{name} decoded and composed", partial(_composed, name, case, setting))
        yield from _jobs(name, case, setting)
    if setting.pretend:
        yield untried("--device cuda of whole jobs, which ran with --device cpu instead")


def _composed(name: str, case: Case, setting: Setting) -> Finding:
    frames = range(min(CHUNK_FRAMES, case.picture.frames))
    rounds, seconds = 1 if setting.pretend else ROUNDS, []
    for device in (CPU, device_of(setting)):
        composing(case, device, range(1))  # before the clock: the context is made, and the kernel compiled
        seconds.append(median(composing(case, device, frames) for _ in range(rounds)))
    on_cpu, on_card = seconds
    found = {"frames": len(frames), "cpu_s": on_cpu, "card_s": on_card, "times": on_cpu / on_card}
    judged = name == SCENES[0] and not setting.pretend
    return Finding(f"{name} decoded and composed", found, ok=on_cpu / on_card >= COMPOSED_TIMES if judged else None)


def _jobs(name: str, case: Case, setting: Setting) -> Iterator[Finding]:
    compared = {"cpu": owtmix(CORES), "card": owtmix(CORES, option_of(setting))}
    if os.environ.get(NAMED) or find_spec("imageio_ffmpeg"):
        compared["ffmpeg"] = next(engine for engine in engines([], case.work) if engine.name == GRAPH)
    else:
        yield Finding(f"{name} by FFmpeg", f"not run: no ffmpeg in PATH, none named by {NAMED}, no imageio-ffmpeg")
    end_s, walls = time.monotonic() + SHARE * setting.limit_s, dict[str, list[float]]()
    for number in range(1 if setting.pretend else ROUNDS):
        if number and time.monotonic() > end_s:
            break
        for kind, engine in list(compared.items()):
            try:
                made = engine.compose(case)
            except (CommandError, OSError, ImportError) as error:
                said = str(error).splitlines()[-LAST_LINES:]
                yield Finding(f"{name} by {engine.name}", {"fails": said}, ok=False)
                del compared[kind]
                continue
            cost = {"wall_s": made.cost.wall_s, "cpu_s": made.cost.cpu_s, "mib": made.cost.tree_mib}
            walls.setdefault(kind, []).append(made.cost.wall_s)
            facts = told(made.report, made.output) if made.report and not number else {}
            device = "cpu" if kind == "cpu" else option_of(setting)
            right = (facts["frames"], facts["composed_on"]) == (case.picture.frames, [device]) if facts else None
            yield Finding(f"{name} by {engine.name}", cost | facts, ok=right)
            made.output.unlink()
    yield from _ratios(name, {kind: median(times) for kind, times in walls.items()}, judged=not setting.pretend)


def _ratios(name: str, walls: dict[str, float], *, judged: bool) -> Iterator[Finding]:
    if {"cpu", "card"} <= walls.keys():
        yield Finding(f"{name} on the card: times as fast as on the CPU", walls["cpu"] / walls["card"])
    if {"ffmpeg", "card"} <= walls.keys():
        times = walls["ffmpeg"] / walls["card"]
        ok = times >= FFMPEG_TIMES if judged and name == SCENES[0] else None
        yield Finding(f"{name} on the card: times as fast as FFmpeg", times, ok)
