"""Watermark images of a job: each content once, and whose fault it is when one cannot be decoded."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from owtmix.base.errors import DestinationError, InputError, RenderError, ShortageError, StoreError
from owtmix.base.geometry import Size
from owtmix.inputs.image_files import MappedImages, decode_images
from owtmix.inputs.tasks import WatermarkImageTask
from owtmix.jobfile.settings import ImageSettings
from owtmix.jobfile.spec import ImageWatermark
from owtmix.workers import alone
from owtmix.workers.alone import SHORTAGES
from owtmix.workers.base import Death, DeathKind, Outcome
from tests.support.executor import InProcessExecutor

KILLED = Death(DeathKind.KILLED, "is killed from outside (SIGKILL)")
CRASHED = Death(DeathKind.CRASHED, "crashes (SIGSEGV)")


class FailingExecutor:
    """Ends its first tasks with ``failures``: deaths, errors of the task, or exceptions of its own."""

    def __init__(self, *failures: Death | RenderError | DestinationError | InputError | OSError) -> None:
        self.confinement: tuple[str, ...] = ()
        self.tasks: list[WatermarkImageTask] = []
        self.alone: list[bool] = []
        self._failures = deque(failures)
        self._works = InProcessExecutor()

    def allow(self, **_: Any) -> None:
        """Nothing is confined."""

    def run(self, tasks: Any, *_: Any, alone: bool = False, **__: Any) -> Iterator[Outcome[Any]]:
        for task in tasks:
            self.tasks.append(task)
            self.alone.append(alone)
            match self._failures.popleft() if self._failures else None:
                case Death() as death:
                    yield Outcome(task, death=death)
                case OSError() as error:
                    raise ShortageError(f"no process can be started: {error.strerror}") from error
                case None:
                    yield from self._works.run([task])
                case error:
                    yield Outcome(task, error=error)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "LONGEST_PAUSE_S", 0.0)


def png(width: int, height: int, shade: int = 90) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (width, height), (shade, 0, 0, 255)).save(out, "PNG")
    return out.getvalue()


def marks(*sources: str) -> list[ImageWatermark]:
    return [ImageWatermark(0, 0, 1.0, source) for source in sources]


def gather(
    folder: Path, objects: dict[str, Any], executor: FailingExecutor | None = None, **settings: int
) -> tuple[dict[str, Any], list[str]]:
    """The decoded images of all ``objects``, and what was told of the others. An object may be an error."""

    def read(source: str) -> bytes:
        found = objects[source]
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, bytes)
        return found

    told: list[str] = []
    bench = folder.with_name(f"{folder.name}-bench")
    bench.mkdir(exist_ok=True)
    executor = executor or FailingExecutor()
    found = decode_images(marks(*objects), read, ImageSettings(**settings), executor, bench, folder, told.append)
    assert list(bench.iterdir()) == []
    return dict(found), told


def test_the_same_bytes_under_many_names_are_decoded_and_stored_once(tmp_path: Path) -> None:
    executor = FailingExecutor()
    names = ["logo.png", "./logo.png", "copy.png", "http://h/logo.png?1", "http://h/logo.png?2"]
    images, told = gather(tmp_path, dict.fromkeys(names, png(30, 20)), executor)
    assert told == []
    assert len(executor.tasks) == 1
    assert images.keys() == set(names)
    assert len({id(image) for image in images.values()}) == 1
    (stored,) = tmp_path.iterdir()
    assert stored.stat().st_size == 30 * 20 * 4


def test_an_image_that_cannot_be_used_is_tried_once_under_all_its_names(tmp_path: Path) -> None:
    executor = FailingExecutor()
    images, told = gather(tmp_path, {"a.png": b"odd", "b.png": b"odd"}, executor)
    assert images == {}
    assert told == [
        f"the watermark image {name} is left out: the image is not a PNG, JPEG or WebP file"
        for name in ("a.png", "b.png")
    ]
    assert len(executor.tasks) == 1


@pytest.mark.parametrize(("width", "fits"), [(None, True), (40, True), (41, False), (8192, False)])
def test_an_image_that_is_too_large_when_it_is_scaled_is_left_out(
    tmp_path: Path, width: int | None, *, fits: bool
) -> None:
    """Its shape is not the affair of who wrote the job: one pixel wide, it may be thousands high."""
    told: list[str] = []
    wanted = [ImageWatermark(0, 0, 1.0, "tall.png"), ImageWatermark(0, 0, 1.0, "tall.png", width=width)]
    settings = ImageSettings(max_pixels=40 * 400)
    bench = tmp_path / "bench"
    bench.mkdir()
    found = decode_images(wanted, lambda _: png(1, 10), settings, FailingExecutor(), bench, tmp_path, told.append)
    assert list(found) == (["tall.png"] if fits else [])
    assert len(told) == (not fits)
    assert all("tall.png is left out: it is 1x10, and" in one and "images.max_pixels" in one for one in told)


def test_pixels_are_mapped_when_they_are_looked_at(tmp_path: Path) -> None:
    images, _ = gather(tmp_path, {"a.png": png(3, 2), "b.png": png(4, 4)})
    mapped = MappedImages(images)
    assert mapped["a.png"].tolist() == [[[90, 0, 0, 255]] * 3] * 2
    assert isinstance(mapped["a.png"], np.memmap)
    assert (sorted(mapped), len(mapped)) == (["a.png", "b.png"], 2)
    assert mapped.get("c.png") is None


def test_the_digest_has_size_and_pixels(tmp_path: Path) -> None:
    wide, _ = gather(tmp_path, {"a.png": png(4, 1)})
    tall, _ = gather(tmp_path / ".", {"a.png": png(1, 4)})
    assert wide["a.png"].rgba.read_bytes() == tall["a.png"].rgba.read_bytes()
    assert wide["a.png"].digest() != tall["a.png"].digest()
    assert len(wide["a.png"].digest()) == len(hashlib.sha256().hexdigest())


def test_all_images_together_have_a_limit_that_aliases_do_not_use_up(tmp_path: Path) -> None:
    objects = {"a.png": png(10, 10), "again.png": png(10, 10), "b.png": png(10, 10, 1), "small.png": png(5, 10)}
    images, told = gather(tmp_path, objects, max_total_pixels=150)
    assert images.keys() == {"a.png", "again.png", "small.png"}
    (said,) = told
    assert said == (
        "the watermark image b.png is left out: the image has 10x10 pixels, and with the watermark images before it "
        "more than images.max_total_pixels in conf/owt.toml"
    )


@pytest.mark.parametrize(
    "failure",
    [
        KILLED,
        Death(DeathKind.UNSTARTED, "ends with status 1 before it begins"),
        ShortageError("memory is short"),
        OSError(errno.EAGAIN, "Resource temporarily unavailable"),
    ],
    ids=["killed", "cannot start", "no memory", "no process"],
)
def test_what_the_machine_spoils_is_tried_again_alone_and_then_fails_the_job(
    tmp_path: Path, failure: Death | RenderError | OSError
) -> None:
    executor = FailingExecutor(failure, failure, failure)
    images, told = gather(tmp_path, {"a.png": png(3, 2)}, executor)
    assert images["a.png"].size == Size(3, 2)
    assert told == []
    assert executor.alone == [True] * 4
    with pytest.raises(ShortageError):
        gather(tmp_path, {"a.png": png(3, 2)}, FailingExecutor(*[failure] * SHORTAGES))


def test_a_killed_job_says_that_the_machine_did_it(tmp_path: Path) -> None:
    with pytest.raises(ShortageError, match=r"a\.png was tried 7 times, and its process is killed .*SIGKILL"):
        gather(tmp_path, {"a.png": png(3, 2)}, FailingExecutor(*[KILLED] * SHORTAGES))


@pytest.mark.parametrize("kind", [DeathKind.CRASHED, DeathKind.HUNG, DeathKind.MEMORY, DeathKind.PROTOCOL])
def test_an_image_that_ends_its_process_twice_is_left_out(tmp_path: Path, kind: DeathKind) -> None:
    death = Death(kind, "does what it must not")
    images, told = gather(tmp_path, {"a.png": png(3, 2)}, FailingExecutor(death))
    assert images.keys() == {"a.png"}
    images, told = gather(tmp_path, {"a.png": png(3, 2)}, FailingExecutor(death, KILLED, death))
    assert images == {}
    assert told == ["the watermark image a.png is left out: decoding it does what it must not"]


def test_a_full_disk_fails_the_job(tmp_path: Path) -> None:
    with pytest.raises(DestinationError):
        gather(tmp_path, {"a.png": png(3, 2)}, FailingExecutor(*[DestinationError("full")] * 2))
    with pytest.raises(DestinationError, match="cannot be written"):
        gather(tmp_path / "missing", {"a.png": png(3, 2)})


def test_a_store_that_cannot_be_used_fails_the_job(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        gather(tmp_path, {"a.png": StoreError("refuses everything")})


def test_an_image_that_cannot_be_read_for_want_of_descriptors_fails_the_job(tmp_path: Path) -> None:
    with pytest.raises(ShortageError, match=r"reading .*a\.png was tried 7 times, and a process may open \d+ files"):
        gather(tmp_path, {"a.png": caused(InputError("a.png cannot be read"), OSError(errno.EMFILE, "too many"))})
    _, told = gather(tmp_path, {"a.png": caused(InputError("refused"), OSError(errno.EACCES, "denied"))})
    assert told == ["the watermark image a.png is left out: refused"]


def caused(error: Exception, cause: Exception) -> Exception:
    error.__context__ = cause
    return error


def test_a_process_that_was_taken_over_cannot_claim_once_that_the_disk_is_full(tmp_path: Path) -> None:
    images, told = gather(tmp_path, {"a.png": png(3, 2)}, FailingExecutor(DestinationError("full")))
    assert (images["a.png"].size, told) == (Size(3, 2), [])


def put_pipe(rgba: Path) -> None:
    rgba.unlink()
    os.mkfifo(rgba)


@pytest.mark.parametrize(
    ("reply", "change"),
    [
        *((size, Path.exists) for size in (Size(0, 0), Size(3, 3), Size(10_000, 10_000), Size(-3, -2))),
        (Size(3, 2), Path.unlink),
        (Size(3, 2), lambda rgba: os.truncate(rgba, 23)),
        (Size(3, 2), lambda rgba: rgba.unlink() or rgba.mkdir()),
        (Size(3, 2), lambda rgba: rgba.unlink() or rgba.symlink_to("/etc/passwd")),
        (Size(3, 2), put_pipe),
        (Size(3, 2), lambda rgba: os.link(rgba, rgba.with_suffix(".again"))),
    ],
)
def test_a_process_that_was_taken_over_cannot_lie_about_what_it_made(
    tmp_path: Path, reply: Size, change: Callable[[Path], object]
) -> None:
    task = WatermarkImageTask("the image", b"", 1000, 1000, tmp_path / "image.rgba")
    task.rgba.write_bytes(bytes(24))
    task.check(Size(3, 2))
    change(task.rgba)
    with pytest.raises(ValueError, match=r"picture|file"):
        task.check(reply)
