"""What a job is made from is gathered: the index, the recordings, measured, and the watermark images."""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from PIL import Image

from owtmix.base.errors import InputError, StoreError
from owtmix.base.progress import NoProgress
from owtmix.inputs.gather import InputGatherer
from owtmix.inputs.image_files import MappedImages
from owtmix.inputs.measurement_cache import MeasurementCache
from owtmix.jobfile.settings import Settings, StorageSettings
from owtmix.jobfile.spec import ImageWatermark, JobSpec
from owtmix.plan.media_info import ClockRules
from tests.support.command import TINY, record_once
from tests.support.executor import InProcessExecutor
from tests.support.people import Take
from tests.support.plans import JOB
from tests.support.progress import RecordingProgress
from tests.support.store import Content, FakeStore

ANNA: Final = "room/0-anna_1.mp4"
BEN: Final = "room/1-ben_1.webm"
LARGE_BYTES: Final = 6 << 20


def record_large(take: Take, path: Path) -> None:
    """A recording with a box behind it that nobody needs."""
    record_once(take, path)
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", LARGE_BYTES, b"free") + bytes(LARGE_BYTES - 8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where what is fetched goes."""
    (tmp_path / "inputs").mkdir()
    return tmp_path / "inputs"


@pytest.fixture
def lay_out(tmp_path: Path) -> Callable[..., FakeStore]:
    def in_memory(record: Callable[[Take, Path], None] = record_once, **changes: Content | None) -> FakeStore:
        """A store with the tiny room: its index and recordings, of which ``anna`` and ``ben`` may be others or none."""
        room = tmp_path / "room"
        TINY.write(room, JOB.job_id, record)
        objects: dict[str, Content | None] = {
            str(path.relative_to(room)): path.read_bytes() for path in room.rglob("*") if path.is_file()
        }
        objects |= {{"anna": ANNA, "ben": BEN}[name]: content for name, content in changes.items()}
        return FakeStore({key: content for key, content in objects.items() if content is not None})

    return in_memory


def gatherer(
    store: FakeStore,
    folder: Path,
    spec: JobSpec = JOB,
    named: str | None = None,
    settings: Settings | None = None,
    executor: InProcessExecutor | None = None,
    *,
    is_option: bool = False,
) -> InputGatherer:
    probes = MeasurementCache(folder.parent / "probes", ClockRules())
    executor = executor or InProcessExecutor()
    bench = folder.parent / "bench"
    bench.mkdir(exist_ok=True)
    return InputGatherer(
        spec, settings or Settings(), store, executor, folder, bench, named, probes=probes, is_option=is_option
    )


def test_recordings_are_fetched_and_measured_in_the_order_of_the_index(
    lay_out: Callable[..., FakeStore], folder: Path
) -> None:
    store = lay_out()
    inputs = gatherer(store, folder)
    found = inputs.recordings(inputs.index.files, NoProgress())
    assert inputs.index_key == f"{JOB.job_id}.json"
    assert found.left_out == []
    assert sorted(store.fetched) == [ANNA, BEN]
    assert [(clip.recording.key, clip.source) for clip in found.clips] == [(ANNA, 0), (BEN, 1)]
    for file, clip in zip(found.sources.files, found.clips, strict=True):
        assert (file.key, file.path.read_bytes()) == (clip.recording.key, store.objects[file.key])
        assert file.version == file.path.name
        assert file.probe
        assert (file.probe.video, file.probe.sounds) == (clip.video, clip.sounds)
        assert clip.video
        assert clip.sounds


