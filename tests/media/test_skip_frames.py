"""Frames that are not shown are skipped where possible, and shown frames do not change."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.geometry import Size
from owtmix.media.skip_frames import SampleTimes, _SampleTicks
from owtmix.media.video_reader import VideoReader
from tests.media.pictures import number_of, steady, write_film

LENGTH = 60
FPS = 30
REORDERED = {"bf": "3", "x264-params": "b-adapt=0:b-pyramid=none:scenecut=0"}
"""Three of four frames are non-reference frames."""


class Counting(VideoReader):
    """Counts the frames that are decoded."""

    decoded = 0

    def _good_frames(self, stream: Any) -> Iterator[Any]:
        for found in super()._good_frames(stream):
            self.decoded += 1
            yield found


def sampled(path: Path, times: SampleTimes, *, skip: bool) -> tuple[list[int | None], int]:
    """The numbers of the frames at the sample times, and how many frames were decoded."""
    reader = Counting(path, 0, None, times if skip else None)
    end = Fraction(LENGTH, FPS) + times.offset_s
    regular = [Fraction(i, times.fps) - times.offset_s for i in range(ceil(end * times.fps))]
    shown = [reader.frame_at(t) for t in sorted((*regular, *times.others))]
    reader.close()
    return [number_of(decoded.frame) if decoded else None for decoded in shown], reader.decoded


@pytest.mark.parametrize("offset_s", [Fraction(0), Fraction(1, 7), Fraction(-1, 90)])
def test_non_reference_frames_between_sample_times_are_skipped(tmp_path: Path, offset_s: Fraction) -> None:
    film = write_film(tmp_path / "film.mp4", steady(LENGTH, fps=FPS), gop=20, options=REORDERED)
    times = SampleTimes(10, offset_s, (Fraction(101, 100),))
    whole, all_frames = sampled(film, times, skip=False)
    with_skipping, some_frames = sampled(film, times, skip=True)
    assert with_skipping == whole
    assert some_frames < 0.8 * all_frames


def test_reference_frames_are_decoded(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", steady(LENGTH, fps=FPS), gop=20)
    times = SampleTimes(10, Fraction(0))
    assert sampled(film, times, skip=True) == sampled(film, times, skip=False)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("film.mp4", "libx264"),
        ("film.mp4", "libx265"),
        ("film.webm", "libvpx"),
        ("film.webm", "libvpx-vp9"),
        ("film.webm", "libsvtav1"),
    ],
)
def test_no_decoder_skips_a_shown_frame(tmp_path: Path, name: str, encoder: str) -> None:
    film = write_film(tmp_path / name, steady(LENGTH, fps=FPS), encoder=encoder, gop=LENGTH, size=Size(128, 96))
    for times in (SampleTimes(7, Fraction(17, 1000)), SampleTimes(10, Fraction(0)), SampleTimes(12, Fraction(1, 24))):
        whole, _ = sampled(film, times, skip=False)
        assert sampled(film, times, skip=True)[0] == whole


def test_an_output_that_shows_every_frame_needs_every_frame(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", steady(LENGTH, fps=FPS), gop=20, options=REORDERED)
    times = SampleTimes(60, Fraction(0))
    assert sampled(film, times, skip=True) == sampled(film, times, skip=False)


@given(
    fps=st.integers(1, 60),
    offset=st.fractions(-100, 100, max_denominator=1000),
    time_base=st.sampled_from([Fraction(1, 1000), Fraction(1, 90_000), Fraction(1001, 30_000)]),
    start=st.integers(-(10**6), 10**6),
    length=st.integers(1, 5000),
    others=st.lists(st.fractions(-100, 100, max_denominator=100), max_size=2),
)
def test_ticks_find_sample_times_exactly(
    fps: int, offset: Fraction, time_base: Fraction, start: int, length: int, others: list[Fraction]
) -> None:
    first, last = start * time_base, (start + length) * time_base
    next_time = Fraction(ceil((first + offset) * fps), fps) - offset
    expected = next_time < last or any(first <= t < last for t in others)
    assert _SampleTicks(SampleTimes(fps, offset, tuple(others)), time_base).any_in(start, start + length) == expected
