"""The order in which tracks are made while their sources are fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from owtmix.base.time import TimeRange
from owtmix.inputs.prefetch import Prefetcher
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.settings import PlanSettings, VideoSettings
from owtmix.plan.build import make_plan
from owtmix.plan.device import RenderDevice
from owtmix.plan.model import RenderPlan
from owtmix.plan.source_usage import longest_piece_s, source_usage
from owtmix.produce.schedule import Schedule
from owtmix.produce.spare_places import SparePlaces
from owtmix.produce.tasks import AudioTask, ChunkTask, RenderSetup, TrackTask
from owtmix.storage import LocalCopy
from owtmix.workers.places import Places
from tests.support.plans import ANNA, BEN, JOB, SCREEN, both, heard, index_of, room
from tests.support.store import FakeStore, budget_of, source_set, wait_until_ready

CLIPS: Final = room(both(ANNA, 0, 10), both(SCREEN, 4, 10), heard(BEN, 2, 8))
PLAN: Final = make_plan(JOB, index_of(CLIPS), CLIPS, PlanSettings(VideoSettings(chunk_s=Fraction(2))))
"""Ten seconds in five chunks; the screen comes in the third, and a sound in the second."""

LATE: Final = room(both(ANNA, 0, 4), both(SCREEN, 6, 10))
"""Two recordings; the second starts after the first has ended."""


def chunks(plan: RenderPlan = PLAN) -> Sequence[range]:
    assert plan.picture
    return plan.picture.chunks


def tasks(plan: RenderPlan = PLAN) -> list[TrackTask]:
    files = [SourceFile(str(n), LocalCopy(Path(str(n)))) for n in range(3)]
    setup = RenderSetup(plan, files, {})
    pictures = [ChunkTask(setup, frames, Path(f"{frames.start}"), 1) for frames in chunks(plan)]
    return [AudioTask(setup, Path("sound")), *pictures]


def spans(uses: Mapping[int, TimeRange]) -> dict[int, tuple[float, float]]:
    return {n: (float(span.start), float(span.end)) for n, span in uses.items()}


def same(task: TrackTask) -> TrackTask:
    return task


def named(task: TrackTask | None) -> str | None:
    return task.track.name if task else None


def test_a_source_is_needed_from_its_first_use_to_its_last() -> None:
    assert spans(source_usage(PLAN, chunks(), sound=True)) == {0: (0, 10), 1: (4, 10), 2: (2, 8)}
    assert spans(source_usage(PLAN, chunks(), sound=False)) == {0: (0, 10), 1: (4, 10)}
    assert spans(source_usage(PLAN, (), sound=True)) == {0: (0, 10), 1: (4, 10), 2: (2, 8)}


def test_only_sources_of_the_chunks_that_are_made_are_needed() -> None:
    assert spans(source_usage(PLAN, chunks()[:2], sound=False)) == {0: (0, 4)}
    assert spans(source_usage(PLAN, [chunks()[1], chunks()[3]], sound=False)) == {0: (2, 8), 1: (6, 8)}
    single = replace(JOB, mixer=replace(JOB.mixer, layout=type(JOB.mixer.layout).SINGLE, max_resolution_stream=SCREEN))
    hidden = make_plan(single, index_of(CLIPS), CLIPS, PlanSettings())
    assert spans(source_usage(hidden, [range(100, 110)], sound=False)) == {1: (20 / 3, 22 / 3)}


def test_the_longest_piece_is_the_longest_chunk_or_a_second_of_sound() -> None:
    assert longest_piece_s(PLAN) == 2
    assert longest_piece_s(replace(PLAN, picture=None)) == 1


def supplied(folder: Path, *hold: str) -> tuple[FakeStore, Prefetcher]:
    store = FakeStore({"anna": 5, "screen": 4, "ben": 3})
    store.hold(*hold)
    return store, source_set(store, folder).prefetch(source_usage(PLAN, chunks(), sound=True), longest_piece_s(PLAN))


def test_a_chunk_is_begun_when_its_sources_are_here_and_the_sound_when_all_are(tmp_path: Path) -> None:
    store, prefetcher = supplied(tmp_path, "screen", "ben")
    with prefetcher:
        wait_until_ready(prefetcher, 0)
        schedule = Schedule(tasks(), 1, prefetcher, same)
        assert [named(schedule.take(1)) for _ in range(3)] == ["0", "30", None]
        assert len(schedule) == 4
        store.let_go("screen")
        wait_until_ready(prefetcher, 1)
        assert named(schedule.take(1)) == "60"
        store.let_go("ben")
        wait_until_ready(prefetcher, 0, 1, 2)
        assert [named(schedule.take(1)) for _ in range(4)] == ["sound", "90", "120", None]
        assert len(schedule) == 0


def test_the_worker_of_the_sound_continues_with_the_first_chunks(tmp_path: Path) -> None:
    """Other workers must decode up to their first chunk, which takes about as long as the sound."""
    _, prefetcher = supplied(tmp_path)
    with prefetcher:
        wait_until_ready(prefetcher, 0, 1, 2)
        schedule = Schedule(tasks(), 2, prefetcher, same)
        assert [named(schedule.take(worker)) for worker in (1, 2, 1, 2)] == ["sound", "60", "0", "90"]


def test_one_worker_composes_one_chunk_at_a_time_beside_the_sound(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path)
    with prefetcher:
        wait_until_ready(prefetcher, 0, 1, 2)
        schedule = Schedule(tasks(), 1, prefetcher, same)
        sound, first = schedule.take(1), schedule.take(2)
        assert (named(sound), named(first)) == ("sound", "0")
        assert sound
        assert first
        schedule.finish(sound)
        assert schedule.take(1) is None
        schedule.finish(first)
        assert [named(schedule.take(worker)) for worker in (2, 1)] == ["30", None]


def test_a_spare_place_is_a_further_worker_for_one_chunk(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path)
    places = Places(tmp_path / "places", 1)
    with prefetcher:
        wait_until_ready(prefetcher, 0, 1, 2)
        schedule = Schedule(tasks(), 1, prefetcher, same, SparePlaces(places, 3, partial(next, count())))
        assert schedule.useful == 3  # the sound, a chunk, and another one
        sound, first, further = (schedule.take(worker) for worker in (1, 2, 3))
        assert (named(sound), named(first), named(further)) == ("sound", "0", "90")
        assert sound
        assert first
        assert further
        assert places.take() is None
        schedule.finish(sound)
        assert schedule.take(1) is None
        assert schedule.useful == 2
        schedule.finish(first)
        assert named(schedule.take(2)) == "30"
        schedule.finish(further)
        with places.wait():
            assert schedule.take(3) is None
        assert named(schedule.take(3)) == "120"


def test_sound_alone_is_begun_at_once(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path, "anna", "screen", "ben")
    with prefetcher:
        assert named(Schedule(tasks()[:1], 2, prefetcher, same).take(1)) == "sound"


def test_with_a_small_budget_the_sound_is_begun_at_once_and_used_sources_are_removed(tmp_path: Path) -> None:
    plan = make_plan(JOB, index_of(LATE), LATE, PlanSettings(VideoSettings(chunk_s=Fraction(2))))
    store = FakeStore({"anna": 5, "screen": 4})
    uses = source_usage(plan, chunks(plan), sound=True)
    with source_set(store, tmp_path, budget_of(8)).prefetch(uses, longest_piece_s(plan)) as prefetcher:
        assert prefetcher.needs_release
        schedule = Schedule(tasks(plan), 1, prefetcher, same)
        assert named(schedule.take(1)) == "sound"
        wait_until_ready(prefetcher, 0)
        first, second = schedule.take(1), schedule.take(1)
        assert first
        assert second
        sound = tasks(plan)[0]
        for task in (first, second):
            schedule.finish(task)
        schedule.advance(sound, 3.9)
        assert "screen" not in store.fetched
        schedule.advance(sound, 4)
        wait_until_ready(prefetcher, 1)
        assert not prefetcher.ready([0])


def test_with_a_small_budget_another_worker_begins_with_the_first_chunk(tmp_path: Path) -> None:
    """The sound waits for a source that is fetched when the first one is removed."""
    plan = make_plan(JOB, index_of(LATE), LATE, PlanSettings(VideoSettings(chunk_s=Fraction(2))))
    uses = source_usage(plan, chunks(plan), sound=True)
    with source_set(FakeStore({"anna": 5, "screen": 4}), tmp_path, budget_of(8)).prefetch(
        uses, longest_piece_s(plan)
    ) as prefetcher:
        wait_until_ready(prefetcher, 0)
        schedule = Schedule(tasks(plan), 2, prefetcher, same)
        assert [named(schedule.take(worker)) for worker in (1, 2)] == ["sound", "0"]


@pytest.mark.parametrize("worker", [1, 2])
def test_a_source_that_cannot_be_fetched_is_left_out_of_tasks_that_have_not_begun(tmp_path: Path, worker: int) -> None:
    gone = FakeStore({"anna": 5, "gone": 4, "ben": 3})
    now = {task.track: task for task in tasks()}
    with source_set(gone, tmp_path).prefetch(source_usage(PLAN, chunks(), sound=True)) as prefetcher:
        schedule = Schedule(tasks(), 1, prefetcher, lambda task: now[task.track])
        wait_until_ready(prefetcher, 0, 1, 2)
        assert [named(schedule.take(worker)) for _ in range(3)] == ["0", "30", None]
        without = PLAN.without_source(1, Fraction(0), sound=False).without_source(1, Fraction(0), sound=True)
        now = {task.track: task for task in tasks(without)}
        taken = [schedule.take(worker) for _ in range(4)]
    assert [named(task) for task in taken] == ["sound", "60", "90", "120"]
    assert all(task and task.setup.plan == without for task in taken)


def test_after_a_stop_chunks_are_still_composed_while_the_sound_waits_for_disk_space(tmp_path: Path) -> None:
    """A chunk has failed; the sound, which has begun, must still end."""
    plan = make_plan(JOB, index_of(LATE), LATE, PlanSettings(VideoSettings(chunk_s=Fraction(2))))
    store = FakeStore({"anna": 5, "screen": 4})
    uses = source_usage(plan, chunks(plan), sound=True)
    with source_set(store, tmp_path, budget_of(8)).prefetch(uses, longest_piece_s(plan)) as prefetcher:
        schedule = Schedule(tasks(plan), 1, prefetcher, same)
        sound = schedule.take(1)
        assert isinstance(sound, AudioTask)
        wait_until_ready(prefetcher, 0)
        first = schedule.take(1)
        assert first
        schedule.finish(first)
        schedule.stop()
        schedule.advance(sound, 4)
        second = schedule.take(1)
        assert second
        schedule.finish(second)
        wait_until_ready(prefetcher, 1)
        schedule.finish(sound)
        schedule.stop()
        assert len(schedule) == 0


def test_stopping_begins_nothing_more(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path)
    with prefetcher:
        wait_until_ready(prefetcher, 0, 1, 2)
        schedule = Schedule(tasks(), 1, prefetcher, same)
        assert named(schedule.take(1)) == "sound"
        schedule.stop()
        assert len(schedule) == 0
        assert schedule.take(1) is None


def test_workers_elsewhere_take_chunks_whose_sources_are_not_here(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path, "screen", "ben")
    with prefetcher:
        wait_until_ready(prefetcher, 0)
        schedule = Schedule(tasks(), 1, prefetcher, same, away=1)
        assert [named(schedule.take_away(1000)) for _ in range(6)] == ["0", "30", "60", "90", "120", None]
        assert len(schedule) == 1  # the sound stays here


def test_a_chunk_that_was_put_back_goes_to_anybody_or_stays_at_home(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path)
    with prefetcher:
        wait_until_ready(prefetcher, 0, 1, 2)
        schedule = Schedule(tasks()[1:], 1, prefetcher, same, away=1)
        taken = [schedule.take_away(1000) for _ in range(5)]
        first, second = taken[:2]
        assert isinstance(first, ChunkTask)
        assert isinstance(second, ChunkTask)
        schedule.put_back(first, at_home=True)
        assert schedule.take_away(1000) is None
        schedule.put_back(second, at_home=False)
        assert len(schedule) == 2
        assert named(schedule.take_away(1001)) == "30"
        assert named(schedule.take(1)) == "0"
        assert len(schedule) == 0


def test_a_chunk_that_is_put_back_after_a_failure_is_not_begun_again(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path)
    with prefetcher:
        wait_until_ready(prefetcher, 0, 1, 2)
        schedule = Schedule(tasks()[1:], 1, prefetcher, same, away=1)
        taken = schedule.take_away(1000)
        assert isinstance(taken, ChunkTask)
        schedule.stop()
        schedule.put_back(taken, at_home=False)
        assert len(schedule) == 0


def test_a_picture_on_a_gpu_stays_at_home(tmp_path: Path) -> None:
    _, prefetcher = supplied(tmp_path)
    with prefetcher:
        wait_until_ready(prefetcher, 0, 1, 2)
        gpu = RenderDevice("it works", 0)
        on_gpu = [replace(task, setup=replace(task.setup, device=gpu)) for task in tasks()]
        schedule = Schedule(on_gpu, 1, prefetcher, same, away=1)
        assert schedule.take_away(1000) is None
