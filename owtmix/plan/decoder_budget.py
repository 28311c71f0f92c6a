"""Leaves out pictures whose decoders do not fit into the memory of one worker, the greediest first.

A worker that composes a chunk has a decoder open for every stream on the canvas. What they need is known from sizes and
references (``VideoTrack.decoder_bytes``), so that no decoder is opened in vain.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import takewhile

from owtmix.base.geometry import Size
from owtmix.base.time import TimeRange, timecode
from owtmix.plan.memory import PROCESS_BYTES, picture_memory
from owtmix.plan.model import RenderPlan
from owtmix.plan.scenes import Scene
from owtmix.plan.shots import Shot


def within_decoder_memory(
    plan: RenderPlan, images: Mapping[str, Size], worker_bytes: int
) -> tuple[RenderPlan, tuple[str, ...]]:
    """The plan with decoders that fit into a worker of ``worker_bytes``, and a sentence for each one left out.

    ``images`` are the sizes of the watermark images by their source.
    """
    if plan.picture is None:
        return plan, ()
    budget_bytes = worker_bytes - picture_memory(plan.picture, images).total
    reasons = []
    for scene in plan.picture.scenes:
        while (needs := _needs(plan, scene)) and (total := sum(needs.values())) > budget_bytes:
            greedy = max(needs, key=lambda source: (needs[source], source))
            plan = plan.without_source(greedy, scene.span.start, sound=False)
            reasons.append(_reason(plan, greedy, scene.span.start, needs[greedy], total, budget_bytes))
    return plan, tuple(reasons)


def needed_bytes(plan: RenderPlan, images: Mapping[str, Size]) -> int:
    """About the memory that a worker needs at most; images as above."""
    if plan.picture is None:
        return PROCESS_BYTES
    decoders = max((sum(_needs(plan, scene).values()) for scene in plan.picture.scenes), default=0)
    return picture_memory(plan.picture, images).total + decoders


def _needs(plan: RenderPlan, scene: Scene) -> Mapping[int, int]:
    """What each decoder of a scene needs; of each stream the one that needs the most, since one is open at a time."""
    assert plan.picture
    needs: dict[int, int] = {}
    for stream in {tile.stream for tile in scene.tiles}:
        shown = {
            shot.source: video.decoder_bytes
            for shot in _shown(plan.picture.shots[stream], scene.span)
            if shot.source is not None and (video := plan.sources[shot.source].video)
        }
        if shown:
            source = max(shown, key=lambda number: (shown[number], number))
            needs[source] = shown[source]
    return needs


def _shown(shots: Sequence[Shot], span: TimeRange) -> Iterator[Shot]:
    """Those of a stream's ``shots`` that overlap ``span``; they follow one another, and there may be thousands."""
    first = bisect_right(shots, span.start, key=lambda shot: shot.span.end)
    return takewhile(lambda shot: shot.span.start < span.end, (shots[n] for n in range(first, len(shots))))


def _reason(plan: RenderPlan, source: int, at_s: Fraction, own: int, total: int, budget: int) -> str:
    own, total, budget = own >> 20, total >> 20, budget >> 20
    others = f", and with the others {total} MiB" if total > own else ""
    return (
        f"{plan.sources[source].key} is a placeholder from {timecode(at_s)} on: its decoder needs about {own} MiB"
        f"{others}; limits.worker_memory_mib in conf/owt.toml leaves {budget} MiB for decoders"
    )
