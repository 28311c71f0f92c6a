"""What the chunks of a case cost, one after the other, and what it costs to begin at each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.case import Case
from benchmarks.simulation import Chunk, Work
from owtmix.render.audio_track import make_sound
from owtmix.render.video_track import Material, PictureMaker


def measure(case: Case, say: Callable[[str], None]) -> dict[str, Any]:
    """Make every chunk in this process; returns CPU seconds of each, of a beginning at each, and of the sound."""
    material = Material(case.plan, case.paths, {})
    track = case.work / "chunk.mp4"
    made_s = []
    maker = PictureMaker(material, threads=1)
    for frames in case.picture.chunks:
        begun_s = time.process_time()
        maker.make(frames, track, lambda _: None)
        made_s.append(round(time.process_time() - begun_s, 3))
        say(f"chunk {len(made_s)} of {len(case.picture.chunks)}: {made_s[-1]:.2f} CPU s")
    maker.close()
    first_s = [_begin(material, frames.start, case) for frames in case.picture.chunks]
    begun_s = time.process_time()
    make_sound(material, track, lambda _: None, lambda _: None)
    sound_s = round(time.process_time() - begun_s, 3)
    track.unlink()
    # The first chunk of all begins nowhere in the middle: what it costs to begin there is what it costs anyway.
    return {"made_s": made_s, "joints_s": [max(0.0, round(s - first_s[0], 3)) for s in first_s], "sound_s": sound_s}


def _begin(material: Material, frame: int, case: Case) -> float:
    """CPU seconds of a chunk of one frame, without the one before it."""
    begun_s = time.process_time()
    maker = PictureMaker(material, threads=1)
    maker.make(range(frame, frame + 1), case.work / "begun.mp4", lambda _: None)
    maker.close()
    return time.process_time() - begun_s


def work_of(found: Mapping[str, Any], serial_s: float) -> Work:
    """What ``measure`` found, as work to be simulated."""
    costs = zip(found["made_s"], found["joints_s"], strict=True)
    return Work([Chunk(n, made, joint) for n, (made, joint) in enumerate(costs)], found["sound_s"], serial_s)
