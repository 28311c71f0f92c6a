"""What ``docs/performance.md`` says of graphics cards: what ``python -m benchmarks gpu`` has measured on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.table import markdown, measured, middle, scene_table
from benchmarks.targets import GRAPH, Target

Found = Mapping[str, Any]


def card_paragraphs(cards: Mapping[str, Found]) -> Iterator[str]:
    """What was found of each of ``cards``, by what it is called and can do."""
    for card, found in cards.items():
        yield f"### Graphics card: {card}"
        yield (
            f"Beside {found['cores']} cores. It copies {found['copied_bytes_per_s'] / 1e9:.0f} GB/s, read and written; "
            f"{found['used_mib']} MiB of its memory were taken while frames were drawn."
        )
        yield markdown(("target", "wanted", "measured", "met"), [target.row(found) for target in TARGETS])
        yield kernel_table(found["kernels"])
        yield "Pictures decoded in a second with so many files at once:"
        decoded = found["decoded_per_s"]
        most = max(map(len, decoded.values()))
        rows = [(device, *(f"{rate:.0f}" for rate in rates)) for device, rates in decoded.items()]
        yield markdown(("device", *map(str, range(1, most + 1))), rows)
        yield "`crowd25` as whole jobs:"
        yield scene_table(found["jobs"], found["cores"])


def kernel_table(kernels: Sequence[Found]) -> str:
    """The time that drawing takes."""
    rows = [
        (
            k["canvas"],
            str(k["tiles"]),
            str(k["frames_per_launch"]),
            f"{k['frame_us']:.0f}",
            f"{k['share_of_copying']:.0%}",
        )
        for k in kernels
    ]
    return markdown(("canvas", "tiles", "frames in a launch", "us a frame", "share of copying"), rows)


def _share_of_copying(found: Found) -> float:
    return min(float(k["share_of_copying"]) for k in found["kernels"])


def _times_as_fast(found: Found) -> float | None:
    """Whole jobs on the card, and by ffmpeg."""
    engines = dict(measured(found["jobs"]))
    on_card = next((figures for name, figures in engines.items() if "cuda" in name), None)
    if on_card is None or GRAPH not in engines:
        return None
    return middle(engines[GRAPH]["rounds"], "wall_s") / middle(on_card["rounds"], "wall_s")


def _composed_faster(found: Found) -> float:
    seconds = found["composing_s"]
    return float(seconds["cpu"] / next(value for device, value in seconds.items() if device != "cpu"))


TARGETS: Final = (
    Target("drawing: lowest share of what copying takes", _share_of_copying, least=0.6),
    Target("crowd25: times as fast as FFmpeg with x264 on the same cores", _times_as_fast, least=2),
    Target("decoding and composing: times as fast as on the CPU", _composed_faster, least=10),
)
