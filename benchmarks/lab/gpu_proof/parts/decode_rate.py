"""Pictures decoded in a second, of 1 to 7 files at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Final

from benchmarks.lab.gpu_proof.card import open_card
from benchmarks.lab.gpu_proof.films import made_films
from benchmarks.lab.gpu_proof.setting import Finding, Setting, untried
from benchmarks.lab.gpu_timing import MOST_FILES, decoding
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.video_reader import VideoReader

SECONDS: Final = 10
PRETENDED_S: Final = 1


def _decoders(path: Path, card: DecodingGpu) -> Sequence[str]:
    with closing(VideoReader(path, 0, card)) as reader:
        reader.frame_at(Fraction(0))
        return reader.stats.decoders


def run(setting: Setting) -> Iterator[Finding]:
    """Each kind of film: on the card, and with one and all files on the CPU."""
    card = open_card(setting)
    seconds = PRETENDED_S if setting.pretend else SECONDS
    counts = (1, MOST_FILES) if setting.pretend else range(1, MOST_FILES + 1)
    for path in made_films(setting.work / "films", seconds):
        on_card = {files: round(decoding(path, 0, seconds, card, files)) for files in counts}
        yield Finding(f"{path.name} on the card", {**on_card, "by": _decoders(path, card)})
    for path in made_films(setting.work / "films", seconds)[: 1 if setting.pretend else None]:
        on_cpu = {files: round(decoding(path, 0, seconds, None, files)) for files in (1, MOST_FILES)}
        yield Finding(f"{path.name} on the CPU", on_cpu)
    if setting.pretend:
        yield untried("readers with NVDEC, several at once")
