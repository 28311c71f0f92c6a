"""Compositors other than FFmpeg's command, for layouts that stay as they are: none of them follows joins and leaves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Final

from benchmarks.case import Case, seconds
from benchmarks.engine import Engine, Made
from benchmarks.ffmpeg import ffmpeg
from benchmarks.graph import Placement, placements, target
from benchmarks.measurement import run
from owtmix.base.geometry import Rect

HISUI_CPU_USED: Final = 4
"""How fast the recordings are turned into what Hisui reads, which is not measured."""

_BUFFER_S: Final = 0.01
"""How much sound GStreamer's mixer gives at once."""


def gstreamer() -> Engine:
    """GStreamer's ``compositor`` with x264 at the plan's settings."""
    return Engine("GStreamer compositor", _gstreamer, lambda case: _absent("gst-launch-1.0") or _lively(case))


def melt() -> Engine:
    """MLT's ``melt`` with its transition ``composite``, and x264 at the plan's settings."""
    return Engine("MLT melt", _melt, lambda case: _absent("melt") or _lively(case))


def hisui(binary: Path | None) -> Engine:
    """Hisui: of the recordings as VP9 and Opus in MP4, which it reads, it makes VP9 with its own settings."""

    def missing(case: Case) -> str:
        return "not given" if binary is None else _lively(case)

    def compose(case: Case) -> Made:
        assert binary
        return _hisui(binary, case)

    return Engine("Hisui (VP9)", compose, missing)


def _absent(program: str) -> str:
    return "" if shutil.which(program) else "not installed"


def _lively(case: Case) -> str:
    steady = all(placement.frames == range(case.picture.frames) for placement in placements(case.picture))
    return "" if steady else "layouts change"


def _shown(case: Case) -> list[tuple[Placement, Rect]]:
    return [(placement, target(case.plan, placement)[1]) for placement in placements(case.picture)]


def _x264(case: Case) -> Mapping[str, str]:
    """The plan's options, one by one, in the names that x264 itself uses; the preset apart."""
    options = dict(case.picture.encoding.options)
    pairs = dict(pair.split("=") for pair in options["x264-params"].split(":"))
    rates = {"vbv-maxrate": options["maxrate"].removesuffix("k"), "vbv-bufsize": options["bufsize"].removesuffix("k")}
    return pairs | rates | {"keyint": str(case.picture.encoding.gop)}


def _gstreamer(case: Case) -> Made:
    picture, sound = case.picture, case.plan.sound
    assert sound
    output = case.work / "gstreamer.mp4"
    rate = f"framerate={picture.clock.fps}/1"
    places = []
    branches = []
    for number, (placement, rect) in enumerate(_shown(case)):
        sides = {"xpos": rect.x, "ypos": rect.y, "width": rect.width, "height": rect.height}
        places += [f"sink_{number}::{side}={value}" for side, value in sides.items()]
        branches += [
            *("uridecodebin", f"uri=file://{case.path(placement.source)}", f"name=d{number}"),
            *(f"d{number}.", "!", "queue", "!", "videorate", "!", f"video/x-raw,{rate}", "!", f"mix.sink_{number}"),
            *(f"d{number}.", "!", "queue", "!", "audioconvert", "!", "audioresample", "!", "sound."),
        ]
    size = f"width={picture.canvas.width},height={picture.canvas.height}"
    x264 = [
        *("x264enc", f"bitrate={picture.encoding.bit_rate_kbps}"),
        f"speed-preset={dict(picture.encoding.options)['preset']}",
        f"option-string={':'.join(f'{key}={value}' for key, value in _x264(case).items())}",
    ]
    ended = ["identity", f"eos-after={picture.frames + 1}"]  # which is not sent itself
    aac = ["avenc_aac", f"bitrate={sound.encoding.bit_rate_kbps * 1000}", "!", "aacparse", "!", "queue"]
    command = [
        *("gst-launch-1.0", "-q", "compositor", "name=mix", "background=black", *places, "!"),
        *(f"video/x-raw,format=I420,{size},{rate}", "!", *ended, "!", *x264, "!", "h264parse", "!", "queue", "!"),
        *("mp4mux", "name=mux", "!", "filesink", f"location={output}"),
        *("audiomixer", "name=sound", "!", "audioconvert", "!", "audio/x-raw,rate=48000,channels=2", "!"),
        *("identity", f"eos-after={ceil(picture.frames / picture.clock.fps / _BUFFER_S)}", "!"),
        *(*aac, "!", "mux.", *branches),
    ]
    return Made(run(command, case.work)[0], output)


