"""Gathers the inputs of a job: its index, its measured recordings, and its watermark images."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import InputError
from owtmix.base.named_file import is_file
from owtmix.base.progress import Progress
from owtmix.inputs.disk_budget import disk_budget
from owtmix.inputs.download import download_missing, locate_recordings
from owtmix.inputs.fair_store import FairStore
from owtmix.inputs.image_files import DecodedImage, decode_images
from owtmix.inputs.measure import measure, measure_parts
from owtmix.inputs.measurement_cache import PROBES, VOICES, MeasurementCache, with_company
from owtmix.inputs.prefetch import SourceSet
from owtmix.inputs.repeated import repeated_files
from owtmix.inputs.source_file import SourceFile, first_of_same
from owtmix.inputs.tasks import Heard, ProbeTask
from owtmix.inputs.updates_file import FoundUpdates, find_updates
from owtmix.inputs.voices import VoiceFinder, voice_name
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.jobfile.index import Index, Recording
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.object_key import substitute_variables
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import ImageWatermark, JobSpec
from owtmix.plan.media_info import Clip, ClockRules, Probe
from owtmix.plan.voice import Voice
from owtmix.storage import LocalStore, Store
from owtmix.workers.base import Executor

MOST_SILENT_IMAGES: Final = 10
"""So many that take the longest possible time to fetch are enough."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The recordings of a job: ``clips`` and ``sources`` of those that can be used, in the order of the index.

    ``left_out`` has the keys of the others, with reasons; ``warnings`` are about those that are used. ``identities``
    are the names of the sources among all stores, ``voices`` those that were found while they were measured;
    ``listens_s`` says how many of the first seconds of each source are listened to.
    """

    clips: list[Clip]
    sources: SourceSet
    left_out: list[tuple[str, str]]
    warnings: list[str]
    identities: list[str]
    voices: dict[int, Voice]
    listens_s: list[Fraction]


class InputGatherer:
    """Reads the inputs of a job from its store into ``folder``: the index at once, the rest on request.

    Images are decoded into ``bench``, a folder that tasks may write to.

    ``named`` is the index: a key of the store, or a local file (``is_local_path``); with ``is_option`` the command line
    names it. When it is None, the index is the first existing one of the keys in ``conf/owt.toml``. ``index_key`` is
    the key of an index in the store. With ``strict`` a malformed entry of the index is an error. Measurements are kept
    in ``probes``.

    Raises:
        InputError: there is no index, or it cannot be read.
    """

    def __init__(
        self,
        spec: JobSpec,
        settings: Settings,
        store: Store,
        executor: Executor,
        folder: Path,
        bench: Path,
        named: str | None,
        *,
        probes: MeasurementCache,
        strict: bool = False,
        is_option: bool = False,
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._store = store
        self._executor = executor
        self._fair_store = FairStore(store, folder)
        self._folder = folder
        self._bench = bench
        self._probes = probes
        self._named = named
        self._fetching_s = 0.0
        data, self.index_key, tried = self._find_index(named)
        if data is None:
            hint = "" if named else ": name it with --index"
            if named and is_option and not is_local_path(named) and is_file(Path(named)):
                hint = f": {named} in the working folder is ./{named}"
            raise InputError(f"there is no index of the recordings; tried {', '.join(tried)}{hint}")
        self.index: Index = read_index(data, time_unit=settings.index.time_unit, strict=strict)

    def updates(self) -> FoundUpdates:
        """The job with the updates beside its index, as ``find_updates`` finds them."""
        file = Path(self._named) if self._named and is_local_path(self._named) else None
        return find_updates(self._spec, self._store, None if file else self._named, file, self._key)

    def recordings(self, recordings: Sequence[Recording], progress: Progress, *, listens: bool = False) -> Gathered:
        """Locate and measure ``recordings``: from their tables where these suffice, else when they are downloaded.

        With ``listens`` those that are measured whole are listened to as well, if they are of people.

        Raises:
            StoreError: the store cannot be used.
            DestinationError: the disk takes no more.
        """
        rules = clock_rules(self._settings)
        located = dict(enumerate(locate_recordings(self._fair_store, [r.key for r in recordings], self._folder)))
        problems = {n: str(error) for n, error in located.items() if isinstance(error, InputError)}
        by_need = sorted(located, key=lambda n: recordings[n].start_s)
        named = {n: file for n in by_need if isinstance(file := located[n], SourceFile)}
        first = first_of_same(named)
        listens_to = longest_of_same(first, {n: listens_s(recordings[n], rules) for n in first})
        copies = {n: named[n].copy for n in named if first[n] == n}
        budget, fitting, too_large = disk_budget(copies, self._folder, self._settings.storage.max_inputs_mib << 20)
        problems |= too_large
        files = {n: named[n] for n in fitting}
        self._executor.allow(recordings=[file.path for file in files.values() if not file.copy.size_bytes])
        owner = [recording.stream.user for recording in recordings].__getitem__
        identities = with_company({n: self._store.identity(file.key) for n, file in files.items()}, files, owner)
        known = {n: probe for n, file in files.items() if (probe := self._probes.find(PROBES, identities[n], file))}
        measured = {n: files[n].measured(probe) for n, probe in known.items()}
        voices: dict[int, Voice] = {}

        def keep(found: Mapping[int, object]) -> None:
            for n, what in found.items():
                probe = what
                if isinstance(what, Heard):
                    name = voice_name(identities[n], listens_to[n])
                    self._probes.keep(VOICES, name, files[n], what.voice)
                    probe, voices[n] = what.probe, what.voice
                if isinstance(probe, Probe):
                    self._probes.keep(PROBES, identities[n], files[n], probe)
                    measured[n] = files[n].measured(probe)

        def measure_files(numbers: Iterable[int], on_measured: Callable[[int], None] = lambda _: None) -> None:
            tasks = [
                ProbeTask(
                    n,
                    files[n].key,
                    files[n].path,
                    rules,
                    version=files[n].file_version,
                    owner=owner(n),
                    listens_s=listens_to[n] if listens else Fraction(0),
                )
                for n in sorted(numbers)
            ]
            found = measure(self._executor, tasks, on_measured)
            keep(found)
            problems.update({n: what for n, what in found.items() if isinstance(what, str)})

        here = [n for n, file in files.items() if n not in known and file.copy.complete]
        if len(here) + len(known) == len(files):  # measuring them is the only progress to show
            progress.stage("reading", Fraction(len(here)), "files")
            measure_files(here, lambda count: progress.advance(Fraction(count)))
        else:
            away = {n: file for n, file in files.items() if n not in known and not file.copy.complete}
            keep(measure_parts(self._executor, self._fair_store, away, rules, owner))
            measure_files(here)
            if missing := away.keys() - measured.keys():
                for downloaded in download_missing(self._fair_store, files, missing, budget, progress):
                    problems |= {n: str(error) for n, error in downloaded.items() if error}
                    measure_files(n for n, error in downloaded.items() if not error)
        problems |= {n: problems[same] for n, same in first.items() if same in problems}
        measured |= {n: replace(measured[same], key=named[n].key) for n, same in first.items() if same in measured}
        for number, other in repeated_files(recordings, measured).items():
            reason = f"it has the same content as {recordings[other].key}, at the same time: it counts once"
            problems[number] = reason
            del measured[number]
        used = sorted(measured)
        probes = [probe for n in used if (probe := measured[n].probe)]
        return Gathered(
            [
                Clip(recordings[n], source, probe.video, probe.sounds, probe.start_s)
                for source, (n, probe) in enumerate(zip(used, probes, strict=True))
            ],
            SourceSet(self._fair_store, [measured[n] for n in used], budget),
            [(recordings[n].key, problems[n]) for n in sorted(problems)],
            [
                f"{recordings[n].key} has another Unicode form of its name in the store; it is used"
                for n in used
                if named[n].key != recordings[n].key
            ],
            [identities[first[n]] for n in used],
            {source: voices[first[n]] for source, n in enumerate(used) if first[n] in voices},
            [listens_to[n] for n in used],
        )

    def voices(
        self, gathered: Gathered, numbers: Iterable[int], progress: Progress, on_problem: Callable[[str], None]
    ) -> dict[int, Voice]:
        """The voices of sources, by their ``numbers``, as ``VoiceFinder.find`` finds them."""
        known = gathered.voices

        def owner(number: int) -> str:
            return gathered.clips[number].recording.stream.user

        finder = VoiceFinder(
            self._executor,
            gathered.sources,
            self._probes,
            gathered.identities,
            owner,
            gathered.listens_s.__getitem__,
        )
        return known | finder.find([number for number in numbers if number not in known], progress, on_problem)

    def images(self, marks: Sequence[ImageWatermark], on_missing: Callable[[str], None]) -> dict[str, DecodedImage]:
        """The images of ``marks`` by their source; ``on_missing`` gets a message for each unusable one.

        Raises:
            StoreError: the store cannot be used.
            DestinationError: the disk takes no more.
            RenderError: the machine is short of what decoding takes.
        """
        found = self._settings.images
        return decode_images(marks, self._image, found, self._executor, self._bench, self._folder, on_missing)

    def _find_index(self, named: str | None) -> tuple[bytes | None, str | None, list[str]]:
        """The index's bytes, its key in the store, and the addresses that were tried."""
        if named and is_local_path(named):
            return LocalStore(Path(named).parent).read(Path(named).name, MAX_INDEX_BYTES), None, [named]
        keys = [named] if named else [self._key(pattern) for pattern in self._settings.index.keys]
        tried = [self._store.address(key) for key in keys]
        for key in keys:
            data = self._store.read(key, MAX_INDEX_BYTES)
            if data is not None:
                self._fair_store.note_answer(key)
                return data, key, tried
        return None, None, tried

    def _key(self, pattern: str) -> str:
        return substitute_variables(pattern, self._spec.job_id, self._spec.room_id, self._spec.app_id)[0]

    def _image(self, source: str) -> bytes:
        settings = self._settings
        if source.startswith(("http://", "https://")):
            # Imported here, since most jobs need not wait for the HTTP library to load.
            from owtmix.inputs.watermark_images import fetch_image  # noqa: PLC0415

            if self._fetching_s > MOST_SILENT_IMAGES * settings.images.timeout_s:
                raise InputError(f"the images before it took {self._fetching_s:.0f} s to fetch, so it is not asked for")
            start = time.monotonic()
            try:
                return fetch_image(source, settings.images.timeout_s, settings.images.max_bytes, settings.network.allow)
            finally:
                self._fetching_s += time.monotonic() - start
        data = self._fair_store.read(source, settings.images.max_bytes)
        if data is None:
            raise InputError("it does not exist in the input store")
        return data


def longest_of_same(first: Mapping[int, int], lengths_s: Mapping[int, Fraction]) -> dict[int, Fraction]:
    """The longest of ``lengths_s`` of all that are the same file, by ``first_of_same``."""
    longest: dict[int, Fraction] = {}
    for n, same in first.items():
        longest[same] = max(longest.get(same, Fraction(0)), lengths_s[n])
    return {n: longest[same] for n, same in first.items()}


def listens_s(recording: Recording, rules: ClockRules) -> Fraction:
    """How many of the first seconds of a recording are listened to: those that are used, and none of a screen."""
    if recording.stream.is_screen:
        return Fraction(0)
    if recording.end_s is None:
        return rules.longest_s
    return min(rules.longest_s, recording.end_s - recording.start_s)


def clock_rules(settings: Settings) -> ClockRules:
    """When timestamps are not believed, and how much of a recording is measured."""
    timeline = settings.timeline
    return ClockRules(timeline.beside_s, timeline.jump_s, timeline.lone_jump_s, settings.limits.max_duration_s)


def is_local_path(name: str) -> bool:
    """Whether an argument of the command line is a local path, not the key of an object."""
    return name.startswith(("/", "./", "../"))
