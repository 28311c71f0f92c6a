"""The job of section 12 that composes a room, as a file beside its index: ``cfg.json``. It holds no secret."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Final

from owtmix.recorder.finish_options import FinishOptions, needed

JOB_FILE: Final = "cfg.json"

_PICTURE: Final = {"Codec": "h264", "Width": 1280, "Height": 720, "Fps": 15, "BitRate": 1500}
_VERSION: Final = "1.0"


def job_text(options: FinishOptions, store: dict[str, Any], index: str, output: str) -> bytes:
    """The job that composes the recordings of ``index``, a key of ``store``, into ``output``, another one.

    Keys of the store come from the environment. Sections that the room's own job does not have get what is usual.
    """
    data = deepcopy(needed(options.data))
    data.setdefault("TranscodingConfig", {}).setdefault("Video", dict(_PICTURE))
    recording = data.setdefault("RecordingConfig", {})
    recording["FileType"] = [_made_type(recording)]
    recording["StorageConfig"] = {**store, "FileNamePrefix": output}
    data["InputConfig"] = {"Index": index}
    document = {
        "Version": _VERSION,
        "Action": "job.start",
        "Internal": {
            "JobId": options.job_id,
            "AppId": options.app_id,
            "RoomId": options.room_id,
            "Mode": 1,
        },
        "Data": data,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def _made_type(recording: dict[str, Any]) -> str:
    """What is made of a room: a recorder writes both formats, one output has one."""
    wanted = recording.get("FileType")
    return "webm" if wanted == ["webm"] else "mp4"
