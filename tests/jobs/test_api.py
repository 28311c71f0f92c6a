"""The public API: what it offers, that it loads nothing until it is used, and the example in its documentation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

import owtmix
from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.progress import NoProgress
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.jobs.job import Job
from tests.support import people
from tests.support.command import record_once
from tests.support.people import Take
from tests.support.room import Room

ROOM: Final = Room(
    takes=(Take("anna_1", 0, 2000, people.COLOURS[0], 440, size=(160, 90), container="webm"),), size=(160, 90), fps=10
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the room of the example; the state of jobs stays in it."""
    ROOM.write(tmp_path / "room", f"api-{tmp_path.name}"[-60:], record_once).rename(tmp_path / "room" / "cfg.json")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_in_the_documentation_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert owtmix.__doc__
    example = textwrap.dedent(owtmix.__doc__.partition("::\n")[2].partition("\nImporting")[0])
    exec(example)
    output, duration_s, warnings = capsys.readouterr().out.split(maxsplit=2)
    assert Path(output).resolve() == folder / "talk.mp4"
    assert (float(duration_s), warnings.strip()) == (2, "()")
    assert (folder / "talk.mp4").stat().st_size > 1000


def test_a_plan_a_preview_and_a_probe(folder: Path) -> None:
    plan = owtmix.plan("room/cfg.json", owtmix.Options(overrides={"Data.TranscodingConfig.Video.Fps": "5"}))
    assert plan.picture
    assert plan.picture.frames == 10
    owtmix.preview("room/cfg.json", 0.5, "frame.png")
    with Image.open(folder / "frame.png") as image:
        assert image.size == (160, 90)
    (recording,) = (folder / "room" / "room").iterdir()
    (report,) = owtmix.probe(recording)
    assert report.picture
    assert not list(folder.glob("room/out/*")), "nothing is composed"


def test_a_result_prints_as_the_command_does(folder: Path) -> None:
    result = owtmix.compose(folder / "room" / "cfg.json")
    assert isinstance(result, owtmix.JobResult)
    assert result.frames == 20
    assert result.to_json()["output"] == result.output
    assert result.to_json()["chunks"] == {"total": 1, "reused": 0}


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: owtmix.compose("missing.json"), owtmix.SpecError),
        (lambda: owtmix.plan("room/cfg.json", owtmix.Options(index="./missing.json")), owtmix.InputError),
        (lambda: owtmix.preview("room/cfg.json", Fraction(99), "frame.png"), owtmix.SpecError),
        (lambda: owtmix.probe(["missing.webm"]), owtmix.InputError),
        (lambda: owtmix.compose("room/cfg.json", owtmix.Options(output="/proc/talk.mp4")), owtmix.DestinationError),
    ],
    ids=["compose", "plan", "preview", "probe", "output"],
)
@pytest.mark.usefixtures("folder")
def test_errors_are_of_the_kinds_that_are_offered(call: object, kind: type[owtmix.MixError]) -> None:
    assert callable(call)
    with pytest.raises(kind) as raised:
        call()
    assert isinstance(raised.value, owtmix.MixError)


def test_the_package_loads_nothing_until_a_name_is_used() -> None:
    script = (
        "import sys, owtmix\n"
        "assert not [name for name in sys.modules if name.startswith('owtmix.')]\n"
        "owtmix.MixError\n"
        "assert 'owtmix.jobs' not in sys.modules\n"
        "owtmix.compose\n"
        "assert not {'av', 'numpy', 'boto3'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_plan_is_a_function_although_a_package_has_its_name(folder: Path) -> None:
    import owtmix.plan.model as imported  # noqa: PLC0415

    assert owtmix.plan.model is imported  # type: ignore[attr-defined]
    assert owtmix.plan("room/cfg.json").duration_s == 2
    assert str(folder)


def test_all_names_are_there() -> None:
    assert dir(owtmix) == sorted(owtmix.__all__)
    assert all(getattr(owtmix, name) for name in owtmix.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        owtmix.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers: 0 is not a whole number from 1 to 999"),
        ({"workers": 2.0}, "workers: 2.0 is not a whole number"),
        ({"output": Path("talk.mp4")}, "output: .* is not text: a key, or a path such as ./talk.mp4"),
        ({"overrides": {"Data.X": 1}}, "overrides: .* both of them text"),
        ({"chunk_s": Fraction(1, 2)}, r"chunk_s: Fraction\(1, 2\) is not a Fraction from 2 to 3600"),
        ({"device": "gpu"}, "device: 'gpu' is not auto, cpu, cuda or a GPU such as cuda:1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_that_are_not_accepted_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(owtmix.SpecError, match=words):
        owtmix.Options(**options)


def test_a_time_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(owtmix.SpecError, match="nan is not a time in seconds"):
        owtmix.preview(folder / "room" / "cfg.json", float("nan"), "frame.png")


def test_a_job_plans_twice_alike(folder: Path) -> None:
    """Each run has warnings of its own."""
    path = folder / "room" / "cfg.json"
    warned = json.loads(path.read_text())
    warned["Data"]["Unknown"] = 1
    path.write_text(json.dumps(warned))
    job = Job(path, Settings(), owtmix.Options(), folder / "state")
    first, second = (job.plan(NoProgress(), TemporaryPaths()) for _ in range(2))
    assert first == second
    assert first.warnings


def test_workers_import_the_package_that_the_program_imports(folder: Path) -> None:
    """Although it is found by a path that the program has added itself."""
    script = (
        f"import sys; sys.path.insert(0, {str(INSTALLATION)!r}); import owtmix; print(owtmix.probe(sys.argv[1])[0])"
    )
    (recording,) = (folder / "room" / "room").iterdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", script, str(recording)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "left_out=None" in done.stdout
