"""The time of the kernel, as a share of what copying as many bytes takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.lab.gpu_proof.card import open_card
from benchmarks.lab.gpu_proof.setting import Finding, Setting, untried
from benchmarks.lab.gpu_timing import BATCHES, COPIED_BYTES, copy_rate, kernels
from owtmix.base.geometry import Size

LEAST_SHARE: Final = 0.6


def run(setting: Setting) -> Iterator[Finding]:
    """1 to 25 tiles on 1080p and 2160p, alone and four frames in a launch."""
    gpus = {frames: open_card(setting, frames) for frames in BATCHES}
    rate = copy_rate(gpus[1], 1 << 20 if setting.pretend else COPIED_BYTES)
    yield Finding("copies, read and written", {"gb_per_s": rate / 1e9})
    measured = kernels(gpus, rate)
    if setting.pretend:
        measured = kernels(gpus, rate, (Size(64, 36), Size(128, 72)), (1, 5), Size(128, 72), 1)
    for drawn in measured:
        ok = None if setting.pretend else drawn["share_of_copying"] >= LEAST_SHARE
        yield Finding(f"{drawn['canvas']}, {drawn['tiles']} tiles", drawn, ok)
    if setting.pretend:
        yield untried("the clock of the card, and copies within it")
