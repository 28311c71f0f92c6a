"""What decides the key of a chunk and that of the sound, besides the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from owtmix.jobfile.settings import Settings
from owtmix.plan.build import make_plan, with_device
from owtmix.plan.device import CPU, RenderDevice
from owtmix.produce import chunk_key as under_test
from owtmix.produce.chunk_key import Inputs, audio_key, chunk_key, track_keys
from tests.support.plans import ANNA, JOB, heard, index_of, room, seen

CLIPS: Final = room(seen(ANNA, 0, 10), heard(ANNA, 0, 10))
PLAN: Final = make_plan(JOB, index_of(CLIPS), CLIPS, Settings())
INPUTS: Final = Inputs(["1", "2"], {})
FRAMES: Final = range(25)


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The digests of the code, which a test may change."""
    digests = {"picture": "a", "sound": "b", "picture on a GPU": "c"}

    def code_digest(kind: str, *, on_gpu: bool = False) -> str:
        return digests[kind + " on a GPU" * on_gpu]

    monkeypatch.setattr(under_test, "code_digest", code_digest)
    return digests


def test_code_counts_for_the_tracks_that_it_makes(digests: dict[str, str]) -> None:
    sound, *chunks = track_keys(PLAN, INPUTS)
    assert chunks
    digests["picture"] = "other"
    new_sound, *new_chunks = track_keys(PLAN, INPUTS)
    assert new_sound == sound
    assert not set(new_chunks) & set(chunks)
    digests["sound"] = "other"
    assert audio_key(PLAN, INPUTS) != sound
    assert track_keys(PLAN, INPUTS)[1:] == new_chunks


def test_the_libraries_of_the_gpu_count_where_one_composes(digests: dict[str, str]) -> None:
    on_cpu, on_gpu = (with_device(PLAN, JOB, device) for device in (CPU, RenderDevice("it works", 0)))
    before = [chunk_key(plan, FRAMES, INPUTS) for plan in (PLAN, on_cpu, on_gpu)]
    digests["picture on a GPU"] = "other"
    after = [chunk_key(plan, FRAMES, INPUTS) for plan in (PLAN, on_cpu, on_gpu)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False]
    assert audio_key(on_gpu, INPUTS) == audio_key(PLAN, INPUTS)


def test_the_same_code_plan_and_inputs_give_the_same_keys() -> None:
    assert track_keys(PLAN, INPUTS) == track_keys(replace(PLAN, output_key="elsewhere.mp4"), INPUTS)


def test_another_recording_counts_where_it_is_used() -> None:
    sound, *chunks = track_keys(PLAN, INPUTS)
    (shown,) = {shot.source for shots in (PLAN.picture.shots.values() if PLAN.picture else ()) for shot in shots}
    assert shown is not None
    versions = list(INPUTS.versions)
    versions[shown] = "3"
    assert audio_key(PLAN, Inputs(versions, {})) == sound
    assert not set(track_keys(PLAN, Inputs(versions, {}))[1:]) & set(chunks)
