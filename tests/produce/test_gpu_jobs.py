"""Which GPU is used, what is reported of it, and how a job whose GPU fails goes on."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import DestinationError, RenderError, SpecError
from owtmix.base.geometry import Size
from owtmix.base.progress import NoProgress
from owtmix.compositor.gpu.device import DeviceError
from owtmix.jobfile.settings import LimitSettings, Settings
from owtmix.jobfile.spec import VideoSpec
from owtmix.jobs.job import Job
from owtmix.jobs.options import Options
from owtmix.plan.device import RenderDevice
from owtmix.plan.encoders import NVENC, h264, nvenc
from owtmix.produce.device_choice import EXTRAS, choose_device
from owtmix.produce.gpu_check import GpuCheckTask, GpuInfo, check_composing, check_gpus, encodes
from owtmix.workers.base import Death, DeathKind, Outcome
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

MEMORY: Final = 64 << 20
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


class AnsweringExecutor:
    """An executor without workers, whose tasks all end with the same answer."""

    def __init__(self, **answer: Any) -> None:
        self._answer = answer
        self.confinement = ()

    def allow(self, **_: Any) -> None:
        """Nothing is confined."""

    def run(self, tasks: Any, *_: Any, **__: Any) -> Any:
        for task in tasks:
            yield Outcome(task, **self._answer)


def found(executor: AnsweringExecutor, wanted: str) -> RenderDevice:
    return choose_device(executor, wanted, MEMORY, lambda: True)


def test_the_cpu_composes_where_it_is_asked_for_or_nothing_else_is_installed() -> None:
    assert choose_device(AnsweringExecutor(), "cpu", MEMORY, lambda: False) == RenderDevice("--device cpu")
    assert choose_device(AnsweringExecutor(), "auto", MEMORY, lambda: False) == RenderDevice(EXTRAS)
    with pytest.raises(SpecError, match="--device cuda: the extra cuda12 or cuda13 of owtmix is not installed"):
        choose_device(AnsweringExecutor(), "cuda", MEMORY, lambda: False)


@pytest.mark.parametrize(("has_card", "shown"), [(False, "DEBUG"), (True, "INFO")])
def test_the_missing_extra_is_remarked_on_only_where_there_is_a_card(
    caplog: pytest.LogCaptureFixture, has_card: bool, shown: str
) -> None:
    with caplog.at_level("DEBUG"):
        choose_device(AnsweringExecutor(), "auto", MEMORY, lambda: False, lambda: has_card)
    assert [record.levelname for record in caplog.records if EXTRAS in record.message] == [shown]


def test_a_gpu_that_works_is_taken_and_named() -> None:
    device = found(AnsweringExecutor(value=GpuInfo(1, "NVIDIA L4", encodes=True)), "auto")
    assert device == RenderDevice("NVIDIA L4 composes and encodes", 1, has_encoder=True, memory_bytes=MEMORY)
    assert device.name == "cuda:1"
    device = found(AnsweringExecutor(value=GpuInfo(0, "NVIDIA H100", encodes=False)), "cuda")
    assert device == RenderDevice("NVIDIA H100 composes and does not encode H.264", 0, memory_bytes=MEMORY)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"error": RenderError("no driver")}, "no driver"),
        (
            {"death": Death(DeathKind.HUNG, "hangs: no progress for 60 s")},
            "checking it hangs: no progress for 60 s",
        ),
    ],
)
def test_a_gpu_that_does_not_work_is_not_used_and_is_an_error_where_it_was_asked_for(
    answer: dict[str, Any], why: str
) -> None:
    assert found(AnsweringExecutor(**answer), "auto") == RenderDevice(why)
    with pytest.raises(SpecError, match=f"--device cuda:1: {why}; --device cpu or auto composes without a GPU"):
        found(AnsweringExecutor(**answer), "cuda:1")


def test_without_cupy_the_check_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "owtmix.compositor.gpu.cuda", None)
    with pytest.raises(RenderError, match="CuPy cannot be loaded"):
        GpuCheckTask(None).run(SilentReporter())


def check(wanted: int | None, how: str) -> GpuInfo:
    return check_gpus(wanted, lambda: 1, lambda _number: FakeGpu(how), SilentReporter())


def test_a_gpu_is_checked_by_composing() -> None:
    compiled()
    assert check(None, "works") == GpuInfo(0, "Fake GPU", encodes=False)
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
    """Jobs look for CuPy before they check a GPU. The check is replaced, so this package is not imported."""
    (tmp_path / "found" / "cupy").mkdir(parents=True)
    (tmp_path / "found" / "cupy" / "__init__.py").write_text("raise ImportError('no real one')\n")
    monkeypatch.syspath_prepend(tmp_path / "found")


def lay_out(folder: Path, room: Room = ROOM) -> Path:
    return room.write(folder / "room", new_job_id(folder), record_once)


def compose(
    job_file: Path, how: str | None, *, encodes: bool = False, has_encoder: bool = False, finish: bool = True
) -> dict[str, Any]:
    """Compose two chunks by one worker, on a fake GPU or, where ``how`` is None, on the CPU."""
    compiled()
    tasks = on_fake_gpu(how or "", encodes=encodes, has_encoder=has_encoder)
    options = Options(workers=1, chunk_s=Fraction(2), device="auto" if how else "cpu")
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
    why = "a GPU composes 72 tiles and watermarks at once, and there are 73"
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


def test_a_gpu_that_fails_at_composing_still_encodes(tmp_path: Path) -> None:
    report = compose(lay_out(tmp_path), "lost", encodes=True, has_encoder=True)
    assert (report["device"]["composed_on"], report["device"]["encoder"]) == (["cpu"], NVENC)
    assert len(report["warnings"]) == 2
    assert len(pictures(report)) == 40


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
