"""The configuration of a room: checked as a job file is, changed by updates, and shown as it is in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from owtmix.base.errors import Problem, SpecError
from owtmix.base.ids import StreamId
from owtmix.base.strict_json import kind_of
from owtmix.base.wording import some
from owtmix.jobfile.bounds import MAX_JOB_BYTES
from owtmix.jobfile.ignored_keys import object_at, without_nulls
from owtmix.jobfile.job_model import JobModel, members
from owtmix.jobfile.object_key import substituted_key
from owtmix.jobfile.reader import check_job
from owtmix.jobfile.spec import JobSpec, StorageSpec
from owtmix.service.actions import SECTIONS, Action
from owtmix.service.envelope import as_json
from owtmix.service.known_keys import known_section
from owtmix.service.live_config import check_live, started, stopped
from owtmix.service.masking import masked
from owtmix.service.mix_key import mixed_into
from owtmix.service.refusals import RefusedError, RetCode
from owtmix.service.store_check import check_folder

_LISTS: Final = {"NotifyConfig": ("ServiceType", "NotifyUrl"), "StreamConfig": ("RtcStreamId",)}
"""Sections that are lists, and what tells their entries apart."""
_UNCHECKED: Final = ("PositionConfig", "LayoutConfig", "Layouts")
"""Of ``MixerConfig``, what may count only in another mode or layout than now: answered as written."""
_LIVE: Final = {"job.live.start": started, "job.live.stop": stopped}
_FILE_TYPES: Final = frozenset({"mp4", "webm"})
_MOST_SHOWN: Final = 20
_AS_UPDATE: Final = "Data.Updates[0]."
TRANSCODING: Final = {"Video": {"Width": 1280, "Height": 720}}
"""Of a job that says nothing of it: recording needs none, and composing the recordings does."""
_NO_STORE: Final = {"StorageConfig": {"Bucket": "none", "Vendor": "local"}}
"""Of a job that does not record yet."""


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """A configuration that was checked.

    Attributes:
        document: The sections of ``Data`` as they were written, secrets included, without keys that nobody knows.
        in_force: The sections with what they do not say filled in, secrets masked.
        given: What the last request said, as it is kept.
        warnings: What of the last request has no effect.
    """

    document: dict[str, Any] = field(repr=False)
    in_force: dict[str, Any]
    given: dict[str, Any] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The ``Message`` of an answer."""
        return "OK" if not self.warnings else f"OK; {some(self.warnings)}"


@dataclass(frozen=True, slots=True)
class JobIds:
    """What a job is called."""

    job: str
    app: str
    room: str
    mode: int = 0


def change_config(
    before: Mapping[str, Any],
    action: Action,
    data: Mapping[str, Any],
    ids: JobIds,
    check_store: Callable[[StorageSpec], object],
) -> RoomConfig:
    """The configuration ``before`` with what ``data`` of a request says; ``check_store`` raises where a store is wrong.

    Raises:
        RefusedError: the request, or what the room would become by it, is wrong. All problems are in the message.
    """
    given = without_nulls({name: value for name, value in data.items() if name in action.changes})
    ignored = [f"Data.{name} is ignored by {action.name}" for name in data if name and name not in action.changes]
    if not given and action.name not in {"job.start", "job.record.start", "job.live.stop"}:
        raise RefusedError(RetCode.FAILED, f"Data: accepted is one with {' or '.join(action.changes)}")
    kept = {name: known_section(name, section) for name, section in given.items()}
    if before and "BackgroundColor" in object_at(given, "MixerConfig"):
        ignored.append("Data.MixerConfig.BackgroundColor only counts at the start")
    ignored += check_live(given.get("LiveConfig"), ids.mode)
    document = _changed(before, kept, action)
    if len(as_json(document).encode()) > MAX_JOB_BYTES:
        raise RefusedError(RetCode.FAILED, f"the configuration of a room has at most {MAX_JOB_BYTES:,} bytes")
    spec = _checked(_changed(before, given, action), ids)
    _check_recording(document, ids)
    if "RecordingConfig" in given:
        try:
            check_store(spec.output)
            prefix = object_at(object_at(document, "RecordingConfig"), "StorageConfig").get("FileNamePrefix") or ""
            is_local = spec.output.vendor == "local"
            check_folder(prefix, is_local=is_local, job_id=ids.job, room_id=ids.room, app_id=ids.app)
        except SpecError as error:
            raise RefusedError(error.code, _described(error.problems)) from None
    about = {f"Data.{name}" for name in given}
    warnings = [
        str(warning)
        for warning in (replace(one, path=one.path.removeprefix(_AS_UPDATE)) for one in spec.warnings)
        if any(warning.path.startswith(start) for start in about) and "FileType" not in warning.path
    ]
    return RoomConfig(document, _in_force(document, spec), kept, (*ignored, *warnings))


def _changed(before: Mapping[str, Any], given: Mapping[str, Any], action: Action) -> dict[str, Any]:
    """The configuration ``before`` with the sections that are ``given``."""
    document = dict(before) or {"TranscodingConfig": TRANSCODING}
    if action.name in _LIVE:
        return document | {"LiveConfig": _LIVE[action.name](before.get("LiveConfig"), given.get("LiveConfig"))}
    for name, section in given.items():
        document[name] = _merged(name, document.get(name), section)
    if before and "BackgroundColor" in object_at(dict(given), "MixerConfig"):
        background = before.get("MixerConfig", {}).get("BackgroundColor")
        document["MixerConfig"] = {**document["MixerConfig"], "BackgroundColor": background}
    return document


