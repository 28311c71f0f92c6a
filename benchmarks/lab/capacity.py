"""How many jobs a card carries, by the model of ``owtmix/batch/capacity.py``, and its rates measured by one job alone.

Without ``--measure`` the table of all models is printed. With it a job runs alone on the first card, whose engines are
asked for every second how busy they are, and the rates go to the state folder, where ``owt-batch`` finds them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import av

from benchmarks.command_line import say
from benchmarks.tables import markdown
from owtmix.batch.capacity import ASSUMED, MeasuredRun, Rates, Room, calibrated, capacity_of
from owtmix.batch.card_rates import write_rates
from owtmix.jobs.state import state_folder
from owtmix.workers.card_list import ListedCard, NoAnswerError, ask_driver, list_cards
from owtmix.workers.card_models import MODELS, model_of

ROOMS: Final = {
    "4 x 720p30, 720p15": Room(4),
    "9 x 720p30, 1080p30": Room(9, output_px=1920 * 1080, output_fps=30),
    "25 x 360p15, 1080p15": Room(25, stream_px=640 * 360, stream_fps=15, output_px=1920 * 1080),
}
CORES: Final = 16
"""For each card."""
MEMORY_MIB: Final = 24_000
EVERY_S: Final = 1.0
BUSY: Final = "utilization.decoder,utilization.encoder"


def main(words: Sequence[str]) -> None:
    """Print the table, or measure a card."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lab capacity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--measure", type=Path, metavar="CFG", help="run this job alone on a card; nothing else may run"
    )
    parser.add_argument("--state", type=Path, metavar="FOLDER", help="the state folder, as owt-batch has it")
    arguments = parser.parse_args(words)
    if arguments.measure is None:
        print("\n\n".join(tables()))
        return
    found = list_cards()
    if not found.cards:
        sys.exit(f"no card can be measured: {found.why}")
    card = found.cards[0]
    rates = measure(card, arguments.measure)
    path = write_rates(arguments.state or state_folder(), model_of(card.name).name, rates)
    print(f"{card.name}: {rates}\nkept in {path}")


def tables() -> Iterator[str]:
    """A table for each kind of room."""
    for name, room in ROOMS.items():
        rows = []
        for model in MODELS:
            carried = capacity_of(model, MEMORY_MIB, CORES, room)
            rows.append([model.name, str(carried.jobs), f"{carried.speed:.0f}", carried.bound])
        heading = f"{name}; {CORES} cores and {MEMORY_MIB:,} MiB for each card; rates are assumptions"
        yield f"{heading}\n\n" + markdown(("card", "jobs at once", "x real time, all", "bound by"), rows)


def measure(card: ListedCard, job: Path) -> Rates:
    """The rates of a card, by one job that runs alone on it, anew and with one worker."""
    command = [sys.executable, "-m", "owtmix", "--json", "--quiet", "--fresh", "--workers=1", "--device=cuda", str(job)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": card.uuid}
    begun_s, before = time.monotonic(), os.times()
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, env=environment) as process:
        busy = list(samples(lambda: process.poll() is None, lambda: ask_driver(BUSY, f"--id={card.uuid}")))
        said.seek(0)
        text = said.read()
    after = os.times()
    if process.returncode:
        sys.exit(f"the job failed with status {process.returncode}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    wall_s = time.monotonic() - begun_s
    report = json.loads(text)
    room = room_of(report, size_of(report["output"]))
    say(f"{report['duration_s']:.1f} s of output in {wall_s:.1f} s, {cpu_s:.1f} CPU s; {room}")
    return rates_from(card, room, report["duration_s"], wall_s, busy, cpu_s)


def samples(
    runs: Callable[[], bool], look: Callable[[], str], pause: Callable[[float], None] = time.sleep
) -> Iterator[tuple[float, float]]:
    """How busy the decoders and encoders are, 0..1, every second while a job runs."""
    while runs():
        try:
            decoders, encoders = look().strip().split(",")
            yield float(decoders) / 100, float(encoders) / 100
        except (NoAnswerError, ValueError):
            pass
        pause(EVERY_S)


def rates_from(
    card: ListedCard, room: Room, output_s: float, wall_s: float, busy: Sequence[tuple[float, float]], cpu_s: float
) -> Rates:
    """The rates that explain a job which made ``output_s`` of ``room``."""
    decoders, encoders = (fmean(values) for values in zip(*busy, strict=True)) if busy else (None, None)
    run = MeasuredRun(output_s, wall_s, decoders, encoders, cpu_s)
    return calibrated(ASSUMED, model_of(card.name), room, run)


def room_of(report: Mapping[str, Any], output_px: int) -> Room:
    """What a job was to the card: recordings that are shown as long as they are used, in their first size."""
    streams = pixels = frames = 0.0
    for entry in report["inputs"]:
        if (picture := entry["picture"]) and picture["used_to_s"]:
            width, height = map(int, picture["sizes"][0].split("x"))
            shown = picture["used_to_s"] - max(0.0, picture["span"]["start"])
            rate_hz = picture["rates_hz"][1]
            streams += shown
            frames += shown * rate_hz
            pixels += shown * rate_hz * width * height
    duration_s = report["duration_s"]
    if not frames:
        return Room(0, output_px=output_px, output_fps=report["frames"] / duration_s)
    return Room(streams / duration_s, pixels / frames, frames / streams, output_px, report["frames"] / duration_s)


def size_of(output: str) -> int:
    """Pixels of the picture of a file."""
    with av.open(output) as container:
        picture = container.streams.video[0]
        return picture.width * picture.height
