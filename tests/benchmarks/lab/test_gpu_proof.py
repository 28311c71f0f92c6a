"""The script that proves a GPU: a part that hangs or crashes costs only itself, and all of it runs without a GPU."""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

import benchmarks.lab.gpu_proof.parts as modules
from benchmarks.ffmpeg import program
from benchmarks.lab.gpu_proof import PARTS, TOTAL_S, main, runner
from benchmarks.lab.gpu_proof.jobs import report_of
from benchmarks.lab.gpu_proof.parts.pictures import psnr_db
from benchmarks.lab.gpu_proof.runner import ROOT, Ended, Outputs, Part, run_parts
from benchmarks.lab.gpu_proof.setting import Finding, Setting, tried, untried
from benchmarks.lab.gpu_proof.summary import WIDTH, summary, told
from benchmarks.lab.gpu_proof.wheels import NAMES, pinned
from owtmix.base.geometry import Size
from tests.media.pictures import flat

MISSING: Final = ("boto3", "botocore", "s3transfer", "bidi", "matplotlib")
"""What a machine with a card lacks and this environment has, so that nothing may load it."""
SECONDS_TO_DIE: Final = 10
FINDING: Final = 'open({results!r}, "a").write(\'{{"part": "{name}", "what": "found", "found": 1, "ok": true}}\\n\')'


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return Outputs.made(tmp_path / "out")


