"""Which decoders are opened is decided before any is: where they do not fit together, the greediest go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar

from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange
from owtmix.plan.build import make_plan
from owtmix.plan.decoder_budget import needed_bytes, within_decoder_memory
from owtmix.plan.media_info import Clip
from owtmix.plan.memory import PROCESS_BYTES, picture_memory
from owtmix.plan.model import RenderPlan
from owtmix.plan.scenes import Scene
from owtmix.plan.shots import Shot
from tests.plan.test_build import SETTINGS
from tests.support.plans import ANNA, BEN, CARL, JOB, index_of, room, seen

MIB = 1 << 20


def needing(clip: Clip, mib: int) -> Clip:
    assert clip.video
    return replace(clip, video=replace(clip.video, decoder_bytes=mib * MIB))


def plan_of(*clips: Clip) -> RenderPlan:
    return make_plan(JOB, index_of(clips), room(*clips), SETTINGS)


def shown(plan: RenderPlan, stream: StreamId) -> list[tuple[float, float]]:
    """When the picture of a stream is not a placeholder."""
    assert plan.picture
    return [(float(s.span.start), float(s.span.end)) for s in plan.picture.shots[stream] if s.source is not None]


def worker(mib: int, plan: RenderPlan) -> int:
    """A worker with so much memory for decoders."""
    assert plan.picture
    return picture_memory(plan.picture, {}).total + mib * MIB


ROOM = plan_of(needing(seen(ANNA, 0, 30), 100), needing(seen(BEN, 10, 30), 700), needing(seen(CARL, 20, 30), 300))


def test_what_fits_stays_as_it_is() -> None:
    assert within_decoder_memory(ROOM, {}, worker(1100, ROOM)) == (ROOM, ())


def test_the_greediest_goes_from_where_they_do_not_fit_together() -> None:
    plan, reasons = within_decoder_memory(ROOM, {}, worker(1099, ROOM))
    assert shown(plan, ANNA) == shown(ROOM, ANNA)
    assert shown(plan, CARL) == shown(ROOM, CARL)
    assert shown(plan, BEN) == [(10, 20)]
    (reason,) = reasons
    assert reason == (
        "ben_1-10-picture is a placeholder from 00:00:20.000 on: its decoder needs about 700 MiB, and with the others "
        "1100 MiB; limits.worker_memory_mib in conf/owt.toml leaves 1099 MiB for decoders"
    )


def test_one_that_does_not_fit_alone_is_never_opened() -> None:
    plan, reasons = within_decoder_memory(ROOM, {}, worker(500, ROOM))
    assert shown(plan, BEN) == []
    assert shown(plan, CARL) == shown(ROOM, CARL)
    assert len(reasons) == 1


def test_as_many_go_as_have_to() -> None:
    plan, reasons = within_decoder_memory(ROOM, {}, worker(99, ROOM))
    assert [shown(plan, stream) for stream in (ANNA, BEN, CARL)] == [[], [], []]
    assert len(reasons) == 3


def test_of_a_stream_one_recording_is_open_at_a_time() -> None:
    """The next is opened when the one before is closed."""
    plan = plan_of(needing(seen(ANNA, 0, 10), 600), needing(seen(ANNA, 10, 20), 600))
    assert needed_bytes(plan, {}) == worker(600, plan)
    assert within_decoder_memory(plan, {}, worker(600, plan)) == (plan, ())


class Counting(tuple[Shot, ...]):
    """Shots that count how often one is looked at."""

    __slots__ = ()
    looks: ClassVar = 0

    def __getitem__(self, index: Any) -> Any:
        Counting.looks += 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Shot]:
        return (self[n] for n in range(len(self)))


def test_of_thousands_of_shots_a_scene_is_compared_with_its_own() -> None:
    clips = [needing(seen(ANNA, 10 * n, 10 * n + 10), 1 + n % 7) for n in range(500)]
    plan = plan_of(*clips)
    assert plan.picture
    scenes = tuple(
        Scene(TimeRange(Fraction(10 * n), Fraction(10 * n + 10)), plan.picture.scenes[0].tiles) for n in range(500)
    )
    shots = {ANNA: Counting(plan.picture.shots[ANNA])}
    Counting.looks = 0
    assert needed_bytes(replace(plan, picture=replace(plan.picture, scenes=scenes, shots=shots)), {}) == worker(7, plan)
    assert Counting.looks < 500 * 20


def test_a_worker_needs_what_its_fullest_moment_does() -> None:
    assert needed_bytes(ROOM, {}) == worker(1100, ROOM)


def test_sound_needs_no_decoder_of_pictures() -> None:
    silent = replace(ROOM, picture=None)
    assert within_decoder_memory(silent, {}, 0) == (silent, ())
    assert needed_bytes(silent, {}) == PROCESS_BYTES
