"""``owt-main`` as a user runs it: exit statuses, messages, results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import av
import pytest
from PIL import Image

from owtmix.cli.arguments import _parser
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.jobs.lock import lock_job
from tests.support.command import CLEAN_ENVIRONMENT, Command, change, install


def _outputs(job_file: Path) -> list[str]:
    return sorted(path.name for path in (job_file.parent / "out").glob("*"))


def test_a_room_is_composed_and_the_result_is_on_standard_output(command: Command, tiny: Path, job_id: str) -> None:
    result = command.run(tiny)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    with av.open(str(tiny.parent / "out" / f"{job_id}.mp4")) as output:
        assert output.streams.video[0].frames == report["frames"] == 15
    assert report["output"].endswith(f"{job_id}.mp4")
    assert _outputs(tiny) == [f"{job_id}.mp4"]


def test_the_log_has_the_run_as_json_lines(command: Command, tiny: Path, job_id: str) -> None:
    result = json.loads(command.run(tiny).stdout)
    entries = [json.loads(line) for line in command.log(job_id).read_text(encoding="utf-8").splitlines()]
    assert entries[-1]["result"] == result
    assert all({"time", "level", "message"} <= entry.keys() for entry in entries)


def test_the_command_works_through_a_link_and_from_any_folder(command: Command, tiny: Path, tmp_path: Path) -> None:
    link = tmp_path / "owt-main"
    link.symlink_to(command.path)
    (tmp_path / "json.py").write_text("raise ImportError('a module of the current folder was imported')")
    result = subprocess.run(
        [link, "--plan", tiny.relative_to(tmp_path)],
        cwd=tmp_path,
        env=CLEAN_ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("is_probe", [False, True])
def test_without_proc_no_recording_is_blamed(tiny: Path, is_probe: bool) -> None:
    """As in a chroot or a container that lacks it."""
    script = """
