"""Hisui, the recording composer of Shiguredo, as an engine: its binary from its wheel, its layouts and its recordings.

It reads the recordings as VP9 and Opus in MP4. They are converted before, which is not measured. It makes VP9 with its
own settings, so that its quality and its bytes are its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from math import ceil
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

from benchmarks.case import Case, Engine, Made
from benchmarks.command_line import say
from benchmarks.ffmpeg import ffmpeg
from benchmarks.ffmpeg_graphs import is_steady, placements
from benchmarks.measure import CORES, run

VERSION: Final = "2026.1.0.dev0"
CPU_USED: Final = 4
"""The speed of converting the recordings."""
FETCH_S: Final = 300
"""The longest that fetching the wheel may take."""
_ANY_PYTHON: Final = (
    *("--pre", "--python-version", "3.12", "--platform", "manylinux_2_34_x86_64"),
    *("--only-binary", ":all:", "--no-deps"),
)
"""Of the wheel only the binary is used, so that it need not fit the Python at hand."""


def engine(folder: Path, binary: Path | None = None) -> Engine:
    """Hisui as an engine: ``binary``, or that of its wheel, which is kept in ``folder``."""
    return Engine("Hisui (VP9)", partial(_compose, folder, binary), partial(_missing, folder, binary))


def fetched(folder: Path) -> Path:
    """The binary in ``folder``, taken out of its wheel if it is not there yet.

    Raises:
        OSError, subprocess.SubprocessError: the wheel cannot be fetched.
    """
    binary = folder / f"hisui-{VERSION}"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as partial_folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *_ANY_PYTHON]
            command += ["--dest", partial_folder, f"hisui=={VERSION}"]
            subprocess.run(command, check=True, timeout=FETCH_S, stdin=subprocess.DEVNULL)
            (wheel,) = Path(partial_folder).glob("*.whl")
            extract(wheel, binary)
    return binary


def extract(wheel: Path, binary: Path) -> None:
    """Write the program in ``wheel`` to ``binary``, whole or not at all."""
    written = wheel.with_suffix(".binary")
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".data/scripts/hisui"))
        with archive.open(name) as program, written.open("wb") as file:
            shutil.copyfileobj(program, file)
    written.chmod(0o755)
    written.rename(binary)


def why_not(binary: Path) -> str:
    """Why a binary does not run on this machine, in one line; empty where it does."""
    try:
        done = subprocess.run([binary.absolute(), "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip().partition("\n")[0] or f"status {done.returncode}" if done.returncode else ""


@cache
def _unusable(folder: Path, binary: Path | None) -> str:
    try:
        reason = why_not(binary or fetched(folder))
    except (OSError, subprocess.SubprocessError) as error:
        say(f"Hisui cannot be fetched: {error}")
        return "cannot be fetched"
    if reason:
        say(f"Hisui does not run here: {reason}")
    return "does not run here" if reason else ""


def _missing(folder: Path, binary: Path | None, case: Case) -> str:
    """Why it cannot compose the case; empty where it can."""
    return _unusable(folder, binary) if is_steady(case.plan) else "layouts change"


def _compose(folder: Path, binary: Path | None, case: Case) -> Made:
    program = (binary or fetched(folder)).absolute()
    output, archive, layout = (case.work / name for name in ("hisui.mp4", "hisui", "hisui.json"))
    layout.write_text(json.dumps(layout_of(case, _convert(case, archive))), encoding="utf-8")
    command = [program, "compose", "-P", "-T", CORES, "-l", layout, "-o", output, archive]
    return Made(run([list(map(str, command))], case.work)[0], output)


def layout_of(case: Case, names: Sequence[str]) -> dict[str, Any]:
    """Hisui's layout file: a region for each tile; ``names`` are the metadata files of the plan's sources."""
    regions = {
        f"tile{number}": {
            "video_sources": [names[placement.source]],
            "x_pos": placement.rect.x,
            "y_pos": placement.rect.y,
            "width": placement.rect.width,
            "height": placement.rect.height,
            "border_pixels": 0,
        }
        for number, placement in enumerate(placements(case.plan))
    }
    return {
        "audio_sources": list(names),
        "audio_bitrate": case.sound.encoding.bit_rate_kbps * 1000,
        "video_codec": "VP9",
        "video_bitrate": case.picture.encoding.bit_rate_kbps * 1000,
        "video_layout": regions,
        "resolution": str(case.picture.canvas),
        "frame_rate": case.picture.clock.fps,
    }


def _convert(case: Case, archive: Path) -> list[str]:
    """Write the recordings and their metadata as Hisui reads them, once for a case; returns the metadata's names."""
    archive.mkdir(exist_ok=True)
    length_s = round(float(case.plan.duration_s), 6)
    vp9 = f"-c:v libvpx-vp9 -deadline realtime -cpu-used {CPU_USED} -crf 20 -b:v 0 -c:a libopus -ac 2".split()
    names = []
    for number, path in enumerate(case.paths):
        name = f"archive-{number}"
        media = archive / f"{name}.mp4"
        if not media.exists():
            ffmpeg(["-i", str(path), "-t", str(length_s), *vp9, str(media)])
        times = {"start_time_offset": 0, "stop_time_offset": ceil(length_s)}
        metadata = {"connection_id": name, "format": "mp4", "audio": True, "video": True} | times
        (archive / f"{name}.json").write_text(json.dumps(metadata), encoding="utf-8")
        names.append(f"{name}.json")
    return names
