"""Updates of a room, from the job file or from a file beside the index, and what the room becomes by them.

The keys that stand in an update replace those of the job; all others stay. After each update the room is checked as a
job file is. Updates count in order of their times, and at the same time in the order in which they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeVar

from owtmix.base.errors import Problem
from owtmix.base.ids import StreamId
from owtmix.jobfile.assemble import subscription_spec
from owtmix.jobfile.assemble_video import IMAGE, TEXT, image_source, mixer_spec
from owtmix.jobfile.bounds import MAX_ROOM_IMAGES, MAX_ROOM_TEXTS, MAX_SHOWN
from owtmix.jobfile.job_model import JobModel
from owtmix.jobfile.mixer_models import MixerConfig, SubscribeConfig
from owtmix.jobfile.models import Data
from owtmix.jobfile.problems import ProblemCollector, raise_problems
from owtmix.jobfile.room_state import Change, OutputTime, RoomState, SwitchedOff
from owtmix.jobfile.spec import ImageWatermark, LayoutStyle, MediaChannel, SpecWarning
from owtmix.jobfile.update_models import UpdateData

ModelT = TypeVar("ModelT", bound=JobModel)
_Lists = tuple[Sequence[object], ...]

_SECTIONS: Final = {
    "job.mixer.update": frozenset({"mixer"}),
    "job.subscribe.update": frozenset({"subscribe"}),
    "job.stream.update": frozenset({"stream"}),
    "job.transcoding.update": frozenset({"transcoding"}),
    "job.update": frozenset({"mixer", "subscribe", "stream", "transcoding"}),
}
"""Which parts of an update count, by its action."""
_BIT_RATES: Final = frozenset({"bit_rate"})


@dataclass(frozen=True, slots=True)
class Update:
    """An update as written; ``where`` it stands begins the paths of its problems."""

    where: str
    at: Decimal | OutputTime
    action: str
    data: UpdateData
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoomUpdates:
    """The updates of a room whose job begins as ``data``, in the order in which they stand.

    They are ``is_given`` in the job file, perhaps as none, or were found beside the index.
    """

    updates: tuple[Update, ...]
    data: Data
    document: Mapping[str, Any] = field(repr=False)
    warnings: tuple[SpecWarning, ...] = ()
    is_given: bool = True

    @property
    def images(self) -> tuple[ImageWatermark, ...]:
        """The watermark images of all updates."""
        marks = (mark for update in self.updates if update.data.mixer for mark in update.data.mixer.watermarks)
        images = (mark for mark in marks if mark.type == IMAGE and mark.image)
        return tuple(ImageWatermark(m.x, m.y, float(m.alpha), image_source(m.image)) for m in images)

    def course(
        self, begins: RoomState, seconds: Callable[[Decimal | OutputTime], Fraction]
    ) -> tuple[tuple[Change, ...], tuple[SpecWarning, ...]]:
        """What the room becomes by all updates, and what of them has no effect.

        Args:
            begins: the state at the start.
            seconds: returns the index time (s) of a time as written.

        Raises:
            SpecError: an update is wrong.
        """
        self._check_marks()
        replay = _Replay(begins, self.data, self.document)
        changes = []
        for update, at_s in sorted(((u, seconds(u.at)) for u in self.updates), key=lambda entry: entry[1]):
            replay.apply(update)
            if len(replay.problems) > MAX_SHOWN:
                break
            changes.append(Change(at_s, update.where.rstrip(".: "), update.action, replay.state))
        raise_problems(replay.problems)
        return tuple(changes), tuple(replay.warnings)

    def _check_marks(self) -> None:
        """Check how many images and texts the watermarks of all updates have: each has to be fetched, or drawn.

        Raises:
            SpecError: they have too many.
        """
        images: set[str] = set()
        texts: set[str] = set()
        for update in self.updates:
            for mark in update.data.mixer.watermarks if update.data.mixer else ():
                images.update([mark.image] if mark.type == IMAGE else [])
                texts.update([mark.text] if mark.type == TEXT else [])
            for found, most, what in ((images, MAX_ROOM_IMAGES, "images"), (texts, MAX_ROOM_TEXTS, "texts")):
                if len(found) > most:
                    where = f"{update.where}Data.MixerConfig.WaterMark"
                    raise_problems([Problem(where, f"with it, watermarks have more than {most} different {what}")])


class _Replay:
    """Applies updates one after the other."""

    def __init__(self, begins: RoomState, data: Data, document: Mapping[str, Any]) -> None:
        self.state = begins
        self.problems: list[Problem] = []
        self.warnings: list[SpecWarning] = []
        self._begins = data
        self._data = data
        self._written = dict(document["Data"])
        self._number = 0
        """Of the update that is applied, from 1 on."""
        # What was assembled last, which takes long, and from which lists:
        self._layouts: _Lists = _layouts(data.mixer) if begins.mixer.templates else ()
        self._templates = begins.mixer.templates
        self._audio, self._video = _audio(data.subscribe), _video(data.subscribe)
        # What all states share:
        self._hidden: dict[StreamId, list[int]] = {}
        self._muted: dict[StreamId, list[int]] = {}

    def apply(self, update: Update) -> None:
        """Apply one update; collects its problems and warnings."""
        self._number += 1
        counts = _SECTIONS.get(update.action)
        given = update.data.model_fields_set & type(update.data).model_fields.keys()
        if counts is None:
            self._warn(update, f"{update.action} has no effect on a mix of recordings")
            return
        for name in sorted(given - counts):
            alias = UpdateData.model_fields[name].alias
            self._warn(update, f"{update.action} changes nothing by its {alias}")
        given &= counts
        self._merge(update, given)
        if "stream" in given:
            self._set_streams(update)
        if "transcoding" in given:
            self._set_bit_rate(update)
        if given & {"mixer", "subscribe"}:
            self._assemble(update)

    def _merge(self, update: Update, given: frozenset[str] | set[str]) -> None:
        written = update.document.get("Data", {})
        for name in given & {"mixer", "subscribe"}:
            section = _with_templates(getattr(update.data, name)) if name == "mixer" else getattr(update.data, name)
            alias = Data.model_fields[name].alias
            self._data = self._data.model_copy(update={name: _merged(getattr(self._data, name), section)})
            self._written[alias] = {**self._written.get(alias, {}), **written.get(alias, {})}
        if "mixer" in given and "background" in _set(update.data.mixer):
            if self._data.mixer.background != self._begins.mixer.background:
                self._warn(update, "BackgroundColor only counts at the start")
            mixer = self._data.mixer.model_copy(update={"background": self._begins.mixer.background})
            self._data = self._data.model_copy(update={"mixer": mixer})

    def _assemble(self, update: Update) -> None:
        """Check the room as a whole; templates and lists of streams that were checked before are not checked again."""
        collector = ProblemCollector({"Data": self._written}, update.where)
        data = self._data.model_copy(update={"mixer": _used(self._data)})
        channel = MediaChannel(data.recording.media_channel)
        layouts, audio, video = _layouts(data.mixer), _audio(data.subscribe), _video(data.subscribe)
        mixer = mixer_spec(
            data.mixer, data, channel, collector, self._templates if _same(layouts, self._layouts) else None
        )
        if mixer.templates:
            self._layouts, self._templates = layouts, mixer.templates
        before = self.state.subscription
        subscription = subscription_spec(
            data.subscribe,
            collector,
            before.audio if _same(audio, self._audio) else None,
            before.video if _same(video, self._video) else None,
        )
        self._audio, self._video = audio, video
        self.problems += collector.problems
        self.warnings += (warning for warning in collector.warnings if _is_about(update, warning.path))
        self.state = replace(self.state, mixer=mixer, subscription=subscription)

    def _set_streams(self, update: Update) -> None:
        hidden = {model.stream: model.mute_video or not model.has_video for model in update.data.stream}
        muted = {model.stream: model.mute_audio or not model.has_audio for model in update.data.stream}
        self.state = replace(
            self.state,
            hidden=self._switched(self.state.hidden, self._hidden, hidden),
            muted=self._switched(self.state.muted, self._muted, muted),
        )

    def _switched(
        self, before: SwitchedOff, switches: dict[StreamId, list[int]], off: Mapping[StreamId | None, bool]
    ) -> SwitchedOff:
        """Which streams are off, after those of ``off`` are or are not; their ``switches`` grow by that."""
        switched = [stream for stream, is_off in off.items() if stream and is_off != (stream in before)]
        for stream in switched:
            switches.setdefault(stream, []).append(self._number)
        return SwitchedOff(switches, self._number) if switched else before

    def _set_bit_rate(self, update: Update) -> None:
        model, begins = update.data.transcoding, self._begins.transcoding
        assert model
        rates = [part.bit_rate for part in (model.video, model) if "bit_rate" in _set(part) and part.bit_rate]
        if rates:
            self.state = replace(self.state, bit_rate_kbps=rates[0])
        for name, new, old in (("Video", model.video, begins.video), ("Audio", model.audio, begins.audio)):
            changed = [
                str(type(new).model_fields[key].alias)
                for key in sorted(_set(new) - (_BIT_RATES if name == "Video" else frozenset()))
                if getattr(old, key) not in {None, getattr(new, key)}
            ]
            if changed:
                self._warn(update, f"a file has one {', '.join(f'{name}.{key}' for key in changed)}: that of the job")

    def _warn(self, update: Update, message: str) -> None:
        self.warnings.append(SpecWarning(update.where.rstrip(".: "), message))


def _with_templates(mixer: MixerConfig) -> MixerConfig:
    """The section with templates under the name that counts: those of the job may stand under the other one."""
    given = _set(mixer)
    if "layouts" not in given or "layout_config" in given:
        return mixer
    return mixer.model_copy(update={"layout_config": mixer.layouts})


def _is_about(update: Update, path: str) -> bool:
    """Whether ``path`` leads to something that stands in the update; other keys of the room were checked before."""
    section, _, rest = path.removeprefix(f"{update.where}Data.").partition(".")
    return re.split(r"\W", rest, maxsplit=1)[0] in update.document.get("Data", {}).get(section, {})


def _layouts(mixer: MixerConfig) -> _Lists:
    return mixer.layout_config, mixer.layouts


def _audio(subscribe: SubscribeConfig) -> _Lists:
    return subscribe.audio_only, subscribe.audio_without


def _video(subscribe: SubscribeConfig) -> _Lists:
    return subscribe.video_only, subscribe.video_without


def _same(some: _Lists, others: _Lists) -> bool:
    """Whether they are the very same lists: to compare what is in them would take as long as to assemble it."""
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


def _set(model: JobModel | None) -> set[str]:
    """The keys of the format that are given."""
    return model.model_fields_set & type(model).model_fields.keys() if model else set()


def _merged(before: ModelT, update: ModelT) -> ModelT:
    """``before`` with the keys that ``update`` has."""
    return before.model_copy(update={name: getattr(update, name) for name in _set(update)})


def _used(data: Data) -> MixerConfig:
    """The mixer without what does not count now (docs/semantics.md, "Picture")."""
    is_manual = bool(data.subscribe.video_stream_type)
    unused: dict[str, Sequence[object]] = {} if is_manual else {"positions": []}
    if is_manual or data.mixer.layout != LayoutStyle.CUSTOM:
        unused |= {"layout_config": [], "layouts": []}
    return data.mixer.model_copy(update=unused)
