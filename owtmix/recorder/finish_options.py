"""What the recorder is told when a room is finished: ``finish.json`` in the room's folder. It holds no secret."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from pydantic import TypeAdapter, ValidationError

from owtmix.base.errors import Problem, SpecError
from owtmix.base.ids import is_job_id
from owtmix.base.strict_json import JsonError, json_path, read_object
from owtmix.jobfile.bounds import MAX_INDEX_BYTES

FINISH_FILE: Final = "finish.json"
SECRETS: Final = ("PublicKey", "SecretKey")
"""Keys of a store that are never written; the same names are those of the line on standard input."""

_SECTIONS: Final = (
    "JobConfig",
    "TranscodingConfig",
    "MixerConfig",
    "SubscribeConfig",
    "RecordingConfig",
    "Names",
)
"""Of ``Data``, what composing needs. Others hold tokens and addresses with keys."""


@dataclass(frozen=True, slots=True)
class FinishOptions:
    """How a room becomes files.

    Attributes:
        job_id: The job's id; index and composed room are named after it.
        room_id: For the index.
        app_id: For ``$AppId`` in the prefix.
        prefix: Where in the store the files are: a folder, with variables. By default the store's ``FileNamePrefix``.
        store: The ``StorageConfig`` of the document, of which secrets are dropped; empty where nothing is uploaded.
        mp4_sound: The sound of MP4 files.
        sound_alone: The format of files without a picture.
        user_names: Names for people, by user id.
        recorded: When it is recorded, of a room that is mixed: from milliseconds since 1970 on it is, or is not. Always
            where it says nothing.
        data: The job's ``Data``, for the job that composes the room; only what composing needs is kept.
        mix: The key of the mix in the store, with variables; empty where the room is not mixed while it runs.
    """

    job_id: str
    room_id: str = ""
    app_id: str = ""
    prefix: str = ""
    store: dict[str, Any] = field(default_factory=dict)
    mp4_sound: Literal["aac", "opus"] = "aac"
    sound_alone: Literal["webm", "m4a"] = "webm"
    user_names: dict[str, str] = field(default_factory=dict)
    recorded: tuple[tuple[int, bool], ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    mix: str = ""

    def to_json(self) -> bytes:
        """The content of ``finish.json``."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values |= {"store": _public(self.store), "data": needed(self.data)}
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Raises ``SpecError`` where ``text`` says something else."""
        try:
            found = TypeAdapter(cls).validate_python(_plain(read_object(text, max_bytes=MAX_INDEX_BYTES)))
        except JsonError as error:
            raise SpecError(Problem(FINISH_FILE, f"not usable JSON: {error}")) from None
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            raise SpecError(
                *(Problem(f"{FINISH_FILE}: {json_path(one['loc'])}", one["msg"]) for one in problems)
            ) from None
        if not is_job_id(found.job_id):
            raise SpecError(Problem(f"{FINISH_FILE}: job_id", "not a job id"))
        return found


def needed(data: dict[str, Any]) -> dict[str, Any]:
    """``Data`` without what composing does not need, and without keys of stores."""
    kept = {name: data[name] for name in _SECTIONS if isinstance(data.get(name), dict)}
    if recording := kept.get("RecordingConfig"):
        kept["RecordingConfig"] = {name: value for name, value in recording.items() if name in _RECORDING}
    return kept


_RECORDING: Final = ("MediaChannel", "FileType")


def _public(store: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in store.items() if name not in SECRETS}


def _plain(value: Any) -> Any:
    """JSON values whose numbers can be written again: those with a fraction become floats."""
    if isinstance(value, dict):
        return {name: _plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value if isinstance(value, str | int | bool) or value is None else float(value)