import sys
from pathlib import Path
from owtmix.base import file_version
from owtmix.cli.main import main
file_version.OPEN_FILES = Path("/nowhere")
main()
"""
    words = ["--probe", *map(str, (tiny.parent / "room").glob("*"))] if is_probe else [str(tiny)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "--json", *words], env=CLEAN_ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "SetupError"
    assert "mount it (mount -t proc proc /proc)" in error["message"]
    assert len(done.stderr.splitlines()) == 1


def test_before_set_up_it_says_what_to_do(tmp_path: Path) -> None:
    command = install(tmp_path / "fresh clone")
    (command.root / ".venv" / "bin" / "python").unlink()
    result = command.run("cfg.json")
    assert result.returncode == 1
    assert "make setup" in result.stderr
    assert str(command.root) in result.stderr


def test_help_names_every_exit_status(command: Command) -> None:
    result = command.run("--help")
    assert result.returncode == 0
    for status in (0, 2, 3, 4, 5, 130):
        assert f"\n  {status} " in result.stdout


def test_the_version_is_the_packages(command: Command) -> None:
    assert command.run("--version").stdout == "owt-main 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either a job file"),
        (["--plan=xml", "cfg.json"], "json"),
        (["--plan", "--preview", "1", "a.png", "cfg.json"], "not allowed with"),
        (["--preview", "soon", "a.png", "cfg.json"], "soon is not a time"),
        (["--preview", "1:75", "a.png", "cfg.json"], "1:75 is not a time"),
        (["--preview", "5", "a.jpg", "cfg.json"], "a.jpg must end in .png"),
        (["--set", "Data.MixerConfig.ResizeMode", "cfg.json"], "not PATH=VALUE"),
        (["--speed", "cfg.json"], "--speed"),
    ],
)
def test_wrong_arguments(command: Command, arguments: list[str], said: str) -> None:
    result = command.run(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    failed = json.loads(result.stdout)["error"]
    assert said in failed.pop("message")
    assert said in failed.pop("problems")[0]["message"]
    assert failed == {"type": "SpecError", "exit_status": 2, "code": 1, "job_id": None}
    assert command.run("-q", *arguments).stdout == ""


def test_wrong_arguments_are_refused_before_any_library_is_loaded() -> None:
    libraries = ("av", "numpy", "pydantic", "rich", "httpx")
    program = f"import sys, owtmix.cli.main; print([m for m in {libraries} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_missing_job_file(command: Command, tmp_path: Path) -> None:
    result = command.run(tmp_path / "missing.json")
    assert result.returncode == 2
    assert "missing.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_bad_json_is_named_with_its_line(command: Command, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace('"Mode": 1}', '"Mode": 0/1}'))
    result = command.run(tiny)
    assert result.returncode == 2
    assert "line 1" in result.stderr
    assert "numbers with slashes" in result.stderr
    assert "0/1 " not in result.stderr, "nothing of a broken file is quoted"


def test_all_wrong_values_are_listed_one_per_line(command: Command, tiny: Path) -> None:
    change(tiny, "Data.MixerConfig.ResizeMode", 7)
    change(tiny, "Data.TranscodingConfig.Video.Width", 641)
    change(tiny, "Internal.JobId", "a b")
    result = command.run(tiny)
    assert result.returncode == 2
    for path in ("Data.MixerConfig.ResizeMode", "Data.TranscodingConfig.Video.Width", "Internal.JobId"):
        [line] = [line for line in result.stderr.splitlines() if path in line]
        assert str(tiny) in line
    assert _outputs(tiny) == []


def test_a_missing_index_names_every_key_that_was_tried(command: Command, tiny: Path, job_id: str) -> None:
    (tiny.parent / f"{job_id}.json").unlink()
    result = command.run(tiny)
    assert result.returncode == 3
    for key in (f"{job_id}.json", f"{job_id}/index.json", f"{job_id}/{job_id}.json", f"{job_id}.info"):
        assert key in result.stderr


def test_a_job_that_is_running_already_is_refused(command: Command, tiny: Path, job_id: str) -> None:
    with lock_job(command.root, job_id, Path("/other/cfg.json")):
        result = command.run(tiny)
    assert result.returncode == 6
    assert f"the job {job_id} is already running: process {os.getpid()}, job file /other/cfg.json" in result.stderr
    assert _outputs(tiny) == []


def test_an_output_that_cannot_be_written(command: Command, tiny: Path) -> None:
    (tiny.parent / "out").write_text("a file stands where the folder should be")
    result = command.run(tiny)
    assert result.returncode == 5
    assert "out" in result.stderr


def test_a_missing_input_is_left_out_unless_strict(command: Command, tiny: Path) -> None:
    (tiny.parent / "room" / "1-ben_1.webm").unlink()
    strict = command.run("--strict", tiny)
    assert strict.returncode == 3
    assert "1-ben_1.webm" in strict.stderr
    assert _outputs(tiny) == []
    result = command.run(tiny)
    assert result.returncode == 0
    assert "1-ben_1.webm" in result.stderr
    assert "1-ben_1.webm" in result.stdout


def test_no_input_at_all(command: Command, tiny: Path) -> None:
    for path in (tiny.parent / "room").iterdir():
        path.unlink()
    assert command.run(tiny).returncode == 3


def test_the_plan_shows_output_scenes_and_warnings_and_renders_nothing(
    command: Command, tiny: Path, job_id: str
) -> None:
    change(tiny, "Data.MixerConfig.MaxResolutionStream", "nobody_1")
    result = command.run("--plan", tiny)
    assert result.returncode == 0, result.stderr
    assert f"out/{job_id}.mp4" in result.stdout
    assert "160x90" in result.stdout
    assert "00:00:00.500 - 00:00:01.200  2 tiles" in result.stdout
    assert "nobody_1" in result.stdout
    assert _outputs(tiny) == []


def test_the_plan_for_programs_is_json(command: Command, tiny: Path, job_id: str) -> None:
    plan = json.loads(command.run("--plan=json", tiny).stdout)
    assert plan["job_id"] == job_id
    assert plan["duration_s"] == 1.5
    assert [scene["span"]["end"] for scene in plan["picture"]["scenes"]] == [0.5, 1.2, 1.5]
    assert _outputs(tiny) == []


def test_a_preview_is_one_picture_of_the_output(command: Command, tiny: Path, tmp_path: Path) -> None:
    result = command.run("--device", "cuda:1", "--preview", "00:00:01", tmp_path / "one.png", tiny)
    assert result.returncode == 0, result.stderr
    assert "--device cuda:1 is for jobs: a preview is drawn on the CPU" in result.stderr
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (160, 90)
    assert _outputs(tiny) == []


def test_a_preview_after_the_end_is_refused(command: Command, tiny: Path, tmp_path: Path) -> None:
    result = command.run("--preview", "2", tmp_path / "one.png", tiny)
    assert result.returncode == 2
    assert "00:00:01.500" in result.stderr
    assert not (tmp_path / "one.png").exists()


def test_values_can_be_set_for_one_run(command: Command, tiny: Path) -> None:
    plan = json.loads(
        command.run(
            "--plan=json",
            "--set=Data.MixerConfig.ResizeMode=1",
            "--set=Data.TranscodingConfig.Video.Width=320",
            tiny,
        ).stdout
    )
    assert plan["picture"]["scenes"][0]["look"]["resize_mode"] == 1
    assert plan["picture"]["canvas"]["width"] == 320
    wrong = command.run("--plan", "--set=Data.MixerConfig.ResizeMode=9", tiny)
    assert wrong.returncode == 2
    assert "Data.MixerConfig.ResizeMode" in wrong.stderr


def test_index_and_output_can_be_named(command: Command, tiny: Path, job_id: str) -> None:
    (tiny.parent / f"{job_id}.json").rename(tiny.parent / "elsewhere.json")
    result = command.run("--index", "elsewhere.json", "--output", "done/my", tiny)
    assert result.returncode == 0, result.stderr
    assert (tiny.parent / "done" / "my.mp4").exists()


def test_wrong_settings_are_refused(command: Command, tiny: Path, tmp_path: Path) -> None:
    conf = tmp_path / "owt.toml"
    conf.write_text("[video]\nx264_preset = 'warp'\n")
    result = command.run(tiny, OWT_CONF=str(conf))
    assert result.returncode == 1
    assert f"{conf}: video.x264_preset" in result.stderr
    failed = json.loads(result.stdout)["error"]
    assert (failed["type"], failed["exit_status"]) == ("SettingsError", 1)
    assert failed["problems"][0]["path"] == f"{conf}: video.x264_preset"


def test_logs_go_elsewhere_when_the_installation_is_read_only(tiny: Path, tmp_path: Path, job_id: str) -> None:
    command = install(tmp_path / "read only")
    (command.root / "logs").write_text("a file, so that not even root can make the folder")
    result = command.run("--plan", tiny, XDG_STATE_HOME=str(tmp_path / "state"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "state" / "owtmix" / "logs" / f"{job_id}.log").exists()


def test_a_closed_pipe_is_no_error(command: Command, tiny: Path) -> None:
    pipeline = '"$0" --plan "$1" | true; echo "${PIPESTATUS[0]}"'
    result = subprocess.run(
        ["bash", "-c", pipeline, command.path, str(tiny)],
        env=CLEAN_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "0\n"
    assert "Broken" not in result.stderr


def test_a_full_disk_under_standard_output_is_an_error(command: Command, tiny: Path) -> None:
    result = subprocess.run(
        ["sh", "-c", '"$0" --plan "$1" >/dev/full', command.path, str(tiny)],
        env=CLEAN_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 5
    assert "standard output" in result.stderr


def test_an_internal_error_is_one_message_and_a_traceback_in_the_log(tiny: Path, tmp_path: Path, job_id: str) -> None:
    command = install(tmp_path / "broken")
    with (command.root / "owtmix" / "jobs" / "job.py").open("a") as file:
        file.write("\n\ndel Job.run\n")
    result = command.run(tiny)
    assert result.returncode == 4
    assert "AttributeError" in result.stderr
    assert "Traceback" not in result.stderr
    assert str(command.log(job_id)) in result.stderr
    assert "Traceback" in command.log(job_id).read_text()


WRAPPING: Final = """

