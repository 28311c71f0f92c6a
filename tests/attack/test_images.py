"""Watermark images that are many, huge, slow or crafted, and a machine that kills the process that decodes them."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from owtmix.base.errors import ShortageError
from owtmix.inputs.image_files import decode_images
from owtmix.jobfile.settings import ImageSettings
from owtmix.jobfile.spec import ImageWatermark
from owtmix.workers.alone import SHORTAGES
from owtmix.workers.base import Limits
from owtmix.workers.local import WorkerPool
from tests.attack.watching import watch
from tests.support import people
from tests.support.command import TINY, Command, change, install
from tests.support.processes import workers

pytestmark = pytest.mark.timeout(600)

LARGEST_MIB: Final = 4000 * 4000 * 4 >> 20
"""Of one image of the most pixels that are accepted, decoded."""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return install(tmp_path_factory.mktemp("installation") / "owt")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(kind: bytes, data: bytes) -> bytes:
    """A small PNG with another chunk after its header."""
    small = encoded(Image.new("RGB", (8, 8)), "PNG")
    return small[:33] + chunk(kind, data) + small[33:]


def largest(kind: str, **options: object) -> bytes:
    return encoded(Image.new("RGB", (4000, 4000), (9, 80, 7)), kind, **options)


def animation() -> bytes:
    frames = [Image.new("RGB", (2000, 2000), (number, 0, 0)) for number in range(10)]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, quality=0, method=0)


def many_scans() -> bytes:
    """A progressive JPEG with its last scan thousands of times: without a limit it takes minutes."""
    data = encoded(Image.new("L", (3900, 4000)), "JPEG", progressive=True, quality=1)
    last = data.rfind(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan * min(3000, (15 << 20) // len(scan)) + data[-2:]


def compressed() -> bytes:
    return zlib.compress(bytes(64 << 20), 9)


BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "text": lambda: with_chunk(b"zTXt", b"k\0\0" + compressed()),
    "international text": lambda: with_chunk(b"iTXt", b"k\0\1\0\0\0" + compressed()),
    "profile": lambda: with_chunk(b"iCCP", b"k\0\0" + compressed()),
    "frames of a PNG": lambda: with_chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0)),
    "frames of a WebP": animation,
    "scans": many_scans,
    "size": lambda: largest("PNG"),
    "turned": lambda: largest("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x05\0\0\0\0\0\0\0"),
    "announced": lambda: largest("PNG").replace(struct.pack(">II", 4000, 4000), struct.pack(">II", 30000, 30000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_image_takes_little_time_and_memory(command: Command, tmp_path: Path, name: str) -> None:
    job_file = TINY.write(tmp_path, "bomb", people.record)
    (tmp_path / "bomb.png").write_bytes(BOMBS[name]())
    change(job_file, "Data.MixerConfig.WaterMark", {"Type": 2, "Image": "bomb.png"})
    seen = watch(command, "--fresh", job_file)
    assert seen.status == 0, seen.told
    assert seen.took_s < 60
    assert seen.child_mib < 120 + 5 * LARGEST_MIB
    assert seen.parent_mib < 200
    assert seen.work_mib < LARGEST_MIB + 20


def test_names_of_one_image_take_the_space_of_one(command: Command, tmp_path: Path) -> None:
    job_file = TINY.write(tmp_path, "aliases", people.record)
    (tmp_path / "big.png").write_bytes(largest("PNG"))
    (tmp_path / "link.png").symlink_to("big.png")
    os.link(tmp_path / "big.png", tmp_path / "hard.png")
    names = ["link.png", "hard.png", *("./" * number + "big.png" for number in range(30))]
    change(job_file, "Data.MixerConfig.WaterMark", [{"Type": 2, "Image": name} for name in names])
    seen = watch(command, "--fresh", job_file)
    assert seen.status == 0, seen.told
    assert "left out" not in seen.told
    assert seen.work_mib < LARGEST_MIB + 20
    assert seen.child_mib < 120 + 5 * LARGEST_MIB
    change(job_file, "Data.MixerConfig.WaterMark", [{"Type": 2, "Image": "./" * n + "big.png"} for n in range(60)])
    assert watch(command, job_file).status == 2


def test_images_that_are_too_many_pixels_together_are_left_out(command: Command, tmp_path: Path) -> None:
    job_file = TINY.write(tmp_path, "many", people.record)
    for number in range(6):
        image = Image.new("RGB", (4000, 4000), (number, 80, 7))
        (tmp_path / f"{number}.png").write_bytes(encoded(image, "PNG", compress_level=1))
    change(job_file, "Data.MixerConfig.WaterMark", [{"Type": 2, "Image": f"{n}.png"} for n in range(6)])
    seen = watch(command, "--fresh", job_file)
    assert seen.status == 0, seen.told
    assert seen.told.count("more than images.max_total_pixels in conf/owt.toml") == 2
    assert seen.work_mib < 4 * LARGEST_MIB + 20


@contextmanager
def killing(times: int) -> Iterator[list[int]]:
    """Kill the first children of this process, as often as said, while they decode; gives those that were killed."""
    killed: list[int] = []
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.01) and len(killed) < times:
            for pid in workers(os.getpid()):
                # One that has opened Pillow has begun with the image.
                if pid not in killed and "_imaging" in Path(f"/proc/{pid}/maps").read_text():
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def decoded(folder: Path, data: bytes) -> str:
    told: list[str] = []
    mark = ImageWatermark(0, 0, 1.0, "logo.png")
    with WorkerPool(2, Limits(1 << 30, 60), told.append) as pool:
        bench = folder / "bench"
        bench.mkdir(exist_ok=True)
        pool.allow(write=[bench])
        images = decode_images([mark], lambda _: data, ImageSettings(), pool, bench, folder, told.append)
    assert told == []
    return hashlib.sha256(images["logo.png"].rgba.read_bytes()).hexdigest()


def test_kills_while_an_image_is_decoded_give_the_same_bytes_or_a_failure(tmp_path: Path) -> None:
    noise = encoded(Image.effect_noise((3500, 3500), 90), "PNG", compress_level=1)
    undisturbed = decoded(tmp_path, noise)
    for times in (1, 2, 3):
        with killing(times) as killed:
            assert decoded(tmp_path, noise) == undisturbed
        assert len(killed) == times
    with killing(1000) as killed, pytest.raises(ShortageError, match="its process is killed"):
        decoded(tmp_path, noise)
    assert len(killed) == SHORTAGES
