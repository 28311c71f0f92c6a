"""Results as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.table import floor_of, measured, middle

Document = Mapping[str, Any]
OURS: Final = "#c0392b"
PEERS: Final = "#7f8c8d"
PLAIN: Final = "#bdc3c7"
DPI: Final = 110


def draw_scenes(document: Document, path: Path) -> None:
    """Bars of CPU seconds over the floor and of speed, a row for each scene."""
    scenes = document["scenes"]
    figure = Figure(figsize=(11, 2.6 * len(scenes)), layout="constrained")
    for row, (name, scene) in enumerate(scenes.items()):
        ran = list(measured(scene))[::-1]
        labels = [engine for engine, _ in ran]
        colours = [_colour(engine) for engine in labels]
        floor_s = floor_of(scene)
        left = figure.add_subplot(len(scenes), 2, 2 * row + 1)
        left.barh(labels, [middle(found["rounds"], "cpu_s") / (floor_s or 1) for _, found in ran], color=colours)
        left.set_title(f"{name}: CPU {'/ floor' if floor_s else 's'}", fontsize=10)
        if floor_s:
            left.axvline(1, color="black", linewidth=0.8)
        right = figure.add_subplot(len(scenes), 2, 2 * row + 2)
        right.barh(labels, [scene["seconds"] / middle(found["rounds"], "wall_s") for _, found in ran], color=colours)
        right.set_title(f"{name}: times real time", fontsize=10)
        right.set_yticks([])
        for axes in (left, right):
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_sweep(sweep: Mapping[str, Any], chosen: Mapping[str, str], path: Path) -> None:
    """VMAF against CPU seconds; ``chosen`` are points with a name of their own."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.add_subplot()
    for name, found in sweep["points"].items():
        if found["vmaf"] is None:
            continue
        x, y = median(found["cpu_s"]), found["vmaf"]
        colour = OURS if name in chosen else PEERS
        axes.plot(x, y, "o", color=colour)
        label = f"{chosen[name]}: {name}" if name in chosen else name
        axes.annotate(label, (x, y), xytext=(5, -3), textcoords="offset points", fontsize=7, color=colour)
    axes.set_xscale("log")
    axes.set_xlabel(f"CPU seconds of encoding {sweep['frames']} frames of {sweep['scene']}")
    axes.set_ylabel("VMAF")
    axes.grid(visible=True, alpha=0.3)
    _save(figure, path)


def _colour(engine: str) -> str:
    if engine.startswith("owtmix"):
        return OURS
    return PLAIN if "plain" in engine else PEERS


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_figure(str(path), dpi=DPI)
