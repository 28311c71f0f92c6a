"""The targets of speed, beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.chunking import work_of
from benchmarks.table import NOTHING, floor_of, highest, markdown, measured, middle

Document = Mapping[str, Any]
GRAPH: Final = "ffmpeg graph"
INTERVALS: Final = "ffmpeg intervals"
PLAIN: Final = ", plain veryfast"
SIMULATED: Final = 16
BYTES_PER_MIB: Final = 1 << 20
BYTES_PER_MB: Final = 1_000_000
EDGE: Final = 0.1
"""What a run's first and last part do to memory is not its course."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that should be at ``least`` or at ``most`` so much; ``figure`` is None where it was not measured."""

    about: str
    figure: Callable[[Document], float | None]
    least: float | None = None
    most: float | None = None

    def row(self, document: Document) -> Sequence[str]:
        """As a row of a table."""
        bound = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        found = self.figure(document)
        if found is None:
            return self.about, bound, "not measured", NOTHING
        met = (self.least is None or found >= self.least) and (self.most is None or found <= self.most)
        return self.about, bound, f"{found:.2f}", "yes" if met else "**no**"


def targets_table(document: Document) -> str:
    """All targets and what was measured."""
    return markdown(("target", "wanted", "measured", "met"), [target.row(document) for target in TARGETS])


def best(document: Document, scene: str) -> Mapping[str, Any] | None:
    """This tool's fastest way to compose a scene."""
    return _fastest(document, scene, lambda name: name.startswith("owtmix"))


def _fastest(document: Document, scene: str, chosen: Callable[[str], bool]) -> Mapping[str, Any] | None:
    found = document.get("scenes", {}).get(scene)
    ran = [figures for name, figures in measured(found) if chosen(name)] if found else []
    return min(ran, key=lambda figures: middle(figures["rounds"], "wall_s"), default=None)


def _cpu_over_floor(scene: str) -> Callable[[Document], float | None]:
    def figure(document: Document) -> float | None:
        ours = best(document, scene)
        floor_s = floor_of(document["scenes"][scene]) if ours else None
        return middle(ours["rounds"], "cpu_s") / floor_s if ours and floor_s else None

    return figure


def _times_as_fast(scene: str, *names: str) -> Callable[[Document], float | None]:
    """How much faster than the fastest of ``names``."""

    def figure(document: Document) -> float | None:
        ours, peer = best(document, scene), _fastest(document, scene, names.__contains__)
        if not (ours and peer):
            return None
        return middle(peer["rounds"], "wall_s") / middle(ours["rounds"], "wall_s")

    return figure


def _above(key: str, scene: str, *names: str) -> Callable[[Document], float | None]:
    def figure(document: Document) -> float | None:
        ours, peer = best(document, scene), _fastest(document, scene, names.__contains__)
        if not (ours and peer) or ours.get(key) is None or peer.get(key) is None:
            return None
        return float(ours[key] - peer[key])

    return figure


def _cores_busy(scene: str) -> Callable[[Document], float | None]:
    def figure(document: Document) -> float | None:
        ours = best(document, scene)
        if not ours:
            return None
        cores: int = document["cores"]
        return middle(ours["rounds"], "cpu_s") / middle(ours["rounds"], "wall_s") / cores

    return figure


def _process_mb(scene: str) -> Callable[[Document], float | None]:
    def figure(document: Document) -> float | None:
        ours = best(document, scene)
        return highest(ours["rounds"], "process_mib") * BYTES_PER_MIB / BYTES_PER_MB if ours else None

    return figure


def _growth(document: Document) -> float | None:
    """The highest memory in the second half of the hour over that in the first."""
    ours = best(document, "hour")
    if not ours:
        return None
    course = ours["course_mib"]
    edge = round(len(course) * EDGE)
    middle_ = course[edge : len(course) - edge]
    half = len(middle_) // 2
    return float(max(middle_[half:]) / max(middle_[:half]))


def _start_s(document: Document) -> float | None:
    starts = document.get("scenes", {}).get("grid4", {}).get("start_s")
    return sorted(starts)[len(starts) // 2] if starts else None


def _simulated(document: Document) -> float | None:
    found = document.get("chunks", {}).get("hour")
    return work_of(found, serial_s(document, "hour")).busy(SIMULATED) if found else None


def serial_s(document: Document, scene: str) -> float:
    """What a run of a scene does before and after its chunks; 0 where it was not measured."""
    ours = best(document, scene) or {}
    return float(sum(spent for stage, spent in ours.get("stages", {}).items() if stage != "composing"))


_SAME: Final = (GRAPH, INTERVALS)
_WAYS: Final = tuple(name + PLAIN for name in _SAME)

TARGETS: Final = (
    Target("grid4: CPU / floor", _cpu_over_floor("grid4"), most=1.08),
    Target("grid4: times as fast as FFmpeg's graph", _times_as_fast("grid4", GRAPH), least=1.15),
    *(
        target
        for scene in ("lively9", "crowd25")
        for target in (
            Target(
                f"{scene}: times as fast as FFmpeg's better way, same options", _times_as_fast(scene, *_SAME), least=1.5
            ),
            Target(f"{scene}: the same, plain `-preset veryfast`", _times_as_fast(scene, *_WAYS), least=2),
            Target(f"{scene}: VMAF above that of the latter", _above("vmaf", scene, *_WAYS), least=-0.2),
            Target(f"{scene}: VMAF NEG above that of the latter", _above("vmaf_neg", scene, *_WAYS), least=-0.2),
        )
    ),
    Target("grid4: cores busy", _cores_busy("grid4"), least=0.9),
    Target("lively9: cores busy", _cores_busy("lively9"), least=0.9),
    Target("grid4: MB of one process, 1080p", _process_mb("grid4"), most=350),
    Target("hour: MB of one process, 1080p", _process_mb("hour"), most=350),
    Target("hour: memory of the second half / first half", _growth, most=1.05),
    Target("grid4: s from the command to the end of a job of one frame", _start_s, most=1.5),
    Target(f"hour: cores busy with {SIMULATED} workers, simulated", _simulated, least=0.9),
)
