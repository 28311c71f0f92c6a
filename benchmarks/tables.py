"""Figures of the result files (medians, the floor, the fastest engine), and tables of them in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Final

Figures = Mapping[str, Any]
"""A result file, or a part of one."""

HEADINGS: Final = (
    *("engine", "wall s", "x real time", "x real time per core", "CPU s", "CPU / floor", "cores busy", "memory MiB"),
    *("one process MiB", "VMAF", "VMAF NEG", "PSNR dB", "kbit/s"),
)
NOTHING: Final = "-"


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def scene_table(scene: Figures, cores: int) -> str:
    """The results of one scene."""
    floor_s = floor_of(scene)
    rows: list[Sequence[str]] = []
    if floor_s is not None:
        costs = f"{scene['seconds'] / floor_s:.2f}", f"{floor_s:.1f}", "1.00"
        rows.append(("*floor*", NOTHING, NOTHING, *costs, *[NOTHING] * (len(HEADINGS) - 6)))
    rows += [_row(name, found, scene["seconds"], floor_s, cores) for name, found in scene["engines"].items()]
    return markdown(HEADINGS, rows)


def floor_of(scene: Figures) -> float | None:
    """CPU seconds of decoding and encoding alone: the median of each part's rounds, summed."""
    if not scene["floor"]:
        return None
    return sum(middle(scene["floor"], part) for part in scene["floor"][0])


def middle(rounds: Sequence[Figures], key: str) -> float:
    """The median of one figure over the rounds."""
    return float(median(one[key] for one in rounds))


def highest(rounds: Sequence[Figures], key: str) -> float:
    """The highest of one figure over the rounds."""
    return float(max(one[key] for one in rounds))


def measured(scene: Figures) -> Iterator[tuple[str, Figures]]:
    """The engines that ran."""
    return ((name, found) for name, found in scene["engines"].items() if "missing" not in found)


def fastest(document: Figures, scene: str, chosen: Callable[[str], bool]) -> Figures | None:
    """The results of the fastest engine that composed a scene, of those whose names are ``chosen``."""
    found = document.get("scenes", {}).get(scene)
    ran = [figures for name, figures in measured(found) if chosen(name)] if found else []
    return min(ran, key=lambda figures: middle(figures["rounds"], "wall_s"), default=None)


def best(document: Figures, scene: str) -> Figures | None:
    """The results of owtmix's fastest number of workers."""
    return fastest(document, scene, lambda name: name.startswith("owtmix"))


def targets_table(rows: Sequence[Sequence[str]]) -> str:
    """The targets and what was measured."""
    return markdown(("target", "wanted", "measured", "met"), rows)


def target(about: str, found: float | None, *, least: float | None = None, most: float | None = None) -> Sequence[str]:
    """The row of one target: ``found`` should be at ``least`` or at ``most`` a bound; None was not measured."""
    bound = f"at least {least:g}" if least is not None else f"at most {most:g}"
    if found is None:
        return about, bound, "not measured", NOTHING
    met = (least is None or found >= least) and (most is None or found <= most)
    return about, bound, f"{found:.2f}", "yes" if met else "**no**"


def or_nothing(value: float | None) -> str:
    """A figure with two decimals, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.2f}"


def _row(name: str, found: Figures, seconds: float, floor_s: float | None, cores: int) -> Sequence[str]:
    if missing := found.get("missing"):
        return (name, missing, *[NOTHING] * (len(HEADINGS) - 2))
    rounds = found["rounds"]
    wall_s, cpu_s = middle(rounds, "wall_s"), middle(rounds, "cpu_s")
    return (
        name,
        f"{wall_s:.1f}",
        f"{seconds / wall_s:.2f}",
        f"{seconds / cpu_s:.2f}",
        f"{cpu_s:.1f}",
        or_nothing(floor_s and cpu_s / floor_s),
        f"{cpu_s / (wall_s * cores):.2f}",
        f"{highest(rounds, 'tree_mib'):.0f}",
        f"{highest(rounds, 'process_mib'):.0f}",
        *(or_nothing(found.get(key)) for key in ("vmaf", "vmaf_neg", "psnr_db")),
        f"{found['bytes'] * 8 / 1000 / seconds:.0f}",
    )