def test_one_that_cannot_be_used_is_left_out_with_the_reason(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    store = lay_out(anna=b"nothing of the kind")
    inputs = gatherer(store, folder)
    found = inputs.recordings(inputs.index.files, NoProgress())
    assert found.left_out == [(ANNA, "is not an MP4, WebM, Matroska, Ogg or WAV file")]
    assert [(clip.recording.key, clip.source) for clip in found.clips] == [(BEN, 0)]
    assert [file.key for file in found.sources.files] == [BEN]


def test_one_that_is_not_in_the_store_is_left_out(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    inputs = gatherer(lay_out(ben=None), folder)
    found = inputs.recordings(inputs.index.files, NoProgress())
    assert found.left_out == [(BEN, "does not exist")]
    assert [clip.recording.key for clip in found.clips] == [ANNA]


def test_one_that_the_store_refuses_is_left_out(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    inputs = gatherer(lay_out(ben=StoreError("403", of_object="it is in an archive")), folder)
    found = inputs.recordings(inputs.index.files, NoProgress())
    assert found.left_out == [(BEN, "it is in an archive")]
    assert [clip.recording.key for clip in found.clips] == [ANNA]


def test_one_that_is_larger_than_all_may_be_is_left_out(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    store = lay_out()
    inputs = gatherer(store, folder, settings=Settings(storage=StorageSettings(max_inputs_mib=1)))
    store.objects[BEN] = (1 << 20) + 1
    found = inputs.recordings(inputs.index.files, NoProgress())
    assert [clip.recording.key for clip in found.clips] == [ANNA]
    ((key, reason),) = found.left_out
    assert key == BEN
    assert "storage.max_inputs_mib in conf/owt.toml allows 0.00 GiB" in reason
    assert BEN not in store.fetched


def test_one_that_is_larger_than_the_disk_is_left_out(
    lay_out: Callable[..., FakeStore], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = lay_out()
    inputs = gatherer(store, folder)
    store.objects[BEN] = (1 << 20) + 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    found = inputs.recordings(inputs.index.files, NoProgress())
    assert [clip.recording.key for clip in found.clips] == [ANNA]
    ((key, reason),) = found.left_out
    assert key == BEN
    assert reason.endswith("has space for 0.00 GiB: free some space to use this recording")
    assert BEN not in store.fetched


def test_an_object_that_is_named_twice_is_fetched_and_measured_once(
    lay_out: Callable[..., FakeStore], folder: Path
) -> None:
    store = lay_out()
    inputs = gatherer(store, folder)
    anna, ben = inputs.index.files
    again = replace(ben, stream=replace(ben.stream, user="again"))
    progress = RecordingProgress()
    found = inputs.recordings([anna, ben, again, replace(again, start_s=ben.start_s + 100)], progress)
    assert sorted(store.fetched) == [ANNA, BEN]
    assert [clip.recording.key for clip in found.clips] == [ANNA, BEN, BEN, BEN]
    assert len({file.path for file in found.sources.files}) == 2
    assert progress.reports[0] == (
        "fetching",
        sum(file.copy.size_bytes for file in found.sources.files[:2]),
        "bytes",
        0,
    )


def test_an_object_that_is_named_twice_is_left_out_twice(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    inputs = gatherer(lay_out(ben=b"nothing of the kind"), folder)
    anna, ben = inputs.index.files
    found = inputs.recordings([anna, ben, replace(ben, start_s=ben.start_s + 100)], NoProgress())
    assert [clip.recording.key for clip in found.clips] == [ANNA]
    assert found.left_out == [(BEN, "is not an MP4, WebM, Matroska, Ogg or WAV file")] * 2


def test_a_store_that_is_down_leaves_nothing_out(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    store = lay_out()
    inputs = gatherer(store, folder)
    store.objects = dict.fromkeys(store.objects, StoreError("the store is down"))
    with pytest.raises(StoreError, match="is down"):
        inputs.recordings(inputs.index.files, NoProgress())


def test_a_large_recording_is_measured_by_its_parts(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    whole = gatherer(lay_out(), folder)
    expected = whole.recordings(whole.index.files[:1], NoProgress()).clips[0]
    for path in folder.iterdir():
        path.unlink()
    (folder.parent / "room").rename(folder.parent / "small")
    store = lay_out(record_large)
    inputs = gatherer(store, folder)
    found = inputs.recordings(inputs.index.files[:1], NoProgress())
    assert found.clips[0].video == expected.video
    assert found.clips[0].recording.key == ANNA
    assert store.fetched == []
    assert not list(folder.iterdir()), "the parts are gone"
    assert found.sources.files[0].version == found.sources.files[0].path.name


def test_a_local_index_belongs_to_no_store(lay_out: Callable[..., FakeStore], folder: Path, tmp_path: Path) -> None:
    store = lay_out()
    index = tmp_path / "index.json"
    data = store.objects.pop(f"{JOB.job_id}.json")
    assert isinstance(data, bytes)
    index.write_bytes(data)
    inputs = gatherer(store, folder, named=str(index))
    assert inputs.index_key is None
    assert [file.key for file in inputs.index.files] == [ANNA, BEN]


def test_a_missing_index_names_all_that_was_tried(folder: Path) -> None:
    with pytest.raises(InputError, match=r"tried memory:room-1\.json, .*memory:room-1\.info: name it with --index"):
        gatherer(FakeStore({}), folder)
    with pytest.raises(InputError, match=r"tried memory:my\.json$"):
        gatherer(FakeStore({}), folder, named="my.json")


def test_only_the_command_line_is_told_of_local_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.json").touch()
    with pytest.raises(InputError, match=r"tried memory:my\.json$"):
        gatherer(FakeStore({}), folder, named="my.json")
    with pytest.raises(InputError, match=r"tried memory:my\.json: my\.json in the working folder is \./my\.json$"):
        gatherer(FakeStore({}), folder, named="my.json", is_option=True)


@pytest.mark.parametrize("is_option", [False, True])
def test_a_key_that_no_local_file_can_have_is_a_missing_index(folder: Path, is_option: bool) -> None:
    with pytest.raises(InputError, match="there is no index of the recordings; tried memory:aaa"):
        gatherer(FakeStore({}), folder, named="a" * 300, is_option=is_option)


def test_watermark_images_come_from_the_store_once_each_and_missing_ones_are_told(
    lay_out: Callable[..., FakeStore], folder: Path
) -> None:
    png = io.BytesIO()
    Image.new("RGBA", (3, 2), (10, 20, 30, 255)).save(png, "PNG")
    store = lay_out()
    store.objects |= {"logo.png": png.getvalue(), "odd.png": b"odd"}
    marks = tuple(ImageWatermark(0, 0, 1.0, key) for key in ("logo.png", "none.png", "logo.png", "odd.png"))
    told: list[str] = []
    images = gatherer(store, folder).images(marks, told.append)
    assert images.keys() == {"logo.png"}
    assert MappedImages(images)["logo.png"].tolist() == [[[10, 20, 30, 255]] * 3] * 2
    assert told[0] == "the watermark image none.png is left out: it does not exist in the input store"
    assert told[1].startswith("the watermark image odd.png is left out: ")
    assert len(told) == 2


def test_a_name_in_another_normal_form_is_used_and_named(lay_out: Callable[..., FakeStore], folder: Path) -> None:
    store = lay_out()
    composed, decomposed = "room/Zo\u00eb.webm", "room/Zoe\u0308.webm"
    store.objects[decomposed] = store.objects.pop(BEN)
    inputs = gatherer(store, folder)
    recordings = [replace(r, key=composed) if r.key == BEN else r for r in inputs.index.files]
    found = inputs.recordings(recordings, NoProgress())
    assert found.left_out == []
    assert found.warnings == [f"{composed} has another Unicode form of its name in the store; it is used"]


def test_what_was_measured_once_is_not_fetched_to_be_measured_again(
    lay_out: Callable[..., FakeStore], folder: Path
) -> None:
    store = lay_out()
    first = gatherer(store, folder)
    before = first.recordings(first.index.files, NoProgress())
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    store.fetched.clear()
    again = gatherer(store, folder).recordings(first.index.files, NoProgress())
    assert [clip.video for clip in again.clips] == [clip.video for clip in before.clips]
    assert not store.fetched


class WatchingExecutor(InProcessExecutor):
    """Notes how it was asked to measure: the workers, and whether these are new."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[int, set[str]] = {}
        self.listens_s: dict[str, Fraction] = {}

    def run(self, tasks: Any, *arguments: Any, **options: Any) -> Any:
        taken = tasks.take

        def take(worker: int) -> Any:
            task = taken(worker)
            self.owners.setdefault(worker, set()).add(Path(task.name).name.split("_")[0])
            self.listens_s[task.name] = task.listens_s
            return task

        assert options["renewed"], "no process that has read something else measures"
        tasks.take = take
        return super().run(tasks, *arguments, **options)


def test_the_recordings_of_each_person_are_measured_by_processes_of_their_own(
    lay_out: Callable[..., FakeStore], folder: Path
) -> None:
    """A recording that takes over its process could falsify what is kept of others."""
    executor = WatchingExecutor()
    inputs = gatherer(lay_out(), folder, executor=executor)
    assert len(inputs.recordings(inputs.index.files, NoProgress()).clips) > 1
    assert len(executor.owners) > 1
    assert all(len(found) == 1 for found in executor.owners.values())


def test_an_object_that_is_named_twice_is_listened_to_as_far_as_either_needs(
    lay_out: Callable[..., FakeStore], folder: Path
) -> None:
    executor = WatchingExecutor()
    inputs = gatherer(lay_out(), folder, executor=executor)
    anna, ben = inputs.index.files
    parts = [replace(anna, start_s=anna.start_s + 100 * n, end_s=anna.start_s + 100 * n + n + 1) for n in (0, 2, 1)]
    found = inputs.recordings([*parts, ben], NoProgress(), listens=True)
    assert len(found.clips) == 4
    assert ben.end_s
    assert executor.listens_s == {ANNA: 3, BEN: ben.end_s - ben.start_s}
