"""The fork server of jobs imports all that tasks import, and can still copy itself."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import owtmix.inputs
import owtmix.outputs
import owtmix.produce
from owtmix.jobs.worker_server import IMPORTS
from owtmix.workers.child_environment import child_environment

LATER = {"owtmix.compositor.gpu.cuda", "owtmix.inputs.watermark_images", "owtmix.render.still"}
"""Of the driver of a GPU there must be no copy; images and previews are one task in a job."""
TASKS = (
    Path(owtmix.inputs.__path__[0]) / "tasks.py",
    Path(owtmix.produce.__path__[0]) / "tasks.py",
    Path(owtmix.outputs.__path__[0]) / "muxed_file.py",
)
REPORT = """
import importlib, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(os.listdir("/proc/self/task")), *sys.modules)
"""


@pytest.fixture(scope="module")
def imported() -> tuple[int, set[str]]:
    """The threads of a process that has imported the modules, and all that it has imported."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", REPORT, *IMPORTS],
        env=child_environment() | {"HOME": os.environ.get("HOME", "/")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    threads, *modules = done.stdout.split()
    return int(threads), set(modules)


def imports_of_functions(path: Path) -> Iterator[str]:
    """The modules of this package that functions of a file import when they are called."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module


def test_tasks_import_nothing_of_ours_any_more(imported: tuple[int, set[str]]) -> None:
    wanted = {name for path in TASKS for name in imports_of_functions(path)}
    assert {"owtmix.render.video_track", "owtmix.media.probe", "owtmix.outputs.verify"} <= wanted
    assert wanted - imported[1] - LATER == set()


def test_nothing_imported_has_started_a_thread(imported: tuple[int, set[str]]) -> None:
    """A copy of a process has only the thread that copied it."""
    assert imported[0] == 1


def test_no_driver_of_a_gpu_is_imported(imported: tuple[int, set[str]]) -> None:
    assert not {"cupy", "ray", "boto3", "httpx"} & imported[1]
