"""The measurements of a GPU, made on the host, without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.lab import gpu, gpu_timing
from benchmarks.lab.gpu_report import kernel_table
from owtmix.base.errors import SetupError
from owtmix.base.geometry import Size
from tests.media.pictures import steady, write_film
from tests.support.card.host_card import HostCard
from tests.support.card.kernel import compiled


class HalfSecondDevice(HostCard):
    """Everything takes half a second."""

    def time_s(self, work: Callable[[], None]) -> float:
        work()
        return 0.5


def test_frames_are_drawn_as_often_as_they_are_counted() -> None:
    compiled(3)
    device = HostCard()
    found = gpu_timing.kernel(device, Size(64, 36), 2, 3, rate=1e9, source=Size(80, 46), launches=2)
    assert device.launches == 2 * (1 + gpu_timing.ROUNDS)
    assert (found["canvas"], found["tiles"], found["frames_per_launch"]) == ("64x36", 4, 3)
    assert found["frame_us"] > 0
    least_us = (4 * 80 * 46 + 64 * 36) * 3 / 2 / 1e9 * 1e6
    assert found["share_of_copying"] == pytest.approx(least_us / found["frame_us"])
    assert "| 64x36 | 4 | 3 |" in kernel_table([found])


def test_a_copy_counts_what_is_read_and_what_is_written() -> None:
    device = HalfSecondDevice()
    assert gpu_timing.copy_rate(device, 1000) == 4000
    assert device.copied == 1000 * gpu_timing.ROUNDS


def test_every_picture_that_is_decoded_counts_once(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.webm", steady(10))
    assert 0 < gpu_timing.decoding(path, 0, 1, None, 2) < 1e6


def test_without_a_gpu_nothing_is_measured() -> None:
    with pytest.raises(SetupError, match="--device cuda:63"):
        gpu.main(["--device", "cuda:63"])
