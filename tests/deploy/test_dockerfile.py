"""The images: linted, pinned, without root, and made of what there is."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.recipes import DOCKERFILE, ROOT, tool

TEXT: Final = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
INSTRUCTIONS: Final = [
    (words[0].upper(), words[1].strip())
    for line in TEXT.splitlines()
    if line.strip() and not line.startswith("#") and len(words := line.split(maxsplit=1)) == 2
]
TARGETS: Final = ("cpu", "cuda", "ray", "service")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, those of its base included."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for instruction, words in INSTRUCTIONS:
        if instruction == "FROM":
            base, _, name = words.split()
            found[name] = [*found.get(base, [])]
        elif name:
            found[name].append((instruction, words))
    return found


def lint(path: Path) -> str:
    done = subprocess.run([tool("hadolint"), "--no-color", str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_linter_finds_nothing() -> None:
    assert not lint(DOCKERFILE)


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN cd /tmp && sudo apt-get install x\n", encoding="utf-8")
    assert {"DL3007", "DL3004", "DL3009"} & set(re.findall(r"DL\d+", lint(bad)))


def test_the_default_target_is_the_small_one() -> None:
    assert list(stages())[-1] == "cpu"
    assert set(TARGETS) <= set(stages())


def test_the_base_is_pinned_and_its_python_is_supported() -> None:
    base = dict(words.split("=", 1) for instruction, words in INSTRUCTIONS if instruction == "ARG")["BASE"]
    found = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-[a-z]+", base)
    assert found
    assert (int(found[1]), int(found[2])) >= (3, 11)


@pytest.mark.parametrize("target", TARGETS)
def test_nobody_is_root(target: str) -> None:
    users = [words for instruction, words in stages()[target] if instruction == "USER"]
    assert users[-1] == "10001:10001"
    assert ("VOLUME", '["/state"]') in stages()[target]


@pytest.mark.parametrize("target", TARGETS)
def test_no_secret_is_baked_in(target: str) -> None:
    for instruction, words in stages()[target]:
        if instruction in {"ENV", "ARG"}:
            assert not re.search(r"(?i)secret|token|password|aws_|_key", words)


@pytest.mark.parametrize("target", TARGETS)
def test_versions_are_those_of_the_constraints(target: str) -> None:
    installs = [words for _, words in stages()[f"build-{target}"] if "pip install" in words]
    assert installs
    for words in installs:
        assert "--only-binary :all:" in words
        assert "--constraint constraints.txt" in words
        extras = re.search(r"owtmix\[([\w,]+)\]", words)
        assert set(extras[1].split(",") if extras else ()) <= {*PROJECT["optional-dependencies"]}


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    for instruction, words in INSTRUCTIONS:
        if instruction == "COPY" and not words.startswith("--from"):
            for name in words.split()[:-1]:
                assert (ROOT / name).exists()
                assert f"!{name}" in ignore


def test_the_package_can_be_built_from_what_is_copied() -> None:
    """``pip wheel`` reads these files as well; the licences have their places in the wheel."""
    copied = " ".join(words for instruction, words in INSTRUCTIONS if instruction == "COPY")
    assert {PROJECT["readme"], "pyproject.toml", "LICENSE", "NOTICE"} <= set(copied.split())
