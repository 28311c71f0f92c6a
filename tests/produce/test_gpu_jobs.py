"""Which card is used, what is said of it, and what becomes of a job whose card fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import owtmix.jobs.job
import owtmix.plan.encoders
import owtmix.produce.gpu_check
from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import RenderError, SpecError
from owtmix.base.geometry import Size
from owtmix.base.progress import NoProgress
from owtmix.compositor.gpu.device import DeviceError
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import VideoSpec
from owtmix.jobs.announcer import Announcer
from owtmix.jobs.job import Job, Options
from owtmix.plan.device import RenderDevice
from owtmix.plan.encoders import NVENC, h264
from owtmix.produce.gpu_check import EXTRAS, GpuCheckTask, GpuInfo, choose_device, encodes, try_drawing
from owtmix.produce.production import Production
from owtmix.workers.base import Outcome
from owtmix.workers.local import WorkerPool
from tests.compositor.gpu.kernel import compiled
from tests.compositor.gpu.lazy_device import LazyDevice
from tests.e2e import measure
from tests.produce.stand_in import MODULE, EncodingStudio, Silent, StandInStudio, install
from tests.support import people
from tests.support.command import install as install_tool
from tests.support.command import record_once
from tests.support.fixtures import new_job_id
from tests.support.people import Take
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


class OneAnswer(WorkerPool):
    """A crew that has an answer instead of children."""

    def __init__(self, **answer: Any) -> None:
        self._answer = answer

    def run(self, tasks: Any, *_: Any, **__: Any) -> Any:
        for task in tasks:
            yield Outcome(task, **self._answer)


@pytest.fixture
def extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owtmix.produce.gpu_check, "find_spec", lambda _name: "there")


@pytest.fixture
def module() -> Iterator[None]:
    """Forget the stand-in afterwards."""
    before = sys.modules.get(MODULE)
    yield
    sys.modules.pop(MODULE, None)
    if before:
        sys.modules[MODULE] = before


def test_the_cpu_composes_where_it_is_asked_for_or_nothing_else_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owtmix.produce.gpu_check, "find_spec", lambda _name: None)
    assert choose_device(OneAnswer(), "cpu", MEMORY) == RenderDevice("--device cpu")
    assert choose_device(OneAnswer(), "auto", MEMORY) == RenderDevice(EXTRAS)
    with pytest.raises(SpecError, match="--device cuda: the extra cuda12 or cuda13 of owtmix is not installed"):
        choose_device(OneAnswer(), "cuda", MEMORY)


@pytest.mark.usefixtures("extras")
def test_a_card_that_works_is_taken_and_named() -> None:
    found = choose_device(OneAnswer(value=GpuInfo(1, "NVIDIA L4", encodes=True)), "auto", MEMORY)
    assert found == RenderDevice("NVIDIA L4 draws and encodes", 1, has_encoder=True, memory_bytes=MEMORY)
    assert found.name == "cuda:1"
    found = choose_device(OneAnswer(value=GpuInfo(0, "NVIDIA H100", encodes=False)), "cuda", MEMORY)
    assert found == RenderDevice("NVIDIA H100 draws and does not encode H.264", 0, memory_bytes=MEMORY)


@pytest.mark.usefixtures("extras")
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"error": RenderError("no driver")}, "no driver"),
        ({"death": "hangs: no progress for 60 s"}, "trying it out hangs: no progress for 60 s"),
    ],
)
def test_a_card_that_does_not_work_is_left_alone_unless_it_was_asked_for(answer: dict[str, Any], why: str) -> None:
    assert choose_device(OneAnswer(**answer), "auto", MEMORY) == RenderDevice(why)
    with pytest.raises(SpecError, match=f"--device cuda:1: {why}; --device cpu or auto composes without a card"):
        choose_device(OneAnswer(**answer), "cuda:1", MEMORY)


def test_without_cupy_the_child_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(RenderError, match="CuPy cannot be loaded"):
        GpuCheckTask(None).run(Silent())


@pytest.mark.usefixtures("module")
def test_a_card_is_tried_out_by_drawing() -> None:
    compiled()
    install("works")
    assert GpuCheckTask(None).run(Silent()) == GpuInfo(0, "Stand-in", encodes=False)
    with pytest.raises(RenderError, match="there is no cuda:1, but 1 cards, counted from 0"):
        GpuCheckTask(1).run(Silent())
    install("full")
    with pytest.raises(RenderError, match="cuda:0 is full"):
        GpuCheckTask(0).run(Silent())


def test_a_card_that_draws_something_else_is_found_out() -> None:
    class Wrong(LazyDevice):
        def download(self, address: int, target: Any, after: Any, mark: Any) -> None:
            super().download(address + 1, target, after, mark)

    compiled()
    try_drawing(LazyDevice())
    with pytest.raises(DeviceError, match="draws something else than it is told"):
        try_drawing(Wrong())


def test_an_encoder_is_tried_out_with_frames_that_were_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    assert not encodes(LazyDevice(), None)
    monkeypatch.setattr(owtmix.plan.encoders, "nvenc", lambda video, _card: h264(video, "veryfast"))
    assert encodes(LazyDevice(), None)


def lay_out(
    folder: Path,
    how: str | None,
    *,
    encoder: bool = False,
    setup: type[StandInStudio] = StandInStudio,
    room: Room = ROOM,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Write the room, and let jobs find the stand-in, or no card; returns the job file."""
    compiled()
    render_device = (
        RenderDevice(how, 0, has_encoder=encoder, memory_bytes=MEMORY) if how else RenderDevice("--device cpu")
    )
    monkeypatch.setattr(owtmix.jobs.job, "RenderSetup", setup)
    monkeypatch.setattr(owtmix.jobs.job, "choose_device", lambda *_: render_device)
    monkeypatch.setattr(owtmix.jobs.job, "state_folder", lambda: folder / "state")
    return room.write(folder, new_job_id(folder), record_once)


