"""Compositors other than FFmpeg beside owtmix: GStreamer, MLT and Hisui, on a scene whose layout stays the same.

None of them follows joins and leaves. ``python -m benchmarks`` runs them, too: Hisui from its wheel, the others where
they are installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import Final

from benchmarks.case import Case, Engine, Made
from benchmarks.command_line import new_parser, prepared
from benchmarks.compare import compare
from benchmarks.ffmpeg_graphs import is_steady, placements
from benchmarks.lab import hisui
from benchmarks.measure import CORES, run
from benchmarks.tables import scene_table

_BUFFER_S: Final = 0.01
"""The length of the sound buffers of GStreamer's mixer."""


def main(words: Sequence[str]) -> None:
    """Compose a scene with owtmix and with all peers."""
    from benchmarks.engines import owtmix  # which itself imports this module

    parser = new_parser("benchmarks.lab peers", description=__doc__)
    parser.add_argument("scene", nargs="?", default="grid4")
    parser.add_argument("--hisui", type=Path, metavar="FILE", help="another binary of Hisui than its wheel's")
    arguments = parser.parse_args(words)
    engines = [owtmix(CORES), *peers(arguments.cache, arguments.hisui)]
    with prepared(arguments.scene, arguments) as case:
        print(scene_table(compare(case, engines, arguments.rounds, judged=True), CORES))


def peers(cache: Path, binary: Path | None = None) -> list[Engine]:
    """The peers that the harness runs; what they need is kept in ``cache``. ``binary`` is another one of Hisui."""
    return [
        Engine("GStreamer compositor", _gstreamer, partial(_missing, "gst-launch-1.0")),
        Engine("MLT melt", _melt, partial(_missing, "melt")),
        hisui.engine(cache, binary),
    ]


def _missing(program: str, case: Case) -> str:
    """Why a program cannot compose the case; empty where it can."""
    if not shutil.which(program):
        return "not installed"
    return "" if is_steady(case.plan) else "layouts change"


def _gstreamer(case: Case) -> Made:
    """GStreamer's ``compositor`` with x264 at the plan's settings."""
    picture, encoding = case.picture, case.picture.encoding
    output, (preset, x264) = case.work / "gstreamer.mp4", _x264(case)
    rate = f"framerate={picture.clock.fps}/1"
    places, branches = "", ""
    for number, placement in enumerate(placements(case.plan)):
        name, rect = f"sink_{number}", placement.rect
        sides = {"xpos": rect.x, "ypos": rect.y, "width": rect.width, "height": rect.height}
        places += "".join(f" {name}::{side}={value}" for side, value in sides.items())
        branches += f"""
            uridecodebin uri={case.paths[placement.source].as_uri()} name=d{number}
            d{number}. ! queue ! videorate ! video/x-raw,{rate} ! mix.{name}
            d{number}. ! queue ! audioconvert ! audioresample ! sound."""
    # The buffer with which identity ends the stream is not sent itself.
    pipeline = f"""
        compositor name=mix background=black{places}
            ! video/x-raw,format=I420,width={picture.canvas.width},height={picture.canvas.height},{rate}
            ! identity eos-after={picture.frames + 1}
            ! x264enc bitrate={encoding.bit_rate_kbps} speed-preset={preset} option-string={x264}
            ! h264parse ! queue ! mp4mux name=mux ! filesink location={output.name}
        audiomixer name=sound ! audioconvert ! audio/x-raw,rate=48000,channels=2
            ! identity eos-after={ceil(picture.frames / picture.clock.fps / _BUFFER_S)}
            ! avenc_aac bitrate={case.sound.encoding.bit_rate_kbps * 1000} ! aacparse ! queue ! mux.
        {branches}"""
    return Made(run([["gst-launch-1.0", "-q", *pipeline.split()]], case.work)[0], output)


def _melt(case: Case) -> Made:
    """MLT's ``melt`` with its transition ``composite``, and x264 at the plan's settings."""
    picture, encoding, sound, (preset, x264) = case.picture, case.picture.encoding, case.sound.encoding, _x264(case)
    output, profile = case.work / "melt.mp4", case.work / "profile.txt"
    size = picture.canvas
    profile.write_text(
        f"description={case.name}\nframe_rate_num={picture.clock.fps}\nframe_rate_den=1\nwidth={size.width}\n"
        f"height={size.height}\nprogressive=1\nsample_aspect_num=1\nsample_aspect_den=1\n"
        f"display_aspect_num={size.width}\ndisplay_aspect_den={size.height}\n"
        f"colorspace={709 if picture.matrix == 'bt709' else 601}\n",
        encoding="utf-8",
    )
    last = f"out={picture.frames - 1}"
    tracks, transitions = ["color:black", last], ""
    for number, placement in enumerate(placements(case.plan), 1):
        rect, between = placement.rect, f"a_track=0 b_track={number} {last}"
        tracks += ["-track", str(case.paths[placement.source]), last]
        transitions += f" -transition composite geometry={rect.x}/{rect.y}:{rect.width}x{rect.height}:100"
        transitions += f" distort=1 progressive=1 {between} -transition mix sum=1 {between}"
    consumer = (
        f"-consumer avformat:{output.name} vcodec={encoding.encoder} preset={preset}"
        f" vb={encoding.bit_rate_kbps}k x264-params={x264}"
        f" acodec={sound.encoder} ab={sound.bit_rate_kbps}k real_time=-{CORES} threads=0"
    )
    command = ["melt", "-profile", str(profile), *tracks, *transitions.split(), *consumer.split()]
    return Made(run([command], case.work)[0], output)


def _x264(case: Case) -> tuple[str, str]:
    """The plan's preset, and its other options in the names that x264 itself uses."""
    options = dict(case.picture.encoding.options)
    rates = f"vbv-maxrate={options['maxrate'].removesuffix('k')}:vbv-bufsize={options['bufsize'].removesuffix('k')}"
    return options["preset"], f"{options['x264-params']}:{rates}:keyint={case.picture.encoding.gop}"