def _melt(case: Case) -> Made:
    picture, sound = case.picture, case.plan.sound
    assert sound
    output, profile = case.work / "melt.mp4", case.work / "profile.txt"
    profile.write_text("".join(f"{key}={value}\n" for key, value in _profile(case).items()), encoding="utf-8")
    last = picture.frames - 1
    tracks = ["color:black", f"out={last}"]
    transitions = []
    for number, (placement, rect) in enumerate(_shown(case), 1):
        tracks += ["-track", str(case.path(placement.source)), f"out={last}"]
        place = [f"geometry={rect.x}/{rect.y}:{rect.width}x{rect.height}:100", "distort=1", "progressive=1"]
        transitions += ["-transition", "composite", "a_track=0", f"b_track={number}", *place, f"out={last}"]
        transitions += ["-transition", "mix", "a_track=0", f"b_track={number}", "sum=1", f"out={last}"]
    encoding = picture.encoding
    params = ":".join(f"{key}={value}" for key, value in _x264(case).items())
    options = {
        "vcodec": encoding.encoder,
        "preset": dict(encoding.options)["preset"],
        "vb": f"{encoding.bit_rate_kbps}k",
        "x264-params": params,
        "acodec": sound.encoding.encoder,
        "ab": f"{sound.encoding.bit_rate_kbps}k",
        "real_time": f"-{os.cpu_count() or 1}",
        "threads": "0",
    }
    consumer = ["-consumer", f"avformat:{output}", *(f"{key}={value}" for key, value in options.items())]
    cost, _ = run(["melt", "-profile", str(profile), *tracks, *transitions, *consumer], case.work)
    return Made(cost, output)


def _profile(case: Case) -> Mapping[str, str | int]:
    size, fps = case.picture.canvas, case.picture.clock.fps
    return {
        "description": case.name,
        "frame_rate_num": fps,
        "frame_rate_den": 1,
        "width": size.width,
        "height": size.height,
        "progressive": 1,
        "sample_aspect_num": 1,
        "sample_aspect_den": 1,
        "display_aspect_num": size.width,
        "display_aspect_den": size.height,
        "colorspace": 709 if case.picture.matrix == "bt709" else 601,
    }


def _hisui(binary: Path, case: Case) -> Made:
    output = case.work / "hisui.mp4"
    archive = case.work / "hisui"
    layout = case.work / "hisui.json"
    layout.write_text(json.dumps(hisui_layout(case, _archived(case, archive))), encoding="utf-8")
    cores = str(os.cpu_count() or 1)
    command = [str(binary), "compose", "-P", "-T", cores, "-l", str(layout), "-o", str(output), str(archive)]
    return Made(run(command, case.work)[0], output)


def hisui_layout(case: Case, names: Sequence[str]) -> dict[str, Any]:
    """A layout file of Hisui's: a region for each tile; ``names`` are of the metadata files of the plan's sources."""
    regions = {
        f"tile{number}": {
            "video_sources": [names[placement.source]],
            "x_pos": rect.x,
            "y_pos": rect.y,
            "width": rect.width,
            "height": rect.height,
            "border_pixels": 0,
        }
        for number, (placement, rect) in enumerate(_shown(case))
    }
    assert case.plan.sound
    return {
        "audio_sources": list(names),
        "audio_bitrate": case.plan.sound.encoding.bit_rate_kbps * 1000,
        "video_codec": "VP9",
        "video_bitrate": case.picture.encoding.bit_rate_kbps * 1000,
        "video_layout": regions,
        "resolution": str(case.picture.canvas),
        "frame_rate": case.picture.clock.fps,
    }


def _archived(case: Case, archive: Path) -> list[str]:
    """The recordings and their metadata as Hisui reads them, made once for a case; returns the metadata's names."""
    archive.mkdir(exist_ok=True)
    names = []
    length_s = seconds(case.plan.duration_s)
    vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", str(HISUI_CPU_USED), "-crf", "20", "-b:v", "0"]
    for number, path in enumerate(case.paths):
        name = f"archive-{number}"
        media = archive / f"{name}.mp4"
        if not media.exists():
            ffmpeg(["-i", str(path), "-t", str(length_s), *vp9, "-c:a", "libopus", "-ac", "2", str(media)])
        metadata = {
            "connection_id": name,
            "format": "mp4",
            "audio": True,
            "video": True,
            "start_time_offset": 0,
            "stop_time_offset": ceil(length_s),
        }
        (archive / f"{name}.json").write_text(json.dumps(metadata), encoding="utf-8")
        names.append(f"{name}.json")
    return names
