"""The quality and the CPU time of many x264 options: a lossless composition, encoded with each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import floor, quality
from benchmarks.case import Case, compose
from benchmarks.command_line import keep, new_parser, prepared, say
from benchmarks.results import borrowed
from benchmarks.tables import markdown, or_nothing
from owtmix.plan.encoders import POINTS as NAMED
from owtmix.plan.model import VideoEncoding

SCENE: Final = "lively9"
FROM_S: Final = 30
LENGTH_S: Final = 50
"""The part of the scene in which most people come and go, and the screen is shared."""


@dataclass(frozen=True, slots=True)
class Point:
    """A preset and the options that differ from it, in x264's own names."""

    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        own = OWN.get(self.preset, {})
        changes = (f"{key}={value}" for key, value in self.changes.items() if own.get(key) != value)
        return " ".join([self.preset, *changes])

    def encoding(self, common: VideoEncoding) -> VideoEncoding:
        """The plan's encoding with this preset and these changes; rates, GOP and the options in ``KEPT`` stay."""
        options = dict(common.options)
        kept = dict(pair.split("=") for pair in options["x264-params"].split(":"))
        params = {key: value for key, value in kept.items() if key in KEPT} | dict(self.changes)
        options |= {"preset": self.preset, "x264-params": ":".join(f"{key}={value}" for key, value in params.items())}
        return replace(common, options=tuple(options.items()))


KEPT: Final = frozenset({"cpu-independent", "force-cfr", "scenecut", "open-gop", "stitchable", "vbv-init"})
NO_B: Final = {"bframes": 0}
OWN: Final = {"ultrafast": NO_B}
"""What presets have anyway: not a part of a name."""
_MBTREE: Final = NO_B | {"rc-lookahead": 20, "mbtree": 1, "weightp": 1}
_NAMED: Final = {name: Point(preset, NO_B | dict(changes)) for name, (preset, changes) in NAMED.items()}
CHOSEN: Final = {point.name: name for name, point in _NAMED.items()}
"""The names that ``conf/owt.toml`` offers, by the names of their points here."""

_TRIED: Final = (
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


def main(words: Sequence[str]) -> None:
    """Encode a part of a scene with every point."""
    arguments = new_parser("benchmarks.lab sweep", description=__doc__).parse_args(words)
    with prepared(SCENE, arguments) as case:
        found = sweep(case, arguments.rounds)
    print(table(found))
    keep(arguments, "sweep", "x264", found)


def sweep(case: Case, rounds: int) -> dict[str, Any]:
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
            result["cpu_s"].append(floor.measure_part(floor.encode_picture, changed, composed))
            if "vmaf" not in result:
                output = case.work / floor.PICTURE
                result |= quality.judge(output, changed, composed) | {"bytes": output.stat().st_size}
            say(f"{point.name}: {result['cpu_s'][-1]:.2f} CPU s, VMAF {result['vmaf'] or 0:.2f}")
    composed.unlink()
    return {"scene": case.name, "frames": len(frames), "points": found}


def table(found: Mapping[str, Any]) -> str:
    """The points, sorted by CPU seconds."""
    rows = [
        (
            f"`{name}`",
            f"{median(point['cpu_s']):.2f}",
            *(or_nothing(point.get(key)) for key in ("vmaf", "vmaf_neg", "psnr_db")),
            f"{point['bytes'] * 8 / 1000 / (found['frames'] / 15):.0f}",
        )
        for name, point in sorted(found["points"].items(), key=lambda item: median(item[1]["cpu_s"]))
    ]
    return markdown(("options", "CPU s", "VMAF", "VMAF NEG", "PSNR dB", "kbit/s"), rows)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Plot VMAF against CPU seconds."""
    from matplotlib.figure import Figure

    from benchmarks.plots import DPI, OURS, PEERS

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.add_subplot()
    for name, point in found["points"].items():
        if point["vmaf"] is None:
            continue
        at = median(point["cpu_s"]), point["vmaf"]
        colour = OURS if name in CHOSEN else PEERS
        axes.plot(*at, "o", color=colour)
        label = f"{CHOSEN[name]}: {name}" if name in CHOSEN else name
        axes.annotate(label, at, xytext=(5, -3), textcoords="offset points", fontsize=7, color=colour)
    axes.set_xscale("log")
    axes.set_xlabel(f"CPU seconds of encoding {found['frames']} frames of {found['scene']}")
    axes.set_ylabel("VMAF")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=DPI)


def paragraphs(document: Mapping[str, Any]) -> Iterator[str]:
    """The section of ``docs/performance.md``."""
    if found := document.get("sweep", {}).get("x264"):
        yield "### x264: quality against time"
        yield from borrowed(document, "sweep")
        yield f"{found['frames']} frames of `{found['scene']}`, encoded with one thread and the same rates and GOPs."
        yield "![VMAF against CPU seconds](sweep.png)"
        yield table(found)
