"""Which GPU is used, what is reported of it, and how a job whose GPU fails goes on."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Timer
from typing import Any, Final

import numpy as np
import pytest

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import DestinationError, RenderError
from owtmix.base.geometry import Size
from owtmix.base.progress import NoProgress
from owtmix.compositor.gpu.device import DeviceError
from owtmix.jobfile.settings import LimitSettings, Settings
from owtmix.jobfile.spec import VideoSpec
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from owtmix.plan.encoders import NVENC, h264, nvenc
from owtmix.produce.gpu_check import GpuCheckTask, GpuInfo, check_composing, check_gpus, encodes
from owtmix.workers.card_holds import MOST_SESSIONS, SESSIONS
from owtmix.workers.card_models import CONSUMER_SESSIONS
from owtmix.workers.places import Places
from tests.e2e import measure
from tests.produce.fake_gpu import FakeGpu, SilentReporter, on_fake_gpu
from tests.produce.faulty_tasks import without_output
from tests.support import people
from tests.support.card.kernel import compiled
from tests.support.card.lazy_device import LazyDevice
from tests.support.command import install as install_tool
from tests.support.command import record_once
from tests.support.fixtures import new_job_id
from tests.support.people import Take
from tests.support.replacing import replacing
from tests.support.room import Room

ROOM: Final = Room(
    takes=(
        Take("anna_1", 0, 4000, people.COLOURS[0], 440, size=(160, 90), level_db=-30, container="webm"),
        Take("ben_1", 0, 4000, people.COLOURS[1], 1000, size=(160, 90), level_db=-30, container="mp4"),
    ),
    size=(160, 90),
    recording={"MediaChannel": 2},
)
SIMILAR: Final = 2.0
"""Mean difference of two encoded pictures of the same room; another picture differs by tens."""


def test_without_cupy_the_check_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "owtmix.compositor.gpu.cuda", None)
    with pytest.raises(RenderError, match="CuPy cannot be loaded"):
        GpuCheckTask(None).run(SilentReporter())


def check(wanted: int | None, how: str) -> GpuInfo:
    return check_gpus(wanted, lambda: ["0000:3B:00.0"], lambda _number: FakeGpu(how), SilentReporter(), (), encodes)


def test_a_gpu_is_checked_by_composing() -> None:
    compiled()
    assert check(None, "works") == GpuInfo(0, "Fake GPU", encodes=False, bus="0000:3b:00.0", kernel=FakeGpu.kernel)
    with pytest.raises(RenderError, match="there is no cuda:1, but 1 GPUs, counted from 0"):
        check(1, "works")
    with pytest.raises(RenderError, match="cuda:0 is full"):
        check(0, "full")


def test_a_gpu_that_composes_wrong_pixels_is_an_error() -> None:
    class Wrong(LazyDevice):
        def download(self, address: int, target: Any, after: Any, fence: Any) -> None:
            super().download(address + 1, target, after, fence)

    compiled()
    check_composing(LazyDevice())
    with pytest.raises(DeviceError, match="composes another frame than the CPU"):
        check_composing(Wrong())


def test_an_encoder_is_checked_with_composed_frames() -> None:
    compiled()
    assert not encodes(LazyDevice(), None)
    assert encodes(LazyDevice(), None, lambda video, _number: h264(video, "veryfast"))


@pytest.fixture(autouse=True)
def cupy_that_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs look for CuPy before they check a GPU. The check is replaced, so this package is not imported.

    Sessions are those of this test, not of the machine.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "found" / "cupy").mkdir(parents=True)
    (tmp_path / "found" / "cupy" / "__init__.py").write_text("raise ImportError('no real one')\n")
    monkeypatch.syspath_prepend(tmp_path / "found")


def lay_out(folder: Path, room: Room = ROOM) -> Path:
    return room.write(folder / "room", new_job_id(folder), record_once)


def compose(
    job_file: Path,
    how: str | None,
    *,
    encodes: bool = False,
    has_encoder: bool = False,
    finish: bool = True,
    workers: int = 1,
    card_is_held: bool = False,
) -> dict[str, Any]:
    """Compose two chunks by one worker or more, on a fake GPU or, where ``how`` is None, on the CPU."""
    compiled()
    tasks = on_fake_gpu(how or "", encodes=encodes, has_encoder=has_encoder)
    options = Options(workers=workers, chunk_s=Fraction(2), device="auto" if how else "cpu", card_is_held=card_is_held)
    settings = Settings(limits=LimitSettings(worker_silence_s=5 if how == "hangs" else 60))
    open_executor = replacing(tasks if finish else lambda task: without_output(tasks(task)))
    job = Job(job_file, settings, options, job_file.parents[1] / "state", open_executor)
    report = job.run(NoProgress(), TemporaryPaths()).to_json()
    report["warnings"] = [warning for warning in report["warnings"] if "MediaChannel" not in warning]
    return report


def pictures(report: dict[str, Any]) -> list[Any]:
    video = measure.read_video(Path(report["output"]))
    assert video
    return [picture.astype(np.int16) for picture in video.pictures]


def test_a_job_on_a_gpu_looks_as_it_does_on_the_cpu(tmp_path: Path) -> None:
    on_cpu = compose(lay_out(tmp_path / "cpu"), None)
    on_gpu = compose(lay_out(tmp_path / "gpu"), "works")
    assert on_cpu["device"] == {"composed_on": ["cpu"], "encoder": "libx264", "why": "--device cpu"}
    why = "Fake GPU composes and does not encode H.264"
    assert on_gpu["device"] == {"composed_on": ["cuda:0"], "encoder": "libx264", "why": why}
    assert not on_gpu["warnings"]
    assert [entry["picture"]["decoders"] for entry in on_gpu["inputs"]] == [["cpu"], ["cpu"]]
    expected, composed = pictures(on_cpu), pictures(on_gpu)
    assert len(expected) == len(composed) == 40
    assert max(np.abs(a - b).mean() for a, b in zip(expected, composed, strict=True)) < SIMILAR


@pytest.mark.parametrize(
    ("how", "warnings"),
    [
        ("lost", [f"cuda:0 is lost: frames {of} are composed on the CPU" for of in ("0 to 19", "20 to 39")]),
        ("hangs", ["the process that composed on cuda:0 hangs: no progress for 5 s: what is missing"]),
    ],
)
def test_chunks_that_a_gpu_fails_at_are_composed_on_the_cpu(tmp_path: Path, how: str, warnings: list[str]) -> None:
    """No recording is left out for it."""
    report = compose(lay_out(tmp_path), how)
    assert report["device"]["composed_on"] == ["cpu"]
    assert len(report["warnings"]) == len(warnings)
    assert all(map(str.startswith, report["warnings"], warnings))
    assert len(pictures(report)) == 40


def test_a_picture_with_too_many_watermarks_for_a_gpu_is_composed_on_the_cpu(tmp_path: Path) -> None:
    marks = [{"Type": 3, "Text": ".", "X": 2 * number, "Y": 0} for number in range(32)]
    region = {"Y": 0, "Width": 2, "Height": 2}
    tiles = [{"RtcStreamId": "anna_1", "Region": region | {"X": 2 * number}} for number in range(41)]
    mixer = {"WaterMark": marks, "PositionConfig": tiles}
    room = replace(ROOM, mixer=mixer, subscribe={"VideoStreamType": 1})
    report = compose(lay_out(tmp_path, room), "works")
    why = "a GPU composes 72 tiles, names, borders and watermarks at once, and there are 73"
    assert report["device"] == {"composed_on": ["cpu"], "encoder": "libx264", "why": why}
    assert report["warnings"] == [f"the picture is composed on the CPU: {why}"]


def test_a_resumed_run_repeats_the_warning_that_a_gpu_failed(tmp_path: Path) -> None:
    """Its chunks are those that the CPU has composed."""
    job_file = lay_out(tmp_path)
    with pytest.raises(DestinationError, match="no output is made"):
        compose(job_file, "lost", finish=False)
    report = compose(job_file, "lost")
    assert report["chunks"] == {"total": 2, "reused": 2}
    assert report["warnings"] == [
        f"cuda:0 is lost: frames {of} are composed on the CPU" for of in ("0 to 19", "20 to 39")
    ]


def test_a_resumed_run_takes_the_card_of_the_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when another one is less loaded by then."""
    driver = tmp_path / "tools" / "nvidia-smi"
    driver.parent.mkdir()
    monkeypatch.setenv("PATH", f"{driver.parent}{os.pathsep}{os.environ['PATH']}")

    def list_cards(*free_mib: int) -> None:
        lines = "".join(f"{n}, GPU-{n}, NVIDIA L4, 24000, {free}, 0:{n}:0\\n" for n, free in enumerate(free_mib))
        driver.write_text(f"#!/bin/sh\nprintf '{lines}'\n")
        driver.chmod(0o755)

    caplog.set_level("INFO")
    job_file = lay_out(tmp_path)
    list_cards(5000, 20_000)
    with pytest.raises(DestinationError, match="no output is made"):
        compose(job_file, "works", finish=False)
    assert "NVIDIA L4 (GPU-1) is the least loaded" in caplog.text
    list_cards(22_000, 2000)
    assert compose(job_file, "works")["chunks"] == {"total": 2, "reused": 2}
    assert "NVIDIA L4 (GPU-1) is that of the earlier run" in caplog.text


