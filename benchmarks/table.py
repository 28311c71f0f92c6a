"""Results as a table of medians and ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

HEADINGS: Final = (
    "engine",
    "wall s",
    "x real time",
    "CPU s",
    "CPU / floor",
    "CPU / (wall x cores)",
    "peak MiB",
    "of one process",
    "VMAF",
    "PSNR dB",
    "kbit/s",
)
BASE: Final = "owtmix"


def scene_table(scene: Mapping[str, Any], cores: int) -> str:
    """One scene's results in Markdown."""
    floor = scene["floor"]
    floor_s = sum(floor.values())
    rows = [HEADINGS, tuple("---" if number == 0 else "---:" for number in range(len(HEADINGS)))]
    rows += [_row(name, found, scene["seconds"], floor_s, cores) for name, found in scene["engines"].items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def middle(rounds: Sequence[Mapping[str, float]], key: str) -> float:
    """The median of one figure over the rounds."""
    return median(one[key] for one in rounds)


def _row(name: str, found: Mapping[str, Any], seconds: float, floor_s: float, cores: int) -> tuple[str, ...]:
    if missing := found.get("missing"):
        return (name, missing, *[""] * (len(HEADINGS) - 2))
    rounds = found["rounds"]
    wall_s, cpu_s = middle(rounds, "wall_s"), middle(rounds, "cpu_s")
    quality = (f"{found[key]:.2f}" if found.get(key) is not None else "" for key in ("vmaf", "psnr_db"))
    return (
        name,
        f"{wall_s:.1f}",
        f"{seconds / wall_s:.2f}",
        f"{cpu_s:.1f}",
        f"{cpu_s / floor_s:.2f}",
        f"{cpu_s / (wall_s * cores):.2f}",
        f"{middle(rounds, 'tree_mib'):.0f}",
        f"{middle(rounds, 'process_mib'):.0f}",
        *quality,
        f"{found['bytes'] * 8 / 1000 / seconds:.0f}",
    )
