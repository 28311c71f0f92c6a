"""Finds the voices in recordings, for jobs in which who speaks decides something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from owtmix.base.progress import Progress
from owtmix.inputs.download import download_missing
from owtmix.inputs.measure import measure_apart
from owtmix.inputs.measurement_cache import VOICES, MeasurementCache
from owtmix.inputs.prefetch import SourceSet
from owtmix.inputs.source_file import SourceFile, first_of_same
from owtmix.inputs.tasks import VoiceTask
from owtmix.plan.voice import Voice
from owtmix.workers.base import Executor
from owtmix.workers.pending_files import is_as_fetched


class VoiceFinder:
    """Finds the voice in each of the recordings of a job, once for all runs.

    Args:
        executor: decodes the sound.
        sources: the recordings; those that are not here yet are fetched.
        cache: keeps what was found.
        identities: the name of each among all stores, by the number of its source.
        owner: tells whose each is.
        listens_s: tells how many of its first seconds are used.
    """

    def __init__(
        self,
        executor: Executor,
        sources: SourceSet,
        cache: MeasurementCache,
        identities: Sequence[str],
        owner: Callable[[int], str],
        listens_s: Callable[[int], Fraction],
    ) -> None:
        self._executor = executor
        self._sources = sources
        self._cache = cache
        self._identities = identities
        self._owner = owner
        self._listens_s = listens_s

    def find(self, numbers: Iterable[int], progress: Progress, on_problem: Callable[[str], None]) -> dict[int, Voice]:
        """The voices of sources by their numbers; ``on_problem`` gets a message for each that cannot be listened to.

        Raises:
            StoreError: the store cannot be used.
            DestinationError: the disk takes no more.
            ShortageError: the machine is short of something.
        """
        files = {number: _as_it_is(self._sources.files[number]) for number in numbers}
        first = first_of_same(files)
        voices = {
            number: voice
            for number in sorted(set(first.values()))
            if (voice := self._cache.find(VOICES, self._name(number), files[number])) is not None
        }
        left = {number: files[number] for number in first.values() if number not in voices}
        here = [number for number, file in left.items() if file.copy.complete]
        if here:
            progress.stage("listening", Fraction(len(here)), "files")
            voices |= self._listen(here, files, on_problem, lambda count: progress.advance(Fraction(count)))
        if missing := left.keys() - here:
            for downloaded in download_missing(self._sources.store, files, missing, self._sources.budget, progress):
                for number, error in downloaded.items():
                    if error:
                        on_problem(_silent(files[number].key, error))
                arrived = [number for number, error in downloaded.items() if not error]
                voices |= self._listen(arrived, files, on_problem)
        return {number: voices[same] for number, same in first.items() if same in voices}

    def _name(self, number: int) -> str:
        return voice_name(self._identities[number], self._listens_s(number))

    def _listen(
        self,
        numbers: Sequence[int],
        files: Mapping[int, SourceFile],
        on_problem: Callable[[str], None],
        on_done: Callable[[int], None] = lambda _: None,
    ) -> dict[int, Voice]:
        tasks = []
        for number in numbers:
            file = files[number]
            assert file.probe
            tasks.append(
                VoiceTask(
                    number,
                    file.key,
                    file.path,
                    file.probe,
                    self._listens_s(number),
                    version=file.file_version,
                    owner=self._owner(number),
                )
            )
        found = {}
        for outcome in measure_apart(self._executor, tasks, on_done):
            number, name = outcome.task.number, outcome.task.name
            if isinstance(outcome.value, Voice):
                found[number] = outcome.value
                self._cache.keep(VOICES, self._name(number), files[number], outcome.value)
            else:
                on_problem(_silent(name, outcome.error or f"listening to it {outcome.death}"))
        return found


def voice_name(identity: str, listens_s: Fraction) -> str:
    """The name of a voice in so much of a recording."""
    return f"{identity}\n{listens_s}"


def _silent(name: str, reason: object) -> str:
    return f"{name} counts as silent when it comes to who speaks: {reason}"


def _as_it_is(file: SourceFile) -> SourceFile:
    """The record of a file that may have been fetched since."""
    if file.is_fetched and is_as_fetched(file.path):
        return replace(file, copy=replace(file.copy, present_bytes=file.copy.size_bytes))
    return file
