"""How far behind live a room is composed: lag at the end of each chunk, CPU and memory.

The journals of a room grow in real time, written by a process of its own without a network: receiving costs more, see
``ingest``. All streams are 720p30 with sound; the mix is 720p15.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from owtmix.demo.publisher import VideoCodec
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from tests.support.participant import make_clip
from tests.support.processes import descendants

SIZE: Final = (1280, 720)
KBPS: Final = 2500
NOISE: Final = 24
CLIP_S: Final = 8
LOOK_S: Final = 0.02
MIB: Final = 1 << 20
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_VIDEO: Final = {"Codec": "h264", "Width": 1280, "Height": 720, "Fps": 15, "BitRate": 1500}


def main(words: Sequence[str]) -> None:
    """Print what a live mix of some streams lags behind, and costs.

    Args:
        words: the command line, without the program.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab live_mix", description=__doc__)
    parser.add_argument("--streams", type=int, default=4, help="how many; 4 without")
    parser.add_argument("--seconds", type=float, default=300, help="of the room; 300 without")
    parser.add_argument("--codec", choices=("H264", "VP8"), default="H264", help="of the streams")
    parser.add_argument("--keep", type=Path, help="a folder for the room, which stays")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mkv"
        codec: VideoCodec = arguments.codec
        make_clip(clip, codec, SIZE, 30, CLIP_S, KBPS, NOISE)
        _measure(arguments.keep or Path(folder) / "room", clip, arguments.streams, arguments.seconds)


def _measure(room: Path, clip: Path, streams: int, seconds: float) -> None:
    room.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = {"TranscodingConfig": {"Video": _VIDEO}, "MixerConfig": {"MixedVideoLayout": 1}}
    (room / FINISH_FILE).write_bytes(FinishOptions("lab", data=data).to_json())
    journals = [str(room / "journals"), str(clip), str(streams), str(seconds)]
    player = subprocess.Popen([sys.executable, "-m", "tests.support.live_journals", *journals])
    with (room / "mix.log").open("w") as log:
        mixer = subprocess.Popen([sys.executable, "-m", "owtmix.live.mix", str(room)], stderr=log)
    told = list(_watch(room, player, mixer))
    ended = time.monotonic()
    (room / "live" / "stop").touch()
    status = mixer.wait()
    took_s = time.monotonic() - ended
    result = json.loads((room / "live" / "result.json").read_bytes()) if status == 0 else {}
    lags = [one["behind_s"] for one in told]
    cuts = quantiles(lags, n=20)
    print(f"{streams} streams, {len(told)} chunks; status {status}, file of {result.get('duration_s')} s")
    print(f"behind live at the end of a chunk: median {cuts[9]:.2f} s, 95% {cuts[18]:.2f} s, most {max(lags):.2f} s")
    print(f"finished {took_s:.1f} s after the end of the room")
    busy = [one["cpu_s"] for one in told]
    print(f"CPU of a second of the room: {(busy[-1] - busy[0]) / 2 / max(1, len(busy) - 1):.2f} s")
    tenth = max(1, len(told) // 10)
    tenths = [told[first : first + tenth] for first in range(0, len(told), tenth)]
    medians = [median(one["behind_s"] for one in part) for part in tenths]
    print(f"lag: {', '.join(f'{lag:.2f}' for lag in medians)} s, at each tenth")
    memory = ", ".join(f"{one['memory'] / MIB:.0f}" for one in told[::tenth])
    print(f"memory: {memory} MiB, at each tenth")
    print(f"warnings: {result.get('warnings')}")


def _watch(room: Path, player: subprocess.Popen[bytes], mixer: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """What the mix tells at each chunk, and what it has cost until then."""
    chunks = 0
    while player.poll() is None and mixer.poll() is None:
        time.sleep(LOOK_S)
        try:
            state = json.loads((room / "live" / "state.json").read_bytes())
        except (OSError, ValueError):
            continue
        if state["chunks"] > chunks:
            chunks = state["chunks"]
            yield state | _cost(mixer.pid)


def _cost(pid: int) -> dict[str, float]:
    """CPU time and memory of the mix and its workers."""
    cpu, memory = 0.0, 0
    for process in [pid, *descendants(pid)]:
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            cpu += (int(fields[11]) + int(fields[12])) / _TICKS
            memory += int(fields[21]) * _PAGE
    return {"cpu_s": cpu, "memory": memory}