def compose(folder: Path, how: str | None, **options: Any) -> dict[str, Any]:
    return run(lay_out(folder, how, **options))


def run(job_file: Path) -> dict[str, Any]:
    """Compose two chunks by one worker."""
    options = Options(workers=1, chunk_s=Fraction(2))
    report = Job(job_file, Settings(worker_silence_s=3), options).run(NoProgress(), TemporaryPaths())
    report["warnings"] = [warning for warning in report["warnings"] if "MediaChannel" not in warning]
    return report


def pictures(report: dict[str, Any]) -> list[Any]:
    video = measure.read_video(Path(report["output"]))
    assert video
    return [picture.astype(np.int16) for picture in video.pictures]


def test_a_job_on_a_card_looks_as_it_does_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = compose(tmp_path / "cpu", None, monkeypatch=monkeypatch)
    on_card = compose(tmp_path / "card", "works", monkeypatch=monkeypatch)
    assert on_cpu["device"] == {"composed_on": ["cpu"], "encoder": "libx264", "why": "--device cpu"}
    assert on_card["device"] == {"composed_on": ["cuda:0"], "encoder": "libx264", "why": "works"}
    assert not on_card["warnings"]
    assert [entry["picture"]["decoders"] for entry in on_card["inputs"]] == [["cpu"], ["cpu"]]
    expected, drawn = pictures(on_cpu), pictures(on_card)
    assert len(expected) == len(drawn) == 40
    assert max(np.abs(a - b).mean() for a, b in zip(expected, drawn, strict=True)) < SIMILAR


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("lost", "cuda:0 is lost: frames 0 to 19 are composed on the CPU"),
        ("hangs", "the process that composed on cuda:0 hangs: no progress for 3 s: what is missing"),
    ],
)
def test_a_card_that_fails_costs_the_chunks_in_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    restarts: list[str] = []
    monkeypatch.setattr(Announcer, "warn_restarted", lambda _, message: restarts.append(message))
    report = compose(tmp_path, how, monkeypatch=monkeypatch)
    assert report["device"]["composed_on"] == ["cpu"]
    assert any(restart.startswith(said) for restart in restarts)
    assert not report["warnings"], "no recording is to blame"
    assert len(pictures(report)) == 40