def test_a_gpu_that_fails_at_composing_still_encodes(tmp_path: Path) -> None:
    report = compose(lay_out(tmp_path), "lost", encodes=True, has_encoder=True)
    assert (report["device"]["composed_on"], report["device"]["encoder"]) == (["cpu"], NVENC)
    assert len(report["warnings"]) == 2
    assert len(pictures(report)) == 40


def test_a_job_waits_for_a_session_and_holds_it_until_it_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All sessions of the machine are held: the encoder is the GPU's all the same, as a resumed run's would be."""
    sessions = Places.of_machine(CONSUMER_SESSIONS, SESSIONS)
    others = [descriptor for _ in range(CONSUMER_SESSIONS) if (descriptor := sessions.take()) is not None]
    ending = Timer(1, os.close, [others.pop()])
    ending.start()
    report = compose(lay_out(tmp_path), "works", encodes=True, has_encoder=True)
    assert report["device"]["encoder"] == NVENC
    assert "waits for a session of the card's encoder: other jobs hold all 8" in caplog.text
    assert sessions.held() == len(others) == CONSUMER_SESSIONS - 1
    for descriptor in others:
        os.close(descriptor)


def test_a_job_whose_card_is_held_by_its_caller_takes_no_session_of_its_own(tmp_path: Path) -> None:
    """The caller, a batch, holds the one that it uses."""
    sessions = Places.of_machine(CONSUMER_SESSIONS, SESSIONS)
    held = [descriptor for _ in range(CONSUMER_SESSIONS) if (descriptor := sessions.take()) is not None]
    report = compose(lay_out(tmp_path), "works", encodes=True, has_encoder=True, card_is_held=True)
    assert report["device"]["encoder"] == NVENC
    for descriptor in held:
        os.close(descriptor)


def test_no_more_workers_compose_than_have_a_session(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        compose(lay_out(tmp_path), "works", encodes=True, has_encoder=True, workers=MOST_SESSIONS + 1)
    assert "4 workers compose, not 5: the job holds so many sessions of the GPU's encoder" in caplog.text


def test_a_gpu_that_also_hangs_at_encoding_is_not_used_any_more(tmp_path: Path) -> None:
    """Composing on the CPU does not help where the same GPU is to encode."""
    report = compose(lay_out(tmp_path), "hangs", encodes=True, has_encoder=True)
    assert (report["device"]["composed_on"], report["device"]["encoder"]) == (["cpu"], "libx264")
    composing, encoding = report["warnings"]
    assert composing.startswith("the process that composed on cuda:0 hangs")
    assert encoding.startswith("the process that encoded on the GPU hangs")
    assert encoding.endswith("the whole picture is encoded again, with x264")
    assert len(pictures(report)) == 40


def test_when_the_encoder_of_the_gpu_is_lost_the_whole_picture_is_encoded_by_the_cpu(tmp_path: Path) -> None:
    """This machine has no NVENC, like a GPU that has lost its encoder."""
    report = compose(lay_out(tmp_path), "works", encodes=True)
    assert report["device"]["encoder"] == "libx264"
    (warning,) = report["warnings"]
    assert "the whole picture is encoded again, with x264" in warning
    assert len(pictures(report)) == 40


@pytest.mark.parametrize(("device", "loads"), [("cpu", False), ("auto", True)])
def test_a_job_that_asks_for_no_gpu_loads_nothing_of_it(tmp_path: Path, device: str, *, loads: bool) -> None:
    """A whole job on the CPU, with a CuPy that says so when it is imported, and writes a file where it may."""
    command, mark = install_tool(tmp_path / "tool"), tmp_path / "mark"
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "cupy.py").write_text(
        "import contextlib\n"
        f"with contextlib.suppress(PermissionError): open({str(mark)!r}, 'w').close()\n"
        "raise ImportError('no real one')\n"
    )
    python = command.root / ".venv" / "bin" / "python"
    python.write_text(python.read_text().replace(f'"{command.root}"', f'"{command.root}:{libraries}"'))
    done = command.run("--device", device, ROOM.write(tmp_path / "room", f"no-gpu-{device}", record_once))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["device"]
    assert found["composed_on"] == ["cpu"]
    assert ("CuPy cannot be loaded: no real one" in found["why"]) == loads
    assert not mark.exists(), "only a worker loads it"


def test_nvenc_keeps_to_the_rates_of_x264() -> None:
    video = VideoSpec(Size(1280, 720), 25, 1000, "high")
    gpu, x264 = nvenc(video, 1), h264(video, "veryfast")
    assert dict(gpu.options)["gpu"] == "1", "frames that the CPU has composed go to no other GPU"
    assert (gpu.bit_rate_kbps, gpu.gop) == (x264.bit_rate_kbps, x264.gop)
    shared = {"profile", "maxrate", "bufsize"}
    assert {key: value for key, value in gpu.options if key in shared} == {
        key: value for key, value in x264.options if key in shared
    }
