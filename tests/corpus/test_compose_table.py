"""All files of the corpus, composed in a few rooms with an intact neighbour, against the table."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.corpus import checks, rooms
from tests.corpus.rooms import Guest
from tests.corpus.row import Row
from tests.corpus.table import LEFT_OUT, ROWS, USABLE, needs_media

pytestmark = needs_media

LIMIT_S: Final = 10.2
"""Longer files are ended by the index. What is special is before that, except in the file with long gaps."""

LONGEST_SOUND_S: Final = 4.0
"""Sounds without a picture are played one after the other: their sum would reach the limiter."""

TILES: Final = 8

LAG_TOLERANCE_S: Final = 0.02
"""Largest delay of the picture, of the sound, and of one relative to the other."""


def _rooms() -> dict[str, tuple[Guest, ...]]:
    """Group files of similar length, so that no room is long because of one file."""
    by_length = sorted(USABLE, key=lambda row: row.end_s - row.first_s)
    gaps = [row for row in by_length if row.video and row.video.gaps and not row.screen]
    films = [row for row in by_length if row.video and row not in gaps]
    sounds = [row for row in by_length if not row.video]
    parts = [films[first : first + TILES] for first in range(0, len(films), TILES)]
    return {
        **{f"films-{number}": rooms.invite(part, LIMIT_S) for number, part in enumerate(parts)},
        "gaps": rooms.invite(gaps, limit_s=60),
        "sounds": rooms.invite(sounds, LONGEST_SOUND_S, in_turn=True),
    }


ROOMS: Final = _rooms()
DEALT: Final = {name: LEFT_OUT[number :: len(ROOMS)] for number, name in enumerate(ROOMS)}


def test_every_file_is_in_a_room() -> None:
    met: list[Row] = [guest.row for guests in ROOMS.values() for guest in guests]
    assert sorted(row.name for row in (*met, *sum(DEALT.values(), ()))) == sorted(row.name for row in ROWS)


@pytest.mark.parametrize("name", ROOMS)
def test_every_file_composes(name: str, tmp_path: Path) -> None:
    """The tile shows the picture or the placeholder, the sound is in the mix, both in sync; the neighbour is intact."""
    room = rooms.compose(ROOMS[name], DEALT[name], tmp_path)
    problems = [*checks.check_left_out(room, DEALT[name]), *checks.check_neighbour(room)]
    films = [guest for guest in room.guests if guest.row.video]
    lags: dict[str, list[float]] = {}
    for number, guest in enumerate(films, 1):
        tile = checks.Tile(guest, room, rooms.tile(number))
        problems += tile.check()
        lag_s = tile.lag_s()
        if (lag_s is None) != guest.row.still:
            problems.append(f"{guest.row.name}: the lag of its picture is {lag_s}")
        lags.setdefault(guest.row.name, []).extend([] if lag_s is None else [lag_s])
    for guest in room.guests:
        if guest.row.sound:
            lag_s = checks.sound_lag_s(guest, room)
            if (lag_s is None) != guest.row.quiet:
                problems.append(f"{guest.row.name}: the lag of its sound is {lag_s}")
            lags.setdefault(guest.row.name, []).extend([] if lag_s is None else [lag_s])
    for file, measured in lags.items():
        if max((abs(a - b) for a in measured for b in (*measured, 0)), default=0) > LAG_TOLERANCE_S:
            problems.append(f"{file}: picture and sound are late by {measured} s")
    assert not problems, "\n".join(problems)
