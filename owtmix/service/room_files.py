"""The folder of a job's room: what the service writes into it for the recorder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any, Final

from owtmix.base.own_files import make_folder, remove, replace_whole, write_whole
from owtmix.jobfile.settings import ServiceSettings
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.recorder.live_folder import LIVE
from owtmix.recorder.options import JOURNALS, OPTIONS_FILE, JanusRoom, RoomOptions
from owtmix.service.actions import ACTIONS
from owtmix.service.envelope import as_json, plain_number
from owtmix.service.jobs import Job, Revision
from owtmix.service.live_config import targets
from owtmix.service.mix_key import mixed_into
from owtmix.service.room_config import TRANSCODING

RECORD_START: Final = "job.record.start"
RECORDS: Final = (RECORD_START, "job.record.stop")
ROOMS: Final = "rooms"
ROOM_LOG: Final = "room.log"
FINISH_LOG: Final = "finish.log"
UPDATES: Final = "updates.jsonl"
_MADE: Final = (JOURNALS, "recordings", LIVE)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,14}")
"""Of a room of Janus, as it is written: of others with zeros before it the room would be the same."""
_NOT_REPLAYED: Final = "NotifyConfig"


def room_folder(state: Path, job: Job) -> Path:
    """The folder of a job's room; a job id is a file name."""
    return state / ROOMS / job.id


def recorded(job: Job) -> tuple[int, Mapping[str, Any]]:
    """``MediaChannel`` and ``SubscribeConfig`` of what is recorded now; the channel is 0 while nothing is.

    A room that is mixed only to be pushed is recorded for that.
    """
    recording = job.document.get("RecordingConfig") or {}
    is_pushed = job.mode == 1 and (not recording or bool(targets(job.document)))
    channel = int(recording.get("MediaChannel", 3)) if job.is_recording or is_pushed else 0
    return channel, _plain(job.document.get("SubscribeConfig") or {})


def write_room_options(folder: Path, job: Job, settings: ServiceSettings, require_confinement: tuple[str, ...]) -> None:
    """Write how the room is received.

    Raises:
        OSError: it cannot be written.
    """
    make_folder(folder)
    channel, subscribe = recorded(job)
    options = RoomOptions(
        job_id=job.id,
        app_id=job.app,
        room_id=job.room,
        media_channel=channel,
        subscribe=subscribe,
        ice_addresses=settings.ice_addresses,
        ice_ports=settings.ice_ports if any(settings.ice_ports) else None,
        key_every_s=settings.key_every_s,
        silence_s=settings.gone_s,
        max_sessions=settings.max_streams,
        require_confinement=require_confinement,
        rtmp=settings.rtmp,
        janus=JanusRoom(settings.janus, int(job.room)) if settings.janus and _NUMBER.fullmatch(job.room) else None,
    )
    write_whole(folder / OPTIONS_FILE, options.to_json())


def write_finish_options(folder: Path, job: Job, revisions: Sequence[Revision], settings: ServiceSettings) -> None:
    """Write how the room becomes files, and the updates that composing them replays: who mixes reads them meanwhile.

    Raises:
        OSError: it cannot be written.
    """
    make_folder(folder)
    began = next((one.data for one in revisions if one.action == "job.start"), {})
    recording = job.document.get("RecordingConfig") or {}
    store = recording.get("StorageConfig") or {}
    prefix, mix = mixed_into(recording) if job.mode == 1 else (store.get("FileNamePrefix", ""), "")
    options = FinishOptions(
        job_id=job.id,
        room_id=job.room,
        app_id=job.app,
        prefix=prefix,
        mix=mix,
        store=_plain(store),
        mp4_sound=settings.mp4_audio,
        user_names=_plain(job.document.get("Names") or {}),
        recorded=_recorded(revisions) if job.mode == 1 else (),
        data=_plain({"TranscodingConfig": TRANSCODING, **began, "RecordingConfig": recording}),
    )
    replace_whole(folder / FINISH_FILE, options.to_json())
    lines = [
        as_json({"At": one.at_us // 1000, "Action": one.action, "Data": data})
        for one in revisions
        if ACTIONS[one.action].replayed and (data := {k: v for k, v in one.data.items() if k != _NOT_REPLAYED})
    ]
    replace_whole(folder / UPDATES, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))


def _recorded(revisions: Sequence[Revision]) -> tuple[tuple[int, bool], ...]:
    """When a room is recorded: as it was started, and as it was asked for since."""
    starts = [(0, "RecordingConfig" in one.data) for one in revisions if one.action == "job.start"]
    changes = [(one.at_us // 1000, one.action == RECORD_START) for one in revisions if one.action in RECORDS]
    return (*starts, *changes)


def store_keys(job: Job) -> bytes:
    """The keys of the job's store as the recorder reads them from standard input; empty when it has none."""
    store = (job.document.get("RecordingConfig") or {}).get("StorageConfig") or {}
    keys = {name: store[name] for name in ("PublicKey", "SecretKey") if store.get(name)}
    return as_json(keys).encode(errors="backslashreplace") + b"\n" if keys else b""


def has_journals(folder: Path, session: str) -> bool:
    """Whether a session of the room has written anything."""
    return any((folder / JOURNALS).glob(f"{escape(session)}.*"))


def remove_made(folder: Path) -> None:
    """Remove what was uploaded; logs and small files stay."""
    for name in _MADE:
        with suppress(OSError):
            remove(folder / name)


def remove_rooms(state: Path, job_ids: Iterable[str]) -> None:
    """Remove the folders of jobs that are forgotten, as far as that is possible."""
    for job_id in job_ids:
        with suppress(OSError):
            remove(state / ROOMS / job_id)


def _plain(value: Any) -> Any:
    """JSON values without exact numbers, which only checking needs."""
    return json.loads(json.dumps(value, default=plain_number))
