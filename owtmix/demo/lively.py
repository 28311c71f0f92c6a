"""The lively room: what follows who speaks, names, looks and updates, all of it within forty seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from owtmix.demo.job import sample_job
from owtmix.demo.recording import Person, Take
from owtmix.demo.room import START_MS, steady, write_room

LIVELY: Final = "lively-room"
LENGTH_MS: Final = 40_000

_PEOPLE: Final = {
    "alice": Person("Alice", (72, 118, 190), (), 7.0, ((1_000, 6_500), (24_000, 27_000)), 210),
    "bob": Person("Bob", (66, 148, 106), (), 5.5, ((7_200, 12_000), (26_000, 31_500)), 118),
    "wang": Person("王小明", (194, 108, 66), (), 6.3, ((13_000, 18_500),), 140),
    "dana": Person("Dana", (142, 88, 168), (), 4.7, ((20_000, 23_500),), 190),
    "erin": Person("Erin", (176, 152, 70), (), 5.9, ((32_500, 37_000),), 235),
    "phone": Person("+49 30 0000", (110, 110, 110), (), 6.0, ((15_200, 16_000), (37_500, 39_500)), 100),
}
_SLIDES_MS: Final = (0, 700, 1500, 1600, 3900, 4400, 6200, 8000, 8100, 9700)
_TAKES: Final = (
    *(
        Take(f"{name}_1", f"{name}_1.webm", person, 0, LENGTH_MS, steady(LENGTH_MS, 15), "vp8")
        for name, person in _PEOPLE.items()
        if name not in {"dana", "phone"}
    ),
    Take("dana_1", "dana_1.mp4", _PEOPLE["dana"], 4_000, 33_000, steady(33_000, 15), "h264", 44_100, "mono"),
    Take("phone_1", "phone_1.webm", _PEOPLE["phone"], 2_500, 37_500, (), "vp8", sound="mono"),
    Take("alice_2", "alice_2.webm", _PEOPLE["alice"], 12_500, 11_000, _SLIDES_MS, "vp8", sound="none", is_screen=True),
)


def make_lively_room(folder: Path) -> Path:
    """Write the lively room and its job, ``lively.json``, to ``folder``; returns the job file.

    Raises:
        OSError: they cannot be written.
    """
    write_room(folder, LIVELY, _TAKES)
    job_file = folder / "lively.json"
    job_file.write_text(json.dumps(_job(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return job_file


def _job() -> dict[str, Any]:
    """The job of the lively room."""
    job = sample_job()
    job["Internal"]["JobId"] = job["Internal"]["RoomId"] = LIVELY
    job["Data"]["Names"] = {"wang": "王小明 · Wang Xiaoming", "phone": "Caller"}
    job["Data"]["MixerConfig"] = {
        "MixedVideoLayout": 2,
        "ResizeMode": 1,
        "BackgroundColor": {"R": 24, "G": 26, "B": 36},
        "FollowSpeaker": True,
        "ScreenFirst": True,
        "SpeakerBorder": True,
        "ShowAudioOnly": True,
        "Labels": True,
        "Gap": 8,
        "CornerRadius": 16,
        "Transition": 0.4,
        "WaterMark": [{"Type": 1, "X": 16, "Y": 16, "Anchor": "bottom-right", "Alpha": 0.8}],
    }
    job["Data"]["Updates"] = [
        _update(18_000, "job.stream.update", {"StreamConfig": [{"RtcStreamId": "bob_1", "MuteAudio": True}]}),
        _update(25_000, "job.stream.update", {"StreamConfig": [{"RtcStreamId": "bob_1", "MuteAudio": False}]}),
        _update(28_500, "job.stream.update", {"StreamConfig": [{"RtcStreamId": "dana_1", "MuteVideo": True}]}),
        _update(32_000, "job.mixer.update", {"MixerConfig": {"MixedVideoLayout": 1, "PageSize": 4, "PageSeconds": 4}}),
    ]
    return job


def _update(room_ms: int, action: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"At": START_MS + room_ms, "Action": action, "Data": data}
