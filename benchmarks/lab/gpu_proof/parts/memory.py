"""How much of the card's memory a context, canvases, decoders and a whole job take."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from functools import partial
from typing import Final

from benchmarks.lab.gpu_proof.card import Card, open_card, option_of
from benchmarks.lab.gpu_proof.films import made_films
from benchmarks.lab.gpu_proof.jobs import job_command, start
from benchmarks.lab.gpu_proof.scene_files import prepared_scene
from benchmarks.lab.gpu_proof.setting import Finding, Setting, tried, untried
from benchmarks.lab.gpu_timing import CANVASES, MEMORY
from benchmarks.measure import CORES
from owtmix.compositor.gpu.canvas import GpuCanvas
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.media.video_reader import VideoReader

READERS: Final = (1, 4, 9, 25)
EVERY_S: Final = 0.1
SCENE: Final = "crowd25"
PRETENDED_SCENE: Final = "grid4"


def run(setting: Setting) -> Iterator[Finding]:
    """Each on top of what was there before."""
    before_s = time.monotonic()
    card = open_card(setting)
    yield Finding("with a context", {"mib": card.used_mib(), "opened_s": time.monotonic() - before_s})
    yield Finding("gpu.memory_mib, the limit for a canvas", read_settings(settings_file()).gpu.memory_mib)
    for size in CANVASES:
        before = card.used_mib()
        canvas = GpuCanvas(card, MEMORY, size, (16, 128, 128), "bt709")
        yield Finding(f"frames of a canvas of {size}", {"mib": card.used_mib() - before})
        del canvas
    yield from _readers(card, setting)
    yield tried("a job", partial(_job, card, setting))
    if setting.pretend:
        yield untried("what a driver says of its memory")


def _readers(card: Card, setting: Setting) -> Iterator[Finding]:
    path = made_films(setting.work / "films", 1 if setting.pretend else 10)[0]
    before = card.used_mib()
    with ExitStack() as opened:
        count = 0
        for wanted in READERS[: 2 if setting.pretend else None]:
            while count < wanted:
                reader = opened.enter_context(closing(VideoReader(path, 0, card)))
                reader.frame_at(Fraction(0))
                count += 1
            yield Finding(f"{count} readers of 720p", {"mib": card.used_mib() - before, "by": reader.stats.decoders})


def _job(card: Card, setting: Setting) -> Finding:
    scene = PRETENDED_SCENE if setting.pretend else SCENE
    case = prepared_scene(scene, setting, "memory")
    before, most = card.used_mib(), 0
    job = start(job_command(case, option_of(setting), CORES, case.work / "out.mp4"))
    while job.poll() is None:
        most = max(most, card.used_mib() - before)
        try:
            job.wait(EVERY_S)
        except subprocess.TimeoutExpired:
            continue
    found = {"mib": most, "workers": CORES, "status": job.returncode}
    return Finding(f"{scene} as a job, at most", found, ok=job.returncode == 0)
