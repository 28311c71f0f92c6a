"""Shell scripts of the recipes: linted, and run with stand-ins for what they call."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.recipes import DEPLOY, GRACE_S, ROOT, batch_arguments, tool, without_cluster

SLURM: Final = DEPLOY / "slurm" / "owt-night.sbatch"
SUBMIT: Final = DEPLOY / "ray" / "submit.sh"
PROGRAMS: Final = {"owt-main": 4, "owt-batch": 1, "owt-server": 1}
"""The commands, and the status with which each ends where processes are short."""
SCRIPTS: Final = (SLURM, SUBMIT, *(ROOT / "bin" / name for name in PROGRAMS))
_NOBODY: Final = 65534
PATIENCE_S: Final = 20.0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_linter_finds_nothing(script: Path) -> None:
    done = subprocess.run([tool("shellcheck"), str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def be_short_of_processes() -> None:
    """Allow no further process; root, whom no limit holds, becomes somebody else."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_shell_that_can_start_no_process_blames_no_job_file(name: str) -> None:
    script = (ROOT / "bin" / name).read_text(encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", "-c", script, str(ROOT / "bin" / name)],
        preexec_fn=be_short_of_processes,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == PROGRAMS[name]
    assert f"{name} cannot start: processes are short: run less at a time, or raise the limit" in done.stderr


class Node:
    """A node of a Slurm cluster: its programs write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        (folder / "bin").mkdir()
        self.night = folder / "night.txt"
        self.night.write_text("/rooms/a/cfg.json\n/rooms/b c/cfg.json\n", encoding="utf-8")
        self.program("scontrol", 'echo "$*" >> scontrol.txt')

    def program(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def start(self, task: int, restarts: int = 0) -> subprocess.Popen[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "NIGHT": str(self.night),
            "STATE": str(self.state),
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_JOB_ID": "77",
            "SLURM_CPUS_PER_TASK": "2",
            "SLURM_RESTART_COUNT": str(restarts),
        }
        return subprocess.Popen(
            ["bash", str(SLURM)], env=environment, cwd=self.folder, stderr=subprocess.PIPE, text=True
        )

    def run(self, task: int, restarts: int = 0) -> int:
        with self.start(task, restarts) as process:
            return process.wait(PATIENCE_S)

    @property
    def requeued(self) -> list[str]:
        path = self.folder / "scontrol.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_task_of_the_array_runs_its_job(node: Node) -> None:
    node.program("owt-main", 'printf "%s\\n" "$@"')
    assert node.run(1) == 0
    result = (node.state / "results" / "1.json").read_text(encoding="utf-8")
    assert result.split("\n")[:-1] == [
        *("--json", "--quiet", "--state", str(node.state), "--workers", "2", "/rooms/b c/cfg.json")
    ]
    assert not node.requeued


@pytest.mark.parametrize("status", [0, 1, 2, 3, 4, 5, 6, 130, 137])
def test_what_may_help_itself_is_queued_again(node: Node, status: int) -> None:
    node.program("owt-main", f"exit {status}")
    assert node.run(0) == status
    assert node.requeued == (["requeue 77_0"] if status in {3, 4, 5, 6, 130} else [])


def test_three_attempts_are_enough(node: Node) -> None:
    node.program("owt-main", "exit 3")
    assert [node.run(0, restarts) for restarts in (1, 2)] == [3, 3]
    assert node.requeued == ["requeue 77_0"]


def test_a_task_without_a_line_is_rejected(node: Node) -> None:
    assert node.run(2) == 2


def test_a_preempted_task_ends_and_is_queued_again(node: Node) -> None:
    node.program("owt-main", "trap 'sleep 0.2; exit 130' TERM; touch begun; while :; do sleep 0.05; done")
    with node.start(0) as process:
        until_s = time.monotonic() + PATIENCE_S
        while not (node.folder / "begun").exists() and time.monotonic() < until_s:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 130
    assert node.requeued == ["requeue 77_0"]


def test_a_batch_is_submitted_to_ray(tmp_path: Path) -> None:
    ray = tmp_path / "ray"
    ray.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    ray.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [str(SUBMIT), "/rooms/my queue", "/rooms/night.jsonl", "--attempts", "2"],
        env=path,
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    assert words[:3] == ["job", "submit", "--submission-id"]
    assert words[3].startswith("owt-night-")
    variables = json.loads(words[words.index("--runtime-env-json") + 1])["env_vars"]
    assert int(variables["RAY_JOB_STOP_WAIT_TIME_S"]) > GRACE_S
    batch = without_cluster(words[words.index("--") + 1 :])
    arguments = batch_arguments(batch)
    assert (arguments.queue, arguments.results) == ("/rooms/my queue", Path("/rooms/night.jsonl"))
    assert (arguments.grace_s, arguments.attempts) == (GRACE_S, 2)


def test_a_submission_without_a_queue_is_explained() -> None:
    done = subprocess.run([str(SUBMIT)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_the_table_of_cron_is_one_line_of_six_fields_and_a_command() -> None:
    text = (DEPLOY / "cron" / "owt-batch.cron").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line and line[0] not in "#SP"]
    words = line.split()
    assert words[:6] == ["15", "2", "*", "*", "*", "owtmix"]
    assert batch_arguments(words[: words.index(">>")]).queue == "/srv/rooms/queue"
    assert "%" not in line  # cron makes a new line of it
