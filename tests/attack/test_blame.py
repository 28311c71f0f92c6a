"""A machine that is short of something, and kills at any moment: the same bytes, or a failure with its reason."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tests.support.command import CLEAN_ENVIRONMENT, Command, record_once
from tests.support.fixtures import new_job_id
from tests.support.people import COLOURS, Take
from tests.support.processes import started_by, workers
from tests.support.room import Room

MANY: Final = 32
KILLS: Final = 30
"""Of parents, and as many of children."""
GROUPS: Final = Path("/sys/fs/cgroup")
SEED: Final = 20_261_126


def room(folder: Path, streams: int, seconds: int = 3) -> Path:
    """The job file of a room of healthy streams."""
    takes = [
        Take(
            f"user{number}_1",
            0,
            seconds * 1000,
            COLOURS[number % len(COLOURS)],
            400 + 20 * number,
            end_ms=seconds * 1000,
            size=(160, 90),
            container="webm",
        )
        for number in range(streams)
    ]
    subscribe = {"MaxSubscriptions": streams}
    return Room(tuple(takes), size=(320, 180), bit_rate_kbps=200, subscribe=subscribe).write(
        folder, new_job_id(folder), record_once
    )


def run(
    command: Command, job_file: Path, *options: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command.path, "--json", *options, str(job_file)],
        env=CLEAN_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        preexec_fn=before,
    )


def report(done: subprocess.CompletedProcess[str]) -> Mapping[str, Any]:
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def undisturbed(command: Command, job_file: Path) -> bytes:
    """The bytes of a run that nothing disturbs; nothing is left of it."""
    made = report(run(command, job_file, "--fresh"))
    assert made["warnings"] == []
    path = Path(made["output"])
    expected = path.read_bytes()
    path.unlink()
    return expected


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """A control group, of version 1 or 2, whose processes may take so much memory together."""
    is_first = (GROUPS / "memory").is_dir()
    group = (GROUPS / "memory" if is_first else GROUPS) / f"owtmix-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if is_first else "memory.max")).write_text(str(limit_bytes))
    except OSError:
        pytest.skip("no control group can be made")
    try:
        yield group
    finally:
        for _ in range(100):
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


def test_a_small_control_group_fails_the_job_and_leaves_no_blame_behind(command: Command, tmp_path: Path) -> None:
    job_file = room(tmp_path / "room", MANY)
    expected = undisturbed(command, job_file)
    with memory_group(80 << 20) as group:

        def join() -> None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

        done = run(command, job_file, before=join)
    assert done.returncode == 4, done.stderr
    assert "memory is short" in done.stderr
    made = report(run(command, job_file))
    assert made["warnings"] == []
    assert Path(made["output"]).read_bytes() == expected


@pytest.mark.parametrize("files", [24, 40, 64])
def test_few_open_files_fail_the_job_or_do_no_harm(command: Command, tmp_path: Path, files: int) -> None:
    job_file = room(tmp_path / "room", MANY)
    expected = undisturbed(command, job_file)
    done = run(command, job_file, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    if done.returncode:
        assert done.returncode == 4, done.stderr
        assert "ulimit -n" in done.stderr
    made = report(run(command, job_file))
    assert made["warnings"] == []
    assert Path(made["output"]).read_bytes() == expected


@pytest.mark.parametrize("mib", [300, 600])
def test_little_address_space_fails_the_job_or_does_no_harm(command: Command, tmp_path: Path, mib: int) -> None:
    job_file = room(tmp_path / "room", 4)
    expected = undisturbed(command, job_file)
    done = run(command, job_file, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20)))
    if done.returncode == 0:
        assert Path(report(done)["output"]).read_bytes() == expected
    made = report(run(command, job_file))
    assert made["warnings"] == []
    assert Path(made["output"]).read_bytes() == expected


def started(command: Command, job_file: Path) -> subprocess.Popen[str]:
    return command.start("--json", job_file)


def test_a_storm_of_kills_silences_nobody(command: Command, tmp_path: Path) -> None:
    """Six in three seconds."""
    job_file = room(tmp_path / "room", 3, seconds=60)
    expected = undisturbed(command, job_file)
    with started(command, job_file) as process:
        killed = 0
        while killed < 6 and process.poll() is None:
            for child in workers(process.pid)[:1]:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                    killed += 1
            time.sleep(0.5)
        said, errors = process.communicate(timeout=240)
    assert killed == 6, errors
    if process.returncode:
        assert process.returncode == 4, errors
        assert "is killed" in errors
        said = run(command, job_file).stdout
    assert Path(json.loads(said)["output"]).read_bytes() == expected


@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["parent", "child"])
def test_kills_at_random_points_under_load_change_no_byte(command: Command, tmp_path: Path, victim: str) -> None:
    job_file = room(tmp_path / "room", 3, seconds=4)
    expected = undisturbed(command, job_file)
    chance = random.Random(SEED)
    stop = threading.Event()
    load = [threading.Thread(target=_burn, args=[stop]) for _ in range(2)]
    for thread in load:
        thread.start()
    try:
        hit = 0
        for _ in range(8 * KILLS):
            if hit == KILLS:
                break
            hit += _killed(command, job_file, chance, victim, expected)
        assert hit == KILLS
    finally:
        stop.set()
    assert Path(report(run(command, job_file))["output"]).read_bytes() == expected
    assert sorted(path.name for path in (tmp_path / "room" / "out").iterdir()) == [
        Path(report(run(command, job_file))["output"]).name
    ]


def _burn(stop: threading.Event) -> None:
    while not stop.is_set():
        subprocess.run(["/bin/sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"], check=False)


def _killed(command: Command, job_file: Path, chance: random.Random, victim: str, expected: bytes) -> bool:
    """Whether the victim was there to be killed; a job that ends well all the same has the same bytes."""
    with started(command, job_file) as process:
        time.sleep(chance.uniform(0.2, 1.5))
        victims = [process.pid] if victim == "parent" else started_by(process.pid)
        hit = False
        if victims and process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
                hit = True
        said, errors = process.communicate(timeout=240)
    if victim == "child":
        assert process.returncode == 0, errors
    if process.returncode == 0:
        assert Path(json.loads(said)["output"]).read_bytes() == expected
    return hit


def test_greedy_decoders_leave_a_healthy_neighbour_alone(command: Command, tmp_path: Path) -> None:
    """Four recordings of 106 kB, each of which decodes with more than a GiB."""
    greedy = tmp_path / "greedy.mp4"
    record_greedy(greedy)
    assert greedy.stat().st_size < 200_000
    job_file = room(tmp_path / "room", 5)
    for path in sorted((tmp_path / "room" / "room").glob("*.webm"))[1:]:
        path.unlink()
        os.link(greedy, path)
    made = report(run(command, job_file))
    assert 1 <= len(made["warnings"]) <= 2, made["warnings"]  # how many fit hangs on the tiles and their threads
    assert all("its decoder needs about" in warning for warning in made["warnings"])
    assert not any("0-user0_1" in warning for warning in made["warnings"])
    healthy = [entry for entry in made["inputs"] if entry["file"].endswith("user0_1.webm")]
    assert healthy[0]["picture"]["used_to_s"] == 3


def test_files_that_state_less_than_they_need_go_before_healthy_ones(command: Command, tmp_path: Path) -> None:
    """Their headers say 160x90; then they go on with 8192x4320."""
    liar = tmp_path / "liar.mp4"
    record_liar(liar)
    job_file = room(tmp_path / "room", 5)
    for path in sorted((tmp_path / "room" / "room").glob("*.webm"))[1:]:
        path.unlink()
        os.link(liar, path)
    made = report(run(command, job_file))
    assert made["warnings"]
    assert not [warning for warning in made["warnings"] if "0-user0_1" in warning]
    healthy = [entry for entry in made["inputs"] if entry["file"].endswith("0-user0_1.webm")]
    assert healthy[0]["picture"]["used_to_s"] == 3


def record_liar(path: Path) -> None:
    """A second of 160x90, and then pictures of 8192x4320 with 16 references, without a word in the header."""
    packets = [*_encoded((160, 90), 10, "ref=1:bframes=0"), *_encoded((8192, 4320), 20, GREEDY)]
    with av.open(io.BytesIO(b"".join(packets[:10])), format="h264") as template, av.open(str(path), "w") as file:
        stream = file.add_stream_from_template(template.streams.video[0])
        stream.time_base = Fraction(1, 10)
        for number, data in enumerate(packets):
            packet = Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 10), number in {0, 10}
            packet.pts = packet.dts = number
            packet.duration = 1
            file.mux(packet)


def _encoded(size: tuple[int, int], count: int, settings: str) -> list[bytes]:
    with av.open(io.BytesIO(), "w", format="h264") as file:
        options = {"preset": "ultrafast", "x264-params": f"{settings}:keyint=1000:scenecut=0:repeat-headers=1"}
        stream = file.add_stream("libx264", rate=10, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        frame = VideoFrame(*size, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([100]) * plane.buffer_size)
        packets = []
        for number in range(count):
            frame.pts = number
            packets += stream.encode(frame)
        return [bytes(packet) for packet in (*packets, *stream.encode(None))]


GREEDY: Final = "ref=16:bframes=0:threads=2:sliced-threads=1"


def record_greedy(path: Path) -> None:
    """A picture of 8192x4320 with 16 references."""
    options = {
        "preset": "ultrafast",
        "x264-params": "ref=16:bframes=0:keyint=1000:scenecut=0:threads=2:sliced-threads=1",
    }
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 8192, 4320, "yuv420p"
        frame = VideoFrame(8192, 4320, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([100]) * plane.buffer_size)
        for number in range(30):
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
