"""What a job is made from: its index, its recordings, measured, and its watermark images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from owtmix.base.errors import InputError, RenderError, StoreError
from owtmix.base.progress import Progress
from owtmix.inputs.disk_budget import disk_budget
from owtmix.inputs.download import download_missing, locate_recordings
from owtmix.inputs.measure import measure, measure_parts
from owtmix.inputs.prefetch import Stock, Ware
from owtmix.inputs.tasks import ProbeTask, WatermarkImageTask
from owtmix.jobfile.index import MAX_INDEX_BYTES, Index, Recording, read_index
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import ImageWatermark, JobSpec
from owtmix.plan.media_info import Clip, Probe
from owtmix.storage import LocalCopy, LocalStore, Store
from owtmix.workers.limits import require_value
from owtmix.workers.local import WorkerPool


@dataclass(frozen=True, slots=True)
class Footage:
    """The readable recordings, what is known of them, where they are or will be, and why the others are left out."""

    clips: list[Clip]
    probes: list[Probe]
    stock: Stock
    left_out: list[tuple[str, str]]


class Intake:
    """Reads what a job names from its input store: the index at once, the rest when asked; it goes into ``folder``.

    The index is ``named`` as a key of the store or as a local file (``is_local``), or it is the first that exists of
    the keys in ``conf/owt.toml``. ``index_key`` is its key where it lies in the store.

    Raises:
        InputError: there is no index, or it cannot be read.
    """

    def __init__(
        self, spec: JobSpec, settings: Settings, store: Store, executor: WorkerPool, folder: Path, named: str | None
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._store = store
        self._executor = executor
        self._folder = folder
        data, self.index_key, tried = self._find_index(named)
        if data is None:
            hint = "" if named else ": name it with --index"
            raise InputError(f"there is no index of the recordings; tried {', '.join(tried)}{hint}")
        self.index: Index = read_index(data, time_unit=settings.index.time_unit)

    def footage(self, files: Sequence[Recording], progress: Progress) -> Footage:
        """Measure the recordings: parts of those whose tables tell the rest, and the others as they land.

        Raises:
            StoreError: the store cannot be used.
            DestinationError: the disk does not take them.
        """
        longest_s = self._settings.limits.max_duration_s
        located = dict(enumerate(locate_recordings(self._store, [file.key for file in files], self._folder)))
        problems = {n: str(error) for n, error in located.items() if isinstance(error, InputError)}
        in_need = sorted(located, key=lambda n: files[n].start_s)
        wares = {n: Ware(files[n].key, copy) for n in in_need if isinstance(copy := located[n], LocalCopy)}
        copies = [ware.copy for ware in wares.values()]
        quota = disk_budget(copies, self._folder, self._settings.storage.max_inputs_mib << 20)
        found: dict[int, Probe] = {}

        def look(numbers: Iterable[int], on_measured: Callable[[int], None] = lambda _: None) -> None:
            tasks = [ProbeTask(n, wares[n].key, wares[n].copy.path, longest_s) for n in sorted(numbers)]
            measured = measure(self._executor, tasks, on_measured)
            found.update({n: what for n, what in measured.items() if isinstance(what, Probe)})
            problems.update({n: what for n, what in measured.items() if isinstance(what, str)})

        here = [n for n, ware in wares.items() if ware.copy.complete]
        if len(here) == len(wares):  # measuring them is all that there is to show
            progress.stage("reading", Fraction(len(here)), "files")
            look(here, lambda count: progress.advance(Fraction(count)))
        else:
            away = {n: ware for n, ware in wares.items() if not ware.copy.complete}
            found |= measure_parts(self._executor, self._store, away, longest_s)
            look(here)
            if missing := away.keys() - found.keys():
                for landed in download_missing(self._store, wares, missing, quota, progress):
                    problems |= {n: str(error) for n, error in landed.items() if error}
                    look(n for n, error in landed.items() if not error)
        used = sorted(found)
        return Footage(
            [Clip(files[n], source, found[n].video, found[n].audio) for source, n in enumerate(used)],
            [found[n] for n in used],
            Stock(self._store, [wares[n] for n in used], quota),
            [(files[n].key, problems[n]) for n in sorted(problems)],
        )

    def images(self, on_missing: Callable[[str], None]) -> dict[str, Path]:
        """Array files of the watermark images, by their source; one that cannot be had is told to ``on_missing``."""
        arrays: dict[str, Path] = {}
        for mark in self._spec.mixer.watermarks:
            if not isinstance(mark, ImageWatermark) or mark.source in arrays:
                continue
            array = self._folder / f"image-{len(arrays)}.npy"
            try:
                task = WatermarkImageTask(
                    "the image", self._image(mark.source), self._settings.images.max_pixels, array
                )
                for outcome in self._executor.run([task]):
                    require_value(outcome)
            except StoreError:
                raise
            except (InputError, RenderError) as error:
                on_missing(f"the watermark image {mark.shown} is left out: {error}")
            else:
                arrays[mark.source] = array
        return arrays

    def _find_index(self, named: str | None) -> tuple[bytes | None, str | None, list[str]]:
        """The index's bytes, its key in the store, and all that was tried."""
        if named and is_local(named):
            return LocalStore(Path(named).parent).read(Path(named).name, MAX_INDEX_BYTES), None, [named]
        keys = [named] if named else [self._substituted(key) for key in self._settings.index.keys]
        tried = [self._store.address(key) for key in keys]
        for key in keys:
            data = self._store.read(key, MAX_INDEX_BYTES)
            if data is not None:
                return data, key, tried
        return None, None, tried

    def _substituted(self, key: str) -> str:
        names = {"$JobId": self._spec.job_id, "$RoomId": self._spec.room_id, "$AppId": self._spec.app_id}
        for name, value in names.items():
            key = key.replace(name, value)
        return key

    def _image(self, source: str) -> bytes:
        settings = self._settings
        if source.startswith(("http://", "https://")):
            # Imported here, since most jobs need not wait for the HTTP library to load.
            from owtmix.inputs.watermark_images import fetch_image  # noqa: PLC0415

            return fetch_image(source, settings.images.timeout_s, settings.images.max_bytes, settings.network.allow)
        data = self._store.read(source, settings.images.max_bytes)
        if data is None:
            raise InputError("it does not exist in the input store")
        return data


def is_local(name: str) -> bool:
    """Whether an argument of the command line is a local file, and not the key of an object."""
    return name.startswith(("/", "./", "../"))