def _merged(name: str, before: Any, section: Any) -> Any:
    """What a section becomes: keys that stand in the new one replace those of the old one."""
    if name in _LISTS:
        return _merged_list(name, before or [], section)
    if name == "LiveConfig":
        return section
    if not isinstance(section, dict):
        raise _wrong(name, section, "an object")
    if not isinstance(before, dict):
        return section
    new = dict(section)
    if name == "TranscodingConfig":
        new |= {
            key: {**before[key], **new[key]}
            for key in ("Video", "Audio")
            if isinstance(before.get(key), dict) and isinstance(new.get(key), dict)
        }
    other = {"Layouts": "LayoutConfig", "LayoutConfig": "Layouts"}
    return {key: value for key, value in before.items() if other.get(key) not in new} | new


def _merged_list(name: str, before: list[dict[str, Any]], section: Any) -> list[dict[str, Any]]:
    """A list whose entries replace those that are about the same."""
    if not isinstance(section, list) or not all(isinstance(entry, dict) for entry in section):
        raise _wrong(name, section, "a list of objects")
    entries: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in (*section, *before):  # the new ones first: problems name their places in the request
        entries.setdefault(tuple(str(entry.get(key)) for key in _LISTS[name]), entry)
    return list(entries.values())


def _wrong(name: str, found: object, accepted: str) -> RefusedError:
    return RefusedError(RetCode.FAILED, f"Data.{name}: found {kind_of(found)}; accepted: {accepted}")


def _checked(document: Mapping[str, Any], ids: JobIds) -> JobSpec:
    """The job that composes the room, of which one without a store to record to is as good."""
    data = {"RecordingConfig": _NO_STORE} | {name: value for name, value in document.items() if name != "StreamConfig"}
    if document.get("StreamConfig"):
        update = {"StreamConfig": document["StreamConfig"]}
        data["Updates"] = [{"At": 0, "Action": "job.stream.update", "Data": update}]
    if ids.mode == 1 and isinstance(data["RecordingConfig"].get("FileType"), list):  # the first one counts
        types = sorted(data["RecordingConfig"]["FileType"], key=lambda found: found != "mp4")
        data["RecordingConfig"] = {**data["RecordingConfig"], "FileType": types}
    internal = {"JobId": ids.job, "AppId": ids.app, "RoomId": ids.room}
    try:
        return check_job({"Action": "job.start", "Internal": internal, "Data": data})
    except SpecError as error:
        raise RefusedError(error.code, _described(error.problems)) from None


def _described(problems: Iterable[Problem]) -> str:
    lines = [
        f"{problem.path.removeprefix(_AS_UPDATE)}: {problem.message}" if problem.path else problem.message
        for problem in problems
    ]
    more = len(lines) - _MOST_SHOWN
    return "; ".join(lines[:_MOST_SHOWN] + [f"and {more} more"] * (more > 0))


def _check_recording(document: Mapping[str, Any], ids: JobIds) -> None:
    """Check which files may be written: of recordings, the codec of a stream decides (section 11); a mix is MP4.

    Raises:
        RefusedError: others are wanted, or there is no place for the recordings of a mix.
    """
    recording = document.get("RecordingConfig")
    if recording is None:
        return
    types = recording.get("FileType", ["mp4"] if ids.mode else ())
    if ids.mode == 0 and not _FILE_TYPES.issubset(types):
        raise RefusedError(
            RetCode.FAILED,
            'Data.RecordingConfig.FileType: accepted with Mode 0 is ["mp4", "webm"]: the codec of a stream decides',
        )
    if ids.mode == 1 and "mp4" not in types:
        raise RefusedError(
            RetCode.FAILED,
            'Data.RecordingConfig.FileType: accepted with Mode 1 is ["mp4"]: a room that is mixed live becomes no WebM',
        )
    if ids.mode == 1:
        try:
            substituted_key(mixed_into(recording)[0], job_id=ids.job, room_id=ids.room, app_id=ids.app)
        except ValueError as error:
            at = "Data.RecordingConfig.StorageConfig.FileNamePrefix"
            raise RefusedError(RetCode.FAILED, f"{at}, without its extension, names a folder: {error}") from None


def _in_force(document: Mapping[str, Any], spec: JobSpec) -> dict[str, Any]:
    assert spec.updates
    data = spec.updates.data
    found = {alias: _plain(getattr(data, name)) for name, alias, *_ in members(type(data))}
    if spec.video:
        found["TranscodingConfig"]["Video"] |= {
            "Width": spec.video.size.width,
            "Height": spec.video.size.height,
            "BitRate": spec.video.bit_rate_kbps,
        }
    if spec.audio:
        found["TranscodingConfig"]["Audio"] |= {"Codec": spec.audio.codec}
    found["TranscodingConfig"].pop("Bitrate")
    mixer = document.get("MixerConfig", {})
    if isinstance(mixer.get("WaterMark"), dict):
        found["MixerConfig"]["WaterMark"] = found["MixerConfig"]["WaterMark"][0]
    found["MixerConfig"] |= {name: mixer[name] for name in _UNCHECKED if mixer.get(name)}
    found |= {name: document.get(name) for name in ("LiveConfig", "StreamConfig")}
    if "RecordingConfig" not in document:
        del found["RecordingConfig"]
    return {name: masked(found[name]) for name in SECTIONS if found.get(name) is not None}


def _plain(value: object) -> Any:
    """A model as JSON, under the names of the document."""
    if isinstance(value, JobModel):
        return {
            alias: "" if child is None else _plain(child)
            for name, alias, kind, _ in members(type(value))
            if (child := getattr(value, name)) is not None or kind == StreamId | None
        }
    if isinstance(value, list):
        return [_plain(child) for child in value if child is not None]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value) if isinstance(value, (StreamId, Fraction)) else value
