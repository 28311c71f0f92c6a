"""What nobody looks at is not decoded where it can be left out, and what is looked at stays the same."""

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
from owtmix.media.skip_frames import SampleTimes, _Scale
from owtmix.media.video_reader import VideoReader
from tests.media.pictures import number_of, steady, write_film

LENGTH = 60
FPS = 30
REORDERED = {"bf": "3", "x264-params": "b-adapt=0:b-pyramid=none:scenecut=0"}
"""Three of four frames are built on by no other."""


class Counting(VideoReader):
    """Counts the frames that are decoded."""

    decoded = 0

    def _good_frames(self, stream: Any) -> Iterator[Any]:
        for found in super()._good_frames(stream):
            self.decoded += 1
            yield found


def looked_at(path: Path, glances: SampleTimes, *, told: bool) -> tuple[list[int | None], int]:
    """The numbers of the frames at all glances, and how many were decoded for it."""
    reader = Counting(path, 0, None, glances if told else None)
    end = Fraction(LENGTH, FPS) + glances.offset_s
    times = [Fraction(i, glances.fps) - glances.offset_s for i in range(ceil(end * glances.fps))]
    seen = [reader.frame_at(t) for t in sorted((*times, *glances.others))]
    reader.close()
    return [number_of(picture.frame) if picture else None for picture in seen], reader.decoded


@pytest.mark.parametrize("offset_s", [Fraction(0), Fraction(1, 7), Fraction(-1, 90)])
def test_frames_between_the_glances_are_left_out_where_none_is_built_on_them(
    tmp_path: Path, offset_s: Fraction
) -> None:
    film = write_film(tmp_path / "film.mp4", steady(LENGTH, fps=FPS), gop=20, options=REORDERED)
    glances = SampleTimes(10, offset_s, (Fraction(101, 100),))
    whole, all_frames = looked_at(film, glances, told=False)
    thinned, some_frames = looked_at(film, glances, told=True)
    assert thinned == whole
    assert some_frames < 0.8 * all_frames


def test_frames_that_others_are_built_on_are_decoded(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", steady(LENGTH, fps=FPS), gop=20)
    glances = SampleTimes(10, Fraction(0))
    assert looked_at(film, glances, told=True) == looked_at(film, glances, told=False)


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
def test_no_decoder_leaves_out_what_is_looked_at(tmp_path: Path, name: str, encoder: str) -> None:
    film = write_film(tmp_path / name, steady(LENGTH, fps=FPS), encoder=encoder, gop=LENGTH, size=Size(128, 96))
    for glances in (SampleTimes(7, Fraction(17, 1000)), SampleTimes(10, Fraction(0)), SampleTimes(12, Fraction(1, 24))):
        whole, _ = looked_at(film, glances, told=False)
        assert looked_at(film, glances, told=True)[0] == whole


def test_an_output_that_shows_every_frame_needs_every_frame(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", steady(LENGTH, fps=FPS), gop=20, options=REORDERED)
    glances = SampleTimes(60, Fraction(0))
    assert looked_at(film, glances, told=True) == looked_at(film, glances, told=False)


@given(
    fps=st.integers(1, 60),
    offset=st.fractions(-100, 100, max_denominator=1000),
    time_base=st.sampled_from([Fraction(1, 1000), Fraction(1, 90_000), Fraction(1001, 30_000)]),
    start=st.integers(-(10**6), 10**6),
    length=st.integers(1, 5000),
    others=st.lists(st.fractions(-100, 100, max_denominator=100), max_size=2),
)
def test_a_glance_is_found_where_there_is_one(
    fps: int, offset: Fraction, time_base: Fraction, start: int, length: int, others: list[Fraction]
) -> None:
    first, last = start * time_base, (start + length) * time_base
    next_glance = Fraction(ceil((first + offset) * fps), fps) - offset
    expected = next_glance < last or any(first <= t < last for t in others)
    assert _Scale(SampleTimes(fps, offset, tuple(others)), time_base).within(start, start + length) == expected
