"""The actions of the API document, section 2.1: what each is answered with, and which part of a job it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SECTIONS: Final = (
    "JobConfig",
    "NotifyConfig",
    "TranscodingConfig",
    "MixerConfig",
    "SubscribeConfig",
    "RecordingConfig",
    "LiveConfig",
    "StreamConfig",
)
"""The sections of ``Data``."""

OURS: Final = ("InputConfig", "Names")
"""Sections of a job file that only composing uses. They are kept for it."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action, and its documented answer.

    Attributes:
        name: As it stands in ``Action``.
        ack: The ``Ack`` of the answer.
        answers: Sections of the configuration in force that the answer has.
        changes: Sections that the request may change.
        replayed: Whether composing the recordings replays it (docs/rooms.md).
    """

    name: str
    ack: str
    answers: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    replayed: bool = False


_ALL: Final = (
    Action("job.acquire", "job.init"),
    Action("job.start", "job.stat", SECTIONS, (*SECTIONS, *OURS)),
    Action("job.record.start", "job.record.stat", ("RecordingConfig",), ("RecordingConfig",)),
    Action("job.record.stop", "job.record.stat", ("RecordingConfig",)),
    Action("job.live.start", "job.live.stat", ("LiveConfig",), ("LiveConfig",)),
    Action("job.live.stop", "job.live.stat", ("LiveConfig",), ("LiveConfig",)),
    Action(
        "job.subscribe.update",
        "job.subscribe.stat",
        ("JobConfig", "SubscribeConfig"),
        ("SubscribeConfig",),
        replayed=True,
    ),
    Action(
        "job.transcoding.update",
        "job.transcoding.stat",
        ("TranscodingConfig",),
        ("TranscodingConfig",),
        replayed=True,
    ),
    Action("job.mixer.update", "job.mixer.stat", ("JobConfig", "MixerConfig"), ("MixerConfig",), replayed=True),
    Action("job.stream.update", "job.stream.stat", ("StreamConfig",), ("StreamConfig",), replayed=True),
    Action("job.notify.update", "job.notify.stat", ("NotifyConfig",), ("NotifyConfig",)),
    Action(
        "job.update",
        "job.update.stat",
        ("NotifyConfig", "StreamConfig", "TranscodingConfig", "SubscribeConfig", "MixerConfig"),
        ("NotifyConfig", "StreamConfig", "TranscodingConfig", "SubscribeConfig", "MixerConfig"),
        replayed=True,
    ),
    Action(
        "job.query",
        "job.query.stat",
        ("JobConfig", "TranscodingConfig", "MixerConfig", "SubscribeConfig", "RecordingConfig", "LiveConfig"),
    ),
    Action("job.stop", "job.destroyed"),
)

ACTIONS: Final = {action.name: action for action in _ALL}

UNKNOWN_ACK: Final = "job.error"
"""Of an answer to what is no request."""