def ran(
    outputs: Outputs, total_s: float = 60, limit_s: float = 20, **programs: str
) -> tuple[list[Ended], list[dict[str, Any]]]:
    """Run Python programs as parts, by their names; how they ended, and the lines of the results."""

    def command(part: Part, setting: Setting, results: Path) -> Sequence[str]:
        assert setting.limit_s <= limit_s
        return sys.executable, "-c", programs[part.name].format(results=str(results), name=part.name)

    parts = [Part(name, limit_s, "about") for name in programs]
    ended = run_parts(parts, Setting(True, outputs.results.parent, 1.0), outputs, total_s, command)
    return ended, [json.loads(line) for line in outputs.results.read_text().splitlines()]


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LEAST_S", 0.2)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.usefixtures("short_limits")
def test_a_part_that_hangs_is_ended_with_all_it_started_and_the_next_one_runs(outputs: Outputs) -> None:
    hanging = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    ended, _ = ran(outputs, limit_s=1.5, hangs=hanging, works=FINDING)
    assert [part.wrong for part in ended] == ["ended after its limit of 2 s", ""]
    started = int(ended[0].last_lines[-1])
    deadline = time.monotonic() + SECONDS_TO_DIE
    while is_alive(started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(started)


def test_a_part_that_crashes_is_reported_with_its_last_lines_and_the_next_one_runs(outputs: Outputs) -> None:
    crashing = "import os\nfor n in range(50): print(n, flush=True)\nos.abort()"
    ended, lines = ran(outputs, crashes=crashing, works=FINDING)
    assert [part.wrong for part in ended] == ["crashed with status -6", ""]
    assert ended[0].last_lines[-2:] == ["48", "49"]
    assert len(ended[0].last_lines) == runner.LAST_LINES
    assert not ended[1].last_lines
    assert [line.get("ended", line.get("what")) for line in lines] == ["crashed with status -6", "found", "done"]
    assert "crashes: crashed with status -6\n" in summary(ended, outputs.results)
    assert "    | 49" in summary(ended, outputs.results)


@pytest.mark.usefixtures("short_limits")
def test_what_a_part_found_before_it_hung_is_kept(outputs: Outputs) -> None:
    ended, lines = ran(outputs, limit_s=2, hangs=FINDING + "\nimport time\ntime.sleep(60)")
    assert ended[0].wrong == "ended after its limit of 2 s"
    assert lines[0] == {"part": "hangs", "what": "found", "found": 1, "ok": True}
    assert "ok    found: 1" in summary(ended, outputs.results)


@pytest.mark.usefixtures("short_limits")
def test_when_all_time_is_used_the_other_parts_are_not_begun(outputs: Outputs) -> None:
    start = time.monotonic()
    ended, _ = ran(outputs, 2.0, 10, hangs="import time; time.sleep(60)", works=FINDING)
    assert time.monotonic() - start < 2.0 + SECONDS_TO_DIE
    assert ended[0].wrong == "ended after its limit of 2 s"
    assert ended[1] == Ended("works", 0.0, "not begun: no time is left")


def test_a_real_part_writes_each_finding_when_it_is_known(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the process of a part does; the second finding looks at what is written of the first."""
    from benchmarks.lab.gpu_proof import child  # noqa: PLC0415 - it imports parts by their names

    def run(setting: Setting) -> Iterator[Finding]:
        yield Finding("first", {"limit": setting.limit_s}, ok=True)
        yield Finding("written before", len(outputs.results.read_text().splitlines()))

    module = type(sys)("benchmarks.lab.gpu_proof.parts.made_up")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda _seconds: None)
    monkeypatch.setattr(faulthandler, "enable", lambda: None)
    child.main("made_up", outputs.results, Setting(True, tmp_path, 1.0, limit_s=7.0))
    first, second = map(json.loads, outputs.results.read_text().splitlines())
    assert (first["part"], first["what"], first["found"], first["ok"]) == ("made_up", "first", {"limit": 7.0}, True)
    assert (second["found"], second["ok"]) == (1, None)


def test_a_setting_survives_the_command_line(tmp_path: Path) -> None:
    for recordings in (None, tmp_path / "recordings"):
        setting = Setting(True, tmp_path, 2.5, recordings, 9.0)
        assert Setting.from_json(setting.to_json()) == setting


def test_the_summary_ends_with_what_is_not_as_it_should_be(outputs: Outputs) -> None:
    findings = [Finding("fits", 0.123456, ok=True), Finding("wide", "w" * 999), untried("the card")]
    findings.append(Finding("differs", {"samples": [1, 2.5]}, ok=False))
    with outputs.results.open("w") as file:
        for finding in findings:
            print(
                json.dumps({"part": "one", "what": finding.what, "found": finding.found, "ok": finding.ok}), file=file
            )
    ended = [Ended("one", 1.0), Ended("two", 3.0, "crashed with status 1", ["a", "b"])]
    lines = summary(ended, outputs.results).splitlines()
    assert max(map(len, lines)) == WIDTH
    assert lines[:2] == ["== one: done, 1.0 s", "ok    fits: 0.1235"]
    assert lines[4] == "WRONG differs: samples [1, 2.5]"
    assert lines[6:] == [
        "== 1 of 2 parts done, 1 of 2 findings ok",
        "1 parts could not try everything here",
        "not as it should be:",
        "  one: differs: samples [1, 2.5]",
        "  two: crashed with status 1",
        "    | a",
        "    | b",
    ]
    assert told("several\n  lines") == "several lines"


def test_each_part_has_a_module_and_all_of_them_a_limit_that_leaves_time() -> None:
    folder = Path(modules.__path__[0])
    assert {part.name for part in PARTS} == {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert TOTAL_S < 9 * 60
    assert all(runner.LEAST_S < part.limit_s < TOTAL_S / 2 for part in PARTS)


def test_a_probe_that_fails_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Finding:
        raise OSError("no such card")

    assert tried("probe", fail) == Finding("probe", "fails: OSError: no such card", ok=False)
    assert "in fail" in capsys.readouterr().err
    assert tried("probe", lambda: Finding("probe", 1)) == Finding("probe", 1)


def test_a_job_that_fails_has_no_report() -> None:
    assert not report_of("")
    assert not report_of('{"exit_status": 2}')
    assert report_of('{"device": {}}') == {"device": {}}


def test_ffmpeg_is_the_program_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/named/ffmpeg")
    assert program.__wrapped__() == "/named/ffmpeg"


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no part nothing; there are first_look, kernel_bits"):
        main(["--parts", "nothing", "--out", str(tmp_path)])


def test_the_psnr_is_that_of_all_samples() -> None:
    one, other = (flat(Size(64, 48), (level, level, level)) for level in (100, 101))
    assert psnr_db(one, one) == float("inf")
    assert psnr_db(one, other) == pytest.approx(48.13, abs=0.01)
    assert not psnr_db(one, flat(Size(48, 64)))


def test_every_wheel_has_the_version_of_the_constraints() -> None:
    found = pinned()
    assert [line.partition("==")[0].replace("_", "-") for line in found] == [name.replace("_", "-") for name in NAMES]
    assert all("==" in line for line in found)
    assert pinned(["unheard-of"]) == ["unheard-of"]


@pytest.fixture
def as_on_a_card_machine(tmp_path: Path) -> dict[str, str]:
    """An environment without what is ``MISSING`` there."""
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for name in MISSING:
        (lacking / f"{name}.py").write_text(f"raise ImportError('a card machine has no {name}')\n")
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{lacking}"}


def test_nothing_that_is_missing_on_a_card_machine_is_loaded_with_the_parts(
    as_on_a_card_machine: dict[str, str],
) -> None:
    program = """
import sys
from importlib import import_module
from owtmix.jobs.worker_server import IMPORTS
for name in sys.argv[1:]:
    import_module(name)
for name in ("owtmix.cli.main", "owtmix.cli.commands", "owtmix.jobs.job", *IMPORTS):
    import_module(name)
"""
    names = [f"benchmarks.lab.gpu_proof.parts.{part.name}" for part in PARTS]
    command = [sys.executable, "-c", program, *names]
    done = subprocess.run(command, env=as_on_a_card_machine, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_the_runner_loads_nothing_but_the_standard_library(as_on_a_card_machine: dict[str, str]) -> None:
    """Where PyAV or NumPy do not load, the first look must still say so."""
    program = """
import sys
sys.modules.update(dict.fromkeys(("av", "numpy", "cupy", "pydantic", "PIL", "pytest")))
import benchmarks.lab.gpu_proof, benchmarks.lab.gpu_proof.child, benchmarks.lab.gpu_proof.parts.first_look
from benchmarks.lab.gpu_proof.parts.first_look import run
from benchmarks.lab.gpu_proof.setting import Setting
from pathlib import Path
print([finding.what for finding in run(Setting(True, Path(sys.argv[1]), 1.0))])
"""
    command = [sys.executable, "-c", program, str(ROOT / "build" / "nothing")]
    done = subprocess.run(command, env=as_on_a_card_machine, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert "libnvcuvid.so.1" in done.stdout
    assert "encoder h264_nvenc" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(TOTAL_S + 60)
def test_all_of_it_runs_without_a_card(tmp_path: Path, as_on_a_card_machine: dict[str, str]) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks.lab", "gpu_proof", "--pretend", "--out", str(out)]
    done = subprocess.run(command, env=as_on_a_card_machine, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    ended = {line["part"]: line["ended"] for line in lines if "ended" in line}
    assert ended == {part.name: "done" for part in PARTS}
    assert {line["part"] for line in lines if line.get("what") == "not tried"} == set(ended)
    assert f"== {len(PARTS)} of {len(PARTS)} parts done" in done.stdout
    assert done.stdout.strip() == (out / "summary.txt").read_text().strip()
    assert len(list(out.iterdir())) == 3
    found = {line["what"]: line["found"] for line in lines if "what" in line}
    assert found["vp8-size-change.webm"]["sizes"] == ["640x360", "1280x720"]
    assert any("killed from outside" in warning for warning in found["a worker killed"]["warnings"])
