"""The CPU time of owtmix's functions while it makes the picture of a scene."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

from benchmarks.case import Case
from benchmarks.command_line import new_parser, prepared
from benchmarks.tables import markdown
from owtmix.compositor import cpu, scale
from owtmix.compositor.overlays import Overlays
from owtmix.media import video_frame, video_reader
from owtmix.media.writers import VideoWriter
from owtmix.render.audio_track import make_sound
from owtmix.render.video_track import Material, VideoTrackMaker

WATCHED: Final = (
    ("decoding", video_reader.VideoReader, "frame_at"),
    ("looking for black", video_frame.DecodedFrame, "is_blank"),
    ("describing frames", video_reader, "describe"),
    ("scaling", scale.Converter, "convert"),
    ("around scaling", cpu.CpuScaler, "fit"),
    ("composing", cpu.CpuCanvas, "compose"),
    ("watermarks", Overlays, "watermarks"),
    ("encoding", VideoWriter, "write"),
    ("encoding, the end", VideoWriter, "close"),
)
"""The name and the function of each row. Time in another function of the list is counted there."""


def main(words: Sequence[str]) -> None:
    """Print the table of a scene."""
    parser = new_parser("benchmarks.lab cpu_time", description=__doc__)
    parser.add_argument("scene")
    arguments = parser.parse_args(words)
    with prepared(arguments.scene, arguments) as case:
        print(cpu_time(case))


class Profile:
    """CPU seconds and calls of each watched function, from all threads, without the watched functions that it calls."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._open = threading.local()

    def watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that calls ``function`` and counts its time under ``name``."""

        def call(*arguments: Any, **named: Any) -> Any:
            inner: list[float] = self._open.__dict__.setdefault("inner", [])
            inner.append(0.0)
            begun_s = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                spent_s = time.thread_time() - begun_s
                self.spent_s[name] += spent_s - inner.pop()
                self.calls[name] += 1
                if inner:
                    inner[-1] += spent_s

        return call


def cpu_time(case: Case) -> str:
    """Make the picture and the sound in this process; returns a table of their CPU time."""
    profile = Profile()
    material = Material(case.plan, case.paths, {})
    with ExitStack() as watching:
        for name, owner, function in WATCHED:
            watching.enter_context(patch.object(owner, function, profile.watch(name, getattr(owner, function))))
        begun_s = time.process_time()
        maker = VideoTrackMaker(material, threads=1)
        maker.make(range(case.picture.frames), case.work / "picture.mp4", lambda _: None)
        maker.close()
        picture_s = time.process_time() - begun_s
    begun_s = time.process_time()
    make_sound(material, case.work / "sound.mp4", lambda _: None, print)
    sound_s = time.process_time() - begun_s
    rows = [
        (
            name,
            f"{spent_s:.2f}",
            f"{spent_s / picture_s:.1%}",
            str(calls := profile.calls[name]),
            f"{spent_s / calls * 1e6:.0f}",
        )
        for name, spent_s in sorted(profile.spent_s.items(), key=lambda item: -item[1])
    ]
    rest_s = picture_s - sum(profile.spent_s.values())
    rows += [("all else of the picture", f"{rest_s:.2f}", f"{rest_s / picture_s:.1%}", "-", "-")]
    rows += [
        ("the whole picture", f"{picture_s:.2f}", "100%", "-", "-"),
        ("the sound", f"{sound_s:.2f}", "-", "-", "-"),
    ]
    return markdown(("what", "CPU s", "of the picture", "calls", "us each"), rows)
