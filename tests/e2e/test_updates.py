"""Rooms whose layout, looks, subscriptions and streams change while they run."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.e2e.bench import Bench, check_everything, check_pictures, run
from tests.support.people import Take, person
from tests.support.room import Room

ROOM: Final[tuple[Take, ...]] = (
    person(0, 0, 7413, 350, 1250, 2950, 4450, 6050, size=(320, 180)),
    person(1, 337, 6093, 1015, 2715, 4130, 5200, size=(240, 180), container="webm"),
    person(2, 2671, 4231, 640, 1885, size=(180, 320)),
)
"""Three people; the third comes in the middle."""


def mixer(**keys: Any) -> dict[str, Any]:
    return {"Action": "job.mixer.update", "Data": {"MixerConfig": keys}}


def subscribe(**keys: Any) -> dict[str, Any]:
    return {"Action": "job.subscribe.update", "Data": {"SubscribeConfig": keys}}


def stream(name: str, **keys: bool) -> dict[str, Any]:
    return {"Action": "job.stream.update", "Data": {"StreamConfig": [{"RtcStreamId": name, **keys}]}}


def test_layouts_and_looks_change_between_frames(bench: Bench) -> None:
    updates = (
        (1111, mixer(MixedVideoLayout=2)),
        (2222, mixer(ResizeMode=1, MaxResolutionStream="p1_1")),
        (3333, mixer(MixedVideoLayout=3, MaxResolutionStream="p0_1")),
        (4444, mixer(MixedVideoLayout=1, ResizeMode=0)),
        (4444, mixer(ResizeMode=2)),
        (-50, mixer(MixedVideoLayout=4)),
    )
    check_everything(bench.compose(Room(ROOM, updates=updates)))


def test_positions_are_taken_and_given_up(bench: Bench) -> None:
    region = {"X": 40, "Y": 40, "Width": 320, "Height": 180, "Z": 0}
    positions = [{"RtcStreamId": "p1_1", "Region": region}, {"RtcStreamId": "p2_1", "Region": region | {"X": 300}}]
    manual = {"MixerConfig": {"PositionConfig": positions}, "SubscribeConfig": {"VideoStreamType": 1}}
    updates = (
        (1777, {"Action": "job.update", "Data": manual}),
        (5111, subscribe(VideoStreamType=0)),
    )
    check_everything(bench.compose(Room(ROOM, updates=updates)))


def test_people_are_muted_and_hidden_and_come_back(bench: Bench) -> None:
    """One of them before she has joined."""
    updates = (
        (511, stream("p0_1", MuteVideo=True)),
        (1111, stream("p1_1", MuteAudio=True, HasVideo=False)),
        (1900, stream("p2_1", HasAudio=False)),
        (2111, stream("p0_1", MuteVideo=False)),
        (3333, stream("p1_1", MuteAudio=False)),
        (4000, stream("p2_1", MuteAudio=False)),
    )
    check_everything(bench.compose(Room(ROOM, updates=updates)))


def test_subscriptions_change_who_is_in_the_mix(bench: Bench) -> None:
    updates = (
        (1111, subscribe(UnsubscribeVideo=["p0_1"])),
        (2100, subscribe(UnsubscribeVideo=["p0_1"], UnsubscribeAudio=["p0_1"])),
        (3777, subscribe(UnsubscribeVideo=[], UnsubscribeAudio=["p1_1"])),
        (4888, subscribe(UnsubscribeAudio=[])),
    )
    check_everything(bench.compose(Room(ROOM, updates=updates)))


def test_the_output_ends_after_the_key_stream_was_unsubscribed(bench: Bench) -> None:
    """And what nobody is in is cut."""
    away = subscribe(UnsubscribeVideo=["p0_1", "p1_1"], UnsubscribeAudio=["p0_1", "p1_1"])
    room = Room(ROOM[:2], job={"KeyStream": "p0_1", "IdleTime": 1}, updates=((3300, away),))
    composed = bench.compose(room)
    assert composed.model.duration_s < 5
    check_everything(composed)


def test_what_nobody_is_in_for_a_while_is_cut(bench: Bench) -> None:
    nobody = subscribe(SubscribeVideo=["nobody_1"], SubscribeAudio=["nobody_1"])
    everybody = subscribe(SubscribeVideo=[], SubscribeAudio=[])
    updates = ((1500, nobody), (4500, everybody))
    composed = bench.compose(Room(ROOM[:1], job={"IdleTime": 1}, updates=updates))
    assert abs(float(composed.model.duration_s) - (7.413 - 2)) < 0.01
    check_everything(composed)


def test_a_mute_and_unmute_every_second(bench: Bench) -> None:
    changes = [(500 * n + 180, stream("p0_1", MuteVideo=n % 2 == 0, MuteAudio=n % 2 == 1)) for n in range(14)]
    check_everything(bench.compose(Room(ROOM[:2], updates=tuple(changes))))


def test_updates_of_a_file_beside_the_index_count(bench: Bench) -> None:
    room = Room(ROOM[:2], updates=((1111, mixer(MixedVideoLayout=2)), (2222, stream("p0_1", MuteVideo=True))))
    job_file = bench.lay_out(room)
    document = json.loads(job_file.read_text())
    updates = document["Data"].pop("Updates")
    job_file.write_text(json.dumps(document))
    name = f"{document['Internal']['JobId']}.updates.jsonl"
    (job_file.parent / name).write_text("".join(json.dumps(update) + "\n" for update in updates) + "\n")
    check_pictures(run(room, job_file, "--device", "cpu"))