def test_more_than_a_card_draws_at_once_is_composed_on_the_cpu_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [{"Type": 3, "Text": ".", "X": 2 * number, "Y": 0} for number in range(71)]
    report = compose(tmp_path, "works", room=replace(ROOM, mixer={"WaterMark": marks}), monkeypatch=monkeypatch)
    why = "a card draws 72 tiles and watermarks at once, and there are 73"
    assert report["device"] == {"composed_on": ["cpu"], "encoder": "libx264", "why": why}
    assert report["warnings"] == [f"the picture is composed on the CPU: {why}"]


def test_a_run_that_goes_on_tells_again_that_a_card_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is still the one that the CPU has composed in its place."""

    def fail(*_: object) -> None:
        raise RenderError("stopped")

    job_file = lay_out(tmp_path, "lost", monkeypatch=monkeypatch)
    with monkeypatch.context() as stopped:
        stopped.setattr(Production, "_finish", fail)
        with pytest.raises(RenderError, match="stopped"):
            run(job_file)
    report = run(job_file)
    assert report["chunks"] == {"total": 2, "reused": 2}
    assert report["warnings"] == [
        f"cuda:0 is lost: frames {of} are composed on the CPU" for of in ("0 to 19", "20 to 39")
    ]


def test_a_card_that_fails_at_composing_goes_on_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = compose(tmp_path, "lost", encoder=True, setup=EncodingStudio, monkeypatch=monkeypatch)
    assert (report["device"]["composed_on"], report["device"]["encoder"]) == (["cpu"], NVENC)
    assert len(report["warnings"]) == 2
    assert len(pictures(report)) == 40


def test_a_card_that_hangs_with_its_encoder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Composing on the CPU does not help where the same card is to encode."""
    report = compose(tmp_path, "hangs", encoder=True, setup=EncodingStudio, monkeypatch=monkeypatch)
    assert (report["device"]["composed_on"], report["device"]["encoder"]) == (["cpu"], "libx264")
    composing, encoding = report["warnings"]
    assert composing.startswith("the process that composed on cuda:0 hangs")
    assert encoding.startswith("the process that encoded on the graphics card hangs")
    assert encoding.endswith("the whole picture is encoded again, with x264")
    assert len(pictures(report)) == 40


def test_when_the_card_s_encoder_is_lost_everything_is_encoded_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no NVENC here, as on a card that has lost its own."""
    report = compose(tmp_path, "works", encoder=True, monkeypatch=monkeypatch)
    assert report["device"]["encoder"] == "libx264"
    (warning,) = report["warnings"]
    assert "the whole picture is encoded again, with x264" in warning
    assert len(pictures(report)) == 40


@pytest.mark.parametrize(("device", "loads"), [("cpu", False), ("auto", True)])
def test_who_asks_for_no_card_loads_nothing_of_it(tmp_path: Path, device: str, *, loads: bool) -> None:
    """A whole job on the CPU, in all its processes, with a CuPy at hand that leaves a mark when it is imported."""
    command, mark = install_tool(tmp_path / "tool"), tmp_path / "mark"
    (command.root / "cupy.py").write_text(f"open({str(mark)!r}, 'w').close()\nraise ImportError('no real one')\n")
    done = command.run("--device", device, ROOM.write(tmp_path / "room", new_job_id(tmp_path), record_once))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["device"]
    assert found["composed_on"] == ["cpu"]
    assert ("CuPy cannot be loaded: no real one" in found["why"]) == loads
    assert mark.exists() == loads


def test_nvenc_keeps_to_the_rates_of_x264() -> None:
    video = VideoSpec(Size(1280, 720), 25, 1000, "high")
    nvenc, x264 = owtmix.plan.encoders.nvenc(video, 1), h264(video, "veryfast")
    assert dict(nvenc.options)["gpu"] == "1", "frames that the CPU has composed go to no other card"
    assert (nvenc.bit_rate_kbps, nvenc.gop) == (x264.bit_rate_kbps, x264.gop)
    shared = {"profile", "maxrate", "bufsize"}
    assert {key: value for key, value in nvenc.options if key in shared} == {
        key: value for key, value in x264.options if key in shared
    }
