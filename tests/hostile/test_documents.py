"""Hostile job files, indexes, images and names: clear refusals in bounded time, and no raw control characters."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.hostile import files
from tests.hostile.conftest import knocked
from tests.support.command import TINY, Command, record_once

MIB: Final = 1 << 20
CONTROLS: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

Json = dict[str, Any]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return TINY.write(tmp_path / "room", f"hostile-{uuid4().hex[:12]}", record_once)


def index_of(job_file: Path) -> Path:
    return next(path for path in job_file.parent.glob("*.json") if path != job_file)


def rewrite(path: Path, change: Callable[[Json], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{" + " " * MIB, "at most 1,048,576 are accepted"),
        ('{"Data":' * 70 + "}" * 70, "nested deeper than 64 levels"),
        ('{"Data": 1e999999999}', "more digits than any that is accepted"),
        ('{"Data": {"\x1b[31mX": 1}, "Action": "\x9b31m"}', "found: a control character"),
        (r'{"Data": {"\u001b[31mX": 1}, "Action": "\u009b31m"}', r'Action: found "\x9b31m"'),
    ],
    ids=["long", "deep", "number", "controls", "escaped controls"],
)
def test_a_job_file_is_refused(command: Command, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "cfg.json").write_text(text)
    done = command.run(tmp_path / "cfg.json")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not CONTROLS.search(done.stderr + done.stdout)


def _many_files(index: Json) -> None:
    index["Files"] *= 5001


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda index: index.update(Comment="x" * 16 * MIB), "is larger than 16777216 bytes"),
        (_many_files, "a list of 1 to 10,000 files (here 10,002)"),
        (lambda index: index.update(Padding=[[]] * 2_000_000), "more than 1,000,000 commas"),
        (lambda index: index["Files"][0].update(Name="../cfg.json"), '".." as a segment would leave the store'),
        (lambda index: index.update(Root=".."), '".." as a segment would leave the store'),
        (lambda index: index["Files"][0].update(StartTime=10**30), "below 1e14"),
    ],
    ids=["long", "files", "entries", "climb", "root", "time"],
)
def test_an_index_is_refused(command: Command, tiny: Path, change: Callable[[Json], object], words: str) -> None:
    rewrite(index_of(tiny), change)
    done = command.run("--plan", tiny)
    assert done.returncode == 3
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not CONTROLS.search(done.stderr + done.stdout)


def test_a_malformed_name_is_left_out_and_shown_without_its_control_characters(command: Command, tiny: Path) -> None:
    rewrite(index_of(tiny), lambda index: index["Files"][0].update(Name="a\x1b[31m\nb"))
    done = command.run("--plan", tiny)
    assert done.returncode == 0, done.stderr
    assert "control characters are not accepted" in done.stderr
    assert not CONTROLS.search(done.stderr + done.stdout)


def png(width: int, height: int) -> bytes:
    """A PNG file whose header states this size and which has one row of pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    row = zlib.compress(b"\0" * (1 + 4 * min(width, 1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def test_watermark_images_are_left_out_each_with_a_warning(command: Command, tiny: Path, port: int) -> None:
    folder = tiny.parent
    images = {
        "bomb.png": (png(60_000, 60_000), "the image has more than 16000000 pixels"),
        "wide.png": (png(2**31 - 1, 1), "the image has"),
        "script.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://127.0.0.1/'/></svg>", "not a PNG"),
        "playlist.png": (files.playlist(port), "not a PNG"),
        "zip.png": (png(2000, 2000), "the image is damaged"),
        "big.png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 16 * MIB, "is larger than 16777216 bytes"),
    }
    for name, (data, _) in images.items():
        (folder / name).write_bytes(data)
    (folder.parent / "outside.png").write_bytes(png(1, 1))
    (folder / "link.png").symlink_to("../outside.png")
    sources = [*images, "link.png", "missing.png"]
    marks = [{"Type": 2, "Image": source, "X": 0, "Y": 0} for source in sources]
    rewrite(tiny, lambda job: job["Data"]["MixerConfig"].update(WaterMark=marks))
    done = command.run("--plan=json", tiny)
    assert done.returncode == 0, done.stderr
    warnings = [warning for warning in json.loads(done.stdout)["warnings"] if "watermark" in warning]
    assert len(warnings) == len(sources)
    for name, (_, words) in images.items():
        assert any(f" {name} " in warning and words in warning for warning in warnings), (name, warnings)
    assert not knocked(port)


def test_names_are_shown_with_their_controls_spelled_out(command: Command, tmp_path: Path) -> None:
    recording = tmp_path / "\x1b[31mred\n\u009b1mbold.webm"
    recording.write_bytes(files.healthy("webm"))
    missing = tmp_path / "\x1b[2Jgone.webm"
    text = command.run("--probe", recording, missing)
    assert r"\x1b[31mred\n\x9b1mbold.webm" in text.stdout
    assert r"\x1b[2Jgone.webm cannot be used: does not exist" in text.stderr
    for_programs = command.run("--probe=json", recording, missing)
    assert [entry["file"] for entry in json.loads(for_programs.stdout)] == [str(recording), str(missing)]
    shown = text.stdout + text.stderr + for_programs.stdout + for_programs.stderr
    assert not CONTROLS.search(shown)
