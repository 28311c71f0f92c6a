"""Results as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from benchmarks.tables import floor_of, measured, middle

OURS: Final = "#c0392b"
PEERS: Final = "#7f8c8d"
PLAIN: Final = "#bdc3c7"
DPI: Final = 110


def draw_scenes(document: Mapping[str, Any], path: Path) -> None:
    """Bars of CPU seconds over the floor and of speed, a row for each scene."""
    scenes = document["scenes"]
    figure = Figure(figsize=(11, 2.6 * len(scenes)), layout="constrained")
    grid = figure.subplots(len(scenes), 2, squeeze=False)
    for (left, right), (name, scene) in zip(grid, scenes.items(), strict=True):
        ran = list(measured(scene))[::-1]
        labels = [engine for engine, _ in ran]
        colours = [OURS if name.startswith("owtmix") else PLAIN if "plain" in name else PEERS for name in labels]
        floor_s = floor_of(scene)
        left.barh(labels, [middle(found["rounds"], "cpu_s") / (floor_s or 1) for _, found in ran], color=colours)
        left.set_title(f"{name}: CPU {'/ floor' if floor_s else 's'}", fontsize=10)
        if floor_s:
            left.axvline(1, color="black", linewidth=0.8)
        right.barh(labels, [scene["seconds"] / middle(found["rounds"], "wall_s") for _, found in ran], color=colours)
        right.set_title(f"{name}: times real time", fontsize=10)
        right.set_yticks([])
        for axes in (left, right):
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=DPI)
