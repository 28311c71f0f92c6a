"""Which x264 options give what quality for how much: a lossless composition, encoded with each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from benchmarks import floor, quality
from benchmarks.case import Case, compose
from owtmix.plan.encoders import POINTS as NAMED
from owtmix.plan.model import VideoEncoding

SCENE: Final = "lively9"
FROM_S: Final = 30
LENGTH_S: Final = 50
"""The part of the scene in which most people come and go, and the screen is shared."""


@dataclass(frozen=True, slots=True)
class Point:
    """A preset and what is changed of it, in x264's own names."""

    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join([self.preset, *(f"{key}={value}" for key, value in self.changes.items())])

    def encoding(self, common: VideoEncoding) -> VideoEncoding:
        """The plan's encoding with this preset and these changes: rates, GOP and what makes bytes repeatable stay."""
        options = dict(common.options)
        kept = dict(pair.split("=") for pair in options["x264-params"].split(":"))
        params = {key: value for key, value in kept.items() if key in KEPT} | dict(self.changes)
        options |= {"preset": self.preset, "x264-params": ":".join(f"{key}={value}" for key, value in params.items())}
        return replace(common, options=tuple(options.items()))


KEPT: Final = frozenset({"cpu-independent", "force-cfr", "scenecut", "open-gop", "stitchable", "vbv-init"})
NO_B: Final = {"bframes": 0}
_MBTREE: Final = NO_B | {"rc-lookahead": 20, "mbtree": 1, "weightp": 1}
_NAMED: Final = {name: Point(preset, NO_B | dict(changes)) for name, (preset, changes) in NAMED.items()}
CHOSEN: Final = {point.name: name for name, point in _NAMED.items()}
"""The named points that ``conf/owt.toml`` offers, by what they are."""

_TRIED: Final = (
    Point("ultrafast"),
    Point("superfast"),
    Point("superfast", _MBTREE | {"trellis": 1}),
    Point("superfast", _MBTREE | {"trellis": 1, "rc-lookahead": 15}),
    Point("superfast", _MBTREE | {"subme": 2}),
    Point("superfast", _MBTREE | {"subme": 2, "rc-lookahead": 40}),
    Point("superfast", _MBTREE | {"subme": 2, "trellis": 1}),
    Point("veryfast"),
    Point("veryfast", NO_B),
    Point("veryfast", NO_B | {"rc-lookahead": 20, "trellis": 1}),
    Point("faster"),
    Point("medium", NO_B),
)

POINTS: Final = tuple({point.name: point for point in (*_NAMED.values(), *_TRIED)}.values())


def sweep(case: Case, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Encode a part of ``case`` with every point; returns each one's CPU seconds and quality, by name."""
    picture = case.picture
    composed = case.work / "composed.yuv"
    fps = picture.clock.fps
    frames = range(min(FROM_S * fps, max(0, picture.frames - LENGTH_S * fps)), picture.frames)[: LENGTH_S * fps]
    say(f"composing {len(frames)} frames without loss")
    compose(case, composed, frames)
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for point in POINTS:
            chosen = replace(picture, encoding=point.encoding(picture.encoding))
            changed = replace(case, plan=replace(case.plan, picture=chosen))
            result = found.setdefault(point.name, {"cpu_s": []})
            result["cpu_s"].append(floor.measure_part("encode_picture", changed, composed))
            if "vmaf" not in result:
                output = case.work / floor.PICTURE
                result |= {
                    **quality.vmaf(output, changed, composed),
                    "psnr_db": quality.psnr_db(output, changed, composed),
                    "bytes": output.stat().st_size,
                }
            say(f"{point.name}: {result['cpu_s'][-1]:.2f} CPU s, VMAF {result['vmaf'] or 0:.2f}")
    composed.unlink()
    return {"scene": case.name, "frames": len(frames), "points": found}
