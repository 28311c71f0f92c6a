"""Compositors other than FFmpeg beside owtmix: GStreamer, MLT and Hisui, on a scene whose layout stays the same.

None of them follows joins and leaves. ``python -m benchmarks`` runs GStreamer and MLT, too, where they are installed.
Hisui reads the recordings as VP9 and Opus in MP4. They are converted before, which is not measured. It makes VP9 with
its own settings, so that its quality and its bytes are its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Final

from benchmarks.case import Case, Engine, Made
from benchmarks.command_line import new_parser, prepared
from benchmarks.compare import compare
from benchmarks.ffmpeg import ffmpeg
from benchmarks.ffmpeg_graphs import is_steady, placements
from benchmarks.measure import CORES, run
from benchmarks.tables import scene_table

CPU_USED: Final = 4
"""The speed of converting the recordings for Hisui."""
_BUFFER_S: Final = 0.01
"""The length of the sound buffers of GStreamer's mixer."""


def main(words: Sequence[str]) -> None:
    """Compose a scene with owtmix and with all peers."""
    from benchmarks.engines import owtmix  # which itself imports this module

    parser = new_parser("benchmarks.lab peers", description=__doc__)
    parser.add_argument("scene", nargs="?", default="grid4")
    parser.add_argument("--hisui", type=Path, metavar="FILE", help="the binary of Hisui")
    arguments = parser.parse_args(words)
    engines = [owtmix(CORES), *ENGINES, *([hisui(arguments.hisui)] if arguments.hisui else [])]
    with prepared(arguments.scene, arguments) as case:
        print(scene_table(compare(case, engines, arguments.rounds, judged=True), CORES))


def hisui(binary: Path) -> Engine:
    """Hisui as an engine."""

    def compose(case: Case) -> Made:
        output, archive, layout = (case.work / name for name in ("hisui.mp4", "hisui", "hisui.json"))
        layout.write_text(json.dumps(layout_of(case, _convert(case, archive))), encoding="utf-8")
        command = [binary, "compose", "-P", "-T", CORES, "-l", layout, "-o", output, archive]
        return Made(run([list(map(str, command))], case.work)[0], output)

    return Engine("Hisui (VP9)", compose, lambda case: "" if is_steady(case.plan) else "layouts change")


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


ENGINES: Final = (
    Engine("GStreamer compositor", _gstreamer, partial(_missing, "gst-launch-1.0")),
    Engine("MLT melt", _melt, partial(_missing, "melt")),
)
"""The peers that the harness runs."""
