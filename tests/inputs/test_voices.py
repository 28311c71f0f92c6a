"""Voices are found once, of recordings here and away; who cannot be listened to is silent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from owtmix.base.errors import InputError
from owtmix.demo.speech import spoken
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.inputs.measurement_cache import MeasurementCache
from owtmix.inputs.prefetch import SourceSet
from owtmix.inputs.source_file import SourceFile
from owtmix.inputs.voices import VoiceFinder
from owtmix.media.probe import probe
from owtmix.plan.media_info import ClockRules
from owtmix.plan.voice import HOP_S, Voice
from owtmix.storage import LocalCopy
from owtmix.workers.pending_files import mark_fetched
from tests.media.sounds import write_sound
from tests.support.executor import InProcessExecutor
from tests.support.progress import RecordingProgress

RATE_HZ: Final = 16_000


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Two of ten seconds, in which somebody speaks from the second and from the fifth second on."""
    made = []
    for number, start_s in enumerate((2, 5)):
        sound = np.zeros(10 * RATE_HZ, np.float32)
        sound[start_s * RATE_HZ : (start_s + 3) * RATE_HZ] = spoken(3, 150, -20, RATE_HZ)
        made.append(write_sound(tmp_path / f"{number}.wav", sound[np.newaxis], RATE_HZ))
    return made


class Recorded:
    """Finds voices in files, which may be away, with what it was told."""

    def __init__(self, tmp_path: Path, files: Sequence[SourceFile], content: dict[str, bytes]) -> None:
        self.executor = InProcessExecutor()
        self.problems: list[str] = []
        self.progress = RecordingProgress()
        self.fetched: list[str] = []
        self._content = content
        self._cache = MeasurementCache(tmp_path / "probes", ClockRules())
        self._sources = SourceSet(self, files, DiskBudget(1 << 30, 1 << 30, tmp_path))

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        self.fetched.append(key)
        if key not in self._content:
            raise InputError("it is in an archive")
        copy.path.write_bytes(self._content[key])
        on_progress(len(self._content[key]))

    def find(self) -> dict[int, list[float]]:
        """When somebody begins to speak, by source."""
        names = [file.key for file in self._sources.files]
        whole = Fraction(3600)
        finder = VoiceFinder(
            self.executor, self._sources, self._cache, names, lambda number: names[number], lambda _: whole
        )
        found = finder.find(range(len(names)), self.progress, self.problems.append)
        return {number: [float(run.first * HOP_S) for run in voice.runs] for number, voice in found.items()}


def measured(path: Path, copy: LocalCopy | None = None) -> SourceFile:
    found = probe(path, lambda _: None, parts=None, wholly=False, rules=ClockRules())
    return SourceFile(path.name, copy or LocalCopy(path, version=str(path.stat().st_mtime_ns)), found)


def test_what_is_here_is_listened_to_once(tmp_path: Path, recordings: list[Path]) -> None:
    files = [SourceFile(file.key, LocalCopy(file.path, version=None), file.probe) for file in map(measured, recordings)]
    first = Recorded(tmp_path, files, {})
    assert first.find() == {0: pytest.approx([2], abs=0.15), 1: pytest.approx([5], abs=0.15)}
    assert first.problems == []
    assert not first.fetched


def test_what_was_heard_is_kept(tmp_path: Path, recordings: list[Path]) -> None:
    away = [measured(path, LocalCopy(tmp_path / f"copy-{path.name}", 10, 0, "etag")) for path in recordings]
    content = {path.name: path.read_bytes() for path in recordings}
    first = Recorded(tmp_path, away, content)
    found = first.find()
    assert sorted(first.fetched) == ["0.wav", "1.wav"]
    assert found == {0: pytest.approx([2], abs=0.15), 1: pytest.approx([5], abs=0.15)}
    again = Recorded(tmp_path, away, {})
    assert again.find() == found
    assert not again.fetched


def test_what_was_fetched_meanwhile_is_not_fetched_again(tmp_path: Path, recordings: list[Path]) -> None:
    copy = LocalCopy(tmp_path / "copy", recordings[0].stat().st_size, 0, "etag")
    copy.path.write_bytes(recordings[0].read_bytes())
    mark_fetched(copy.path)
    of = Recorded(tmp_path, [measured(recordings[0], copy)], {})
    assert of.find() == {0: pytest.approx([2], abs=0.15)}
    assert not of.fetched


def test_the_same_recording_under_two_names_is_fetched_once(tmp_path: Path, recordings: list[Path]) -> None:
    copy = LocalCopy(tmp_path / "copy", 10, 0, "etag")
    of = Recorded(tmp_path, [measured(recordings[0], copy)] * 2, {"0.wav": recordings[0].read_bytes()})
    found = of.find()
    assert found[0] == found[1] == pytest.approx([2], abs=0.15)
    assert of.fetched == ["0.wav"]


def test_who_cannot_be_listened_to_is_silent_with_a_warning(tmp_path: Path, recordings: list[Path]) -> None:
    files = [measured(path, LocalCopy(path)) for path in recordings]
    recordings[0].write_bytes(b"nothing of the kind")
    of = Recorded(tmp_path, files, {})
    assert of.find() == {1: pytest.approx([5], abs=0.15)}
    (problem,) = of.problems
    assert problem.startswith("0.wav counts as silent when it comes to who speaks: is not a")


def test_who_cannot_be_fetched_is_silent_with_a_warning(tmp_path: Path, recordings: list[Path]) -> None:
    away = [measured(path, LocalCopy(tmp_path / f"copy-{path.name}", 10, 0, "etag")) for path in recordings]
    of = Recorded(tmp_path, away, {"1.wav": recordings[1].read_bytes()})
    assert of.find() == {1: pytest.approx([5], abs=0.15)}
    assert of.problems == ["0.wav counts as silent when it comes to who speaks: it is in an archive"]


def test_progress_is_told(tmp_path: Path, recordings: list[Path]) -> None:
    of = Recorded(tmp_path, [measured(path, LocalCopy(path)) for path in recordings], {})
    of.find()
    assert of.progress.reports == [("listening", Fraction(2), "files", Fraction(0)), Fraction(1), Fraction(2)]


def test_nothing_is_asked_of_nobody(tmp_path: Path) -> None:
    of = Recorded(tmp_path, [], {})
    assert of.find() == {}
    assert Voice() == Voice(())
