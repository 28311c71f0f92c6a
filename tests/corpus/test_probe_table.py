"""Probe results of all files, against the table."""

from __future__ import annotations

import csv
from typing import Final

import pytest

from owtmix.base.errors import InputError
from owtmix.media.probe import probe
from tests.corpus.row import MANIFEST, MEDIA, TIME_TOLERANCE_S, Row
from tests.corpus.table import LEFT_OUT, ROWS, USABLE, needs_media

pytestmark = needs_media

GAP_S: Final = 3


def near(seconds: float, tolerance_s: float = TIME_TOLERANCE_S) -> object:
    return pytest.approx(seconds, abs=tolerance_s)


def test_every_file_has_a_row_and_every_row_a_file() -> None:
    with (MEDIA / MANIFEST).open() as manifest:
        listed = {entry["file"] for entry in csv.DictReader(manifest, delimiter="\t")}
    names = [row.name for row in ROWS]
    assert sorted(names) == sorted(set(names))
    assert set(names) == listed
    assert set(names) == {path.name for path in MEDIA.iterdir()} - {MANIFEST}


@pytest.mark.parametrize("row", LEFT_OUT, ids=lambda row: row.name)
def test_what_cannot_be_used_is_refused_with_its_reason(row: Row) -> None:
    assert row.left_out
    with pytest.raises(InputError, match=row.left_out):
        probe(row.path)


@pytest.mark.parametrize("row", USABLE, ids=lambda row: row.name)
def test_tracks_are_as_the_table_says(row: Row) -> None:
    found = probe(row.path)
    assert (found.video is None, not found.sounds) == (row.video is None, row.sound is None)
    if found.video and row.video:
        track, video = found.video, row.video
        assert (track.codec, track.index, track.matrix) == (video.codec, video.index, video.matrix)
        assert (track.size.width, track.size.height) == video.first_size
        assert float(track.span.start) == near(video.first_s)
        assert float(track.last_s) == near(video.last_s)
        assert float(track.span.end) == near(video.end_s)
        gaps = [float(edge) for gap in track.gaps if gap.duration > GAP_S for edge in (gap.start, gap.end)]
        assert gaps == pytest.approx([edge for gap in video.gaps for edge in gap], abs=TIME_TOLERANCE_S)
    if found.sounds and row.sound:
        heard, sound = found.sounds[0], row.sound
        assert (heard.codec, heard.rate_hz, heard.channels) == (sound.codec, sound.rate_hz, sound.channels)
        assert (heard.index, len(heard.runs)) == (sound.index, sound.runs)
        assert float(heard.span.start) == near(sound.first_s, sound.tolerance_s)
        assert float(heard.span.end) == near(sound.end_s, sound.tolerance_s)
