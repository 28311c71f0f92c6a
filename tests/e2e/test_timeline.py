"""Presence, pauses, cut gaps, the end of the output and subscription, in composed rooms."""

from __future__ import annotations

import pytest

from tests.e2e.bench import Bench, Composed, check_everything, check_placeholders
from tests.support.people import person
from tests.support.room import Room


def _streams(composed: Composed, kind: str) -> set[str]:
    return set(composed.report["streams"][kind])


def test_a_short_absence_keeps_the_tile_and_a_long_one_does_not(bench: Bench) -> None:
    room = Room(
        (
            person(0, 0, 6000, 500, 5500),
            person(1, 211, 1300, 400),
            person(1, 2111, 900, 300, container="webm"),
            person(1, 5033, 900, 300),
        )
    )
    check_everything(bench.compose(room))


def test_a_camera_that_pauses_shows_the_placeholder_and_a_still_screen_stays(bench: Bench) -> None:
    camera = tuple(t for t in range(0, 7000, 100) if not 1200 < t < 5300)
    room = Room(
        (
            person(0, 0, 7000, 700, 6100, frames_ms=camera, container="webm"),
            person(
                1, 450, 6400, 800, stream="p1_2", frames_ms=(0, 400, 800, 1000, 5900), container="webm", sound=False
            ),
            person(2, 130, 6870, 1100, frames_ms=tuple(range(0, 2000, 70)), container="webm"),
        )
    )
    composed = bench.compose(room)
    check_everything(composed)
    check_placeholders(composed)
    looks = {(shown.stream, shown.colour is None) for scene in composed.model.scenes for shown in scene}
    assert looks == {("p0_1", False), ("p0_1", True), ("p1_2", False), ("p2_1", False), ("p2_1", True)}


def test_frames_that_come_irregularly_keep_their_time(bench: Bench) -> None:
    jittered = tuple(t + (t * 7919) % 60 for t in range(0, 4800, 66))
    room = Room(
        (person(0, 0, 5000, 1043, 3717, frames_ms=jittered, container="webm"), person(1, 77, 4900, 2000)), fps=15
    )
    check_everything(bench.compose(room))


def test_a_long_gap_is_cut_to_the_idle_time(bench: Bench) -> None:
    # Opus ends at the exact sample; AAC may end a codec frame later, which would shift what follows the cut.
    room = Room((person(0, 0, 1900, 700, container="webm"), person(1, 8237, 2000, 900)), job={"IdleTime": 2})
    composed = bench.compose(room)
    check_everything(composed)
    assert len(composed.video.times_s) < 80
    assert composed.report["warnings"]


def test_the_output_ends_after_the_key_stream_left_for_good(bench: Bench) -> None:
    room = Room(
        (person(0, 0, 9000, 900, 5700, 8000), person(1, 311, 1500, 500), person(1, 3011, 1700, 600)),
        job={"KeyStream": "p1_1", "IdleTime": 2},
    )
    composed = bench.compose(room)
    check_everything(composed)
    assert len(composed.video.times_s) == 68


def test_the_end_time_of_the_index_bounds_a_file(bench: Bench) -> None:
    check_everything(bench.compose(Room((person(0, 0, 4000, 700), person(1, 309, 3500, 800, 2500, end_ms=2011)))))


def test_sound_and_picture_of_one_stream_may_be_two_files(bench: Bench) -> None:
    check_everything(
        bench.compose(
            Room(
                (
                    person(0, 0, 4000, 700, 2900, sound=False),
                    person(0, 0, 4000, 700, 2900, picture=False, container="webm"),
                    person(1, 613, 3000, 1400, picture_from_ms=800),
                    person(2, 1207, 2500, 1800, sound_from_ms=600),
                )
            )
        )
    )


@pytest.mark.parametrize(
    "subscribe",
    [
        {"SubscribeVideo": ["p1_1", "p2_1", ""], "UnsubscribeAudio": ["p2_1"]},
        {"UnsubscribeVideo": ["p0_1"], "SubscribeAudio": ["p0_1", "p3_1"]},
        {"UnsubscribeVideo": ["p0_1"], "UnsubscribeAudio": ["p0_1"]},
    ],
    ids=["some-seen", "one-heard-only", "first-left-out"],
)
def test_subscriptions_decide_who_is_seen_and_heard(bench: Bench, subscribe: dict[str, list[str]]) -> None:
    people = tuple(person(number, 370 * number, 3000, 1100 + 90 * number) for number in range(4))
    composed = bench.compose(Room(people, subscribe=subscribe))
    check_everything(composed)
    assert _streams(composed, "used") == set(composed.model.streams)


def test_streams_beyond_the_limit_are_left_out_with_a_warning(bench: Bench) -> None:
    people = tuple(person(number, 370 * number, 3000, 1100 + 90 * number) for number in range(4))
    composed = bench.compose(Room(people, subscribe={"MaxSubscriptions": 2}))
    check_everything(composed)
    assert _streams(composed, "used") == {"p0_1", "p1_1"}
    assert composed.report["warnings"]
