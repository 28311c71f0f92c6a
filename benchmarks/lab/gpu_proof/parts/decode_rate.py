"""Pictures decoded in a second, of 1 to 7 files at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.lab.gpu_proof.card import open_card
from benchmarks.lab.gpu_proof.films import made_films
from benchmarks.lab.gpu_proof.setting import Finding, Setting, tried, untried
from benchmarks.lab.gpu_timing import MOST_FILES, decoding
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.video_reader import VideoReader

SECONDS: Final = 10
PRETENDED_S: Final = 1


def _on_card(what: str, path: Path, seconds: int, card: DecodingGpu, counts: Sequence[int]) -> Finding:
    rates = {files: round(decoding(path, 0, seconds, card, files)) for files in counts}
    with closing(VideoReader(path, 0, card)) as reader:
        reader.frame_at(Fraction(0))
        return Finding(what, rates | {"by": reader.stats.decoders})


def run(setting: Setting) -> Iterator[Finding]:
    """Each kind of film: on the card, and with one and all files on the CPU."""
    card = open_card(setting)
    seconds = PRETENDED_S if setting.pretend else SECONDS
    counts = (1, MOST_FILES) if setting.pretend else range(1, MOST_FILES + 1)
    for path in made_films(setting.work / "films", seconds):
        what = f"{path.name} on the card"
        yield tried(what, partial(_on_card, what, path, seconds, card, counts))
    for path in made_films(setting.work / "films", seconds)[: 1 if setting.pretend else None]:
        on_cpu = {files: round(decoding(path, 0, seconds, None, files)) for files in (1, MOST_FILES)}
        yield Finding(f"{path.name} on the CPU", on_cpu)
    if setting.pretend:
        yield untried("readers with NVDEC, several at once")