def _run(self, progress, temporary):
    from owtmix.base.errors import Interrupted
    try:
        raise Interrupted("stopped by SIGTERM")
    except Interrupted as error:
        raise ValueError("a library failed") from error
Job.run = _run
"""


def test_a_signal_that_a_library_wraps_into_its_own_error_is_still_an_interruption(tiny: Path, tmp_path: Path) -> None:
    command = install(tmp_path / "wrapping")
    with (command.root / "owtmix" / "jobs" / "job.py").open("a") as file:
        file.write(WRAPPING)
    result = command.run(tiny)
    assert result.returncode == 130
    assert "stopped by SIGTERM" in result.stderr
    assert "internal error" not in result.stderr


NOWHERE: Final = """
def _run(self, progress, temporary, run=Job.run):
    import os, shutil
    shutil.rmtree(os.getcwd())
    return Path("a").absolute()
Job.run = _run
"""


def test_a_working_directory_that_vanishes_is_told_in_words(tiny: Path, tmp_path: Path) -> None:
    command = install(tmp_path / "vanishing")
    with (command.root / "owtmix" / "jobs" / "job.py").open("a") as file:
        file.write(NOWHERE)
    begun = tmp_path / "begun"
    begun.mkdir()
    ended = subprocess.run(
        [command.path, str(tiny)], cwd=begun, env=CLEAN_ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 5
    assert "the folder in which the program was started is gone" in ended.stderr


def test_every_option_is_in_the_readme() -> None:
    readme = (INSTALLATION / "README.md").read_text(encoding="utf-8")
    options = {option for action in _parser()._actions for option in action.option_strings if option.startswith("--")}
    assert {option for option in options if f"`{option}" not in readme} == set()


def test_an_invalid_job_is_logged_under_its_id(command: Command, tiny: Path, job_id: str) -> None:
    tiny.write_text(tiny.read_text().replace('"Data"', '"data"', 1))
    result = command.run(tiny)
    assert result.returncode == 2
    assert "data: unknown key; perhaps Data is meant" in result.stderr.splitlines()[0]
    assert "perhaps Data is meant" in command.log(job_id).read_text()


def test_a_locale_without_utf_8_is_no_hindrance(command: Command, tiny: Path, job_id: str) -> None:
    index = tiny.parent / f"{job_id}.json"
    index.write_text(index.read_text().replace("0-anna_1.mp4", "\u738b.mp4"), encoding="utf-8")
    (tiny.parent / "room" / "0-anna_1.mp4").rename(tiny.parent / "room" / "\u738b.mp4")
    result = command.run(tiny, PYTHONUTF8="0", LC_ALL="POSIX")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["files"]["left_out"] == []


def test_resend_all_without_callbacks(command: Command) -> None:
    result = command.run("-q", "--json", "--resend", "--all")
    assert (result.returncode, json.loads(result.stdout)) == (0, {"jobs": [], "sent": 0, "left": 0})
    assert command.run("--resend").returncode == 2
    assert command.run("--all").returncode == 2
