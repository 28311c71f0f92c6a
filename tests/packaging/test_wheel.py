"""The wheel alone: built from a copy of the tree, installed away from it, and run as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from owtmix.jobfile.settings_file import INSTALLATION, SHIPPED
from tests.support.command import install
from tests.support.fixtures import new_job_id

TIMEOUT_S: Final = 240

NAMED: Final = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
"""What the build reads beside the package."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment with the wheel, and the folder where somebody works."""

    environment: Path
    work: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment in the working folder; returns what it prints."""
        return _run([str(self.environment / "bin" / program), *arguments], self.work)

    def files(self) -> set[Path]:
        """All files of the environment but compiled modules."""
        return {path for path in self.environment.rglob("*") if "__pycache__" not in path.parts}


def _run(words: list[str], work: Path) -> str:
    home = work.parent / "home"
    variables = {"PATH": os.defpath, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "LANG": "C.UTF-8"}
    done = subprocess.run(
        words, cwd=work, env=variables, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _build(folder: Path) -> Path:
    """The wheel of a copy of the tree, without what only a checkout has, and without the network if possible."""
    tree = folder / "tree"
    shutil.copytree(INSTALLATION / "owtmix", tree / "owtmix", ignore=shutil.ignore_patterns("__pycache__"))
    for name in NAMED:
        shutil.copy(INSTALLATION / name, tree)
    build_system = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    has_setuptools = f"setuptools=={version('setuptools')}" in build_system["requires"]
    options = ["--no-build-isolation", "--no-index"] if has_setuptools else []
    _pip("wheel", str(tree), "--no-deps", *options, "--wheel-dir", str(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _pip(*arguments: str) -> None:
    words = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(words, check=True, timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, installed where the libraries of these tests can be imported but not this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=TIMEOUT_S)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    # The .pth files in a folder that is named in one, such as that of an editable installation, are not read.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    python = str(environment / "bin" / "python")
    _pip("--python", python, "install", "--no-deps", "--no-index", str(_build(folder)))
    (folder / "work").mkdir()
    return Installed(environment, folder / "work")


def test_the_package_is_the_installed_one_and_costs_nothing_to_import(installed: Installed) -> None:
    program = "import json, sys, owtmix; print(json.dumps([owtmix.__file__, sorted(sys.modules)]))"
    file, modules = json.loads(installed.run("python", "-c", program))
    assert Path(file).is_relative_to(installed.environment)
    assert {"av", "numpy", "pydantic"}.isdisjoint(modules)


def test_the_wheel_has_the_settings_and_the_fonts(installed: Installed) -> None:
    program = "from owtmix.jobfile.settings_file import settings_file as f; print(f())"
    settings = Path(installed.run("python", "-c", program).rstrip("\n"))
    assert settings.is_relative_to(installed.environment)
    assert settings.read_bytes() == SHIPPED.read_bytes()
    in_tree = {path.name for path in (INSTALLATION / "owtmix" / "fonts").iterdir()}
    assert {path.name for path in (settings.parent / "fonts").iterdir()} == in_tree


def test_the_command_composes_the_sample_room_like_a_checkout(installed: Installed, tmp_path: Path) -> None:
    before = installed.files()
    assert installed.run("owt-main", "--version") == f"owt-main {version('owtmix')}\n"
    answer = installed.run("python", "-m", "owtmix.demo")
    assert f"compose it: {installed.environment / 'bin' / 'owt-main'} cfg.json" in answer
    assert "libx264" in installed.run("owt-main", "--plan", "cfg.json")
    job_id = new_job_id(tmp_path)  # another test composes the sample room under its own id, perhaps at this moment
    options = ("--set", f"Internal.JobId={job_id}", "--index", "sample-room/index.json", "--device", "cpu", "cfg.json")
    output = Path(json.loads(installed.run("owt-main", *options))["output"])
    assert output == installed.work / "out" / f"{job_id}.mp4"
    assert (installed.work.parent / "home" / "state" / "owtmix" / "logs" / f"{job_id}.log").is_file()
    assert installed.files() == before
    again = tmp_path / "again"
    shutil.copytree(installed.work, again, ignore=shutil.ignore_patterns("out"))
    checkout = install(tmp_path / "checkout")
    _run([str(checkout.path), *options], again)
    assert checkout.log(job_id).is_file()
    assert (again / "out" / f"{job_id}.mp4").read_bytes() == output.read_bytes()
