"""The keys of chunks and of the sound: what changes them, besides the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from owtmix.jobfile.settings import PlanSettings
from owtmix.plan.build import make_plan, with_device
from owtmix.plan.device import CPU, RenderDevice
from owtmix.produce.chunk_key import InputVersions, audio_key, chunk_key, track_keys
from tests.support.plans import ANNA, JOB, heard, index_of, room, seen

CLIPS: Final = room(seen(ANNA, 0, 10), heard(ANNA, 0, 10))
PLAN: Final = make_plan(JOB, index_of(CLIPS), CLIPS, PlanSettings())
INPUTS: Final = InputVersions(["1", "2"], {})
FRAMES: Final = range(25)


def with_code(**digests: str) -> InputVersions:
    """The inputs, with the digests of the code for the picture, the sound, and the picture on a GPU."""
    all_digests = {"picture": "a", "sound": "b", "gpu": "c"} | digests
    return replace(INPUTS, code=lambda kind, on_gpu=False: all_digests["gpu" if on_gpu else kind])


def test_changed_code_changes_the_keys_of_the_tracks_that_it_makes() -> None:
    sound, *chunks = track_keys(PLAN, with_code())
    assert chunks
    new_sound, *new_chunks = track_keys(PLAN, with_code(picture="other"))
    assert new_sound == sound
    assert not set(new_chunks) & set(chunks)
    assert audio_key(PLAN, with_code(sound="other")) != sound
    assert track_keys(PLAN, with_code(sound="other"))[1:] == chunks


def test_libraries_of_the_gpu_change_keys_only_where_a_gpu_composes() -> None:
    on_cpu, on_gpu = (with_device(PLAN, JOB, device) for device in (CPU, RenderDevice("it works", 0)))
    plans = (PLAN, on_cpu, on_gpu)
    before = [chunk_key(plan, FRAMES, with_code()) for plan in plans]
    after = [chunk_key(plan, FRAMES, with_code(gpu="other")) for plan in plans]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False]
    assert audio_key(on_gpu, with_code()) == audio_key(PLAN, with_code())


def test_a_picture_without_its_loop_filter_has_other_chunks() -> None:
    rough = replace(PLAN, sources=tuple(replace(source, loop_filter=not source.video) for source in PLAN.sources))
    sound, *chunks = track_keys(PLAN, INPUTS)
    assert track_keys(rough, INPUTS)[0] == sound
    assert not set(track_keys(rough, INPUTS)[1:]) & set(chunks)


def test_the_same_code_plan_and_inputs_give_the_same_keys() -> None:
    assert track_keys(PLAN, INPUTS) == track_keys(replace(PLAN, output_key="elsewhere.mp4"), INPUTS)


def test_a_changed_recording_changes_the_keys_of_the_tracks_that_use_it() -> None:
    sound, *chunks = track_keys(PLAN, INPUTS)
    (shown,) = {shot.source for shots in (PLAN.picture.shots.values() if PLAN.picture else ()) for shot in shots}
    assert shown is not None
    versions = list(INPUTS.sources)
    versions[shown] = "3"
    assert audio_key(PLAN, InputVersions(versions, {})) == sound
    assert not set(track_keys(PLAN, InputVersions(versions, {}))[1:]) & set(chunks)
