"""What people read is true: options, exit statuses, examples, links, dependencies and the map of modules."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.errors import MixError
from owtmix.cli.arguments import read_arguments
from owtmix.jobfile.index import read_index
from owtmix.jobfile.reader import read_job

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING: Final = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PYPROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)


def _dependencies() -> Iterator[str]:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    for group in (PYPROJECT["build-system"]["requires"], project["dependencies"], *extras):
        yield from (requirement.partition("==")[0] for requirement in group)


EXAMPLES: Final[list[dict[str, Any]]] = [json.loads(block) for block in _blocks(README, "json")]
JOB: Final = next(example for example in EXAMPLES if "Action" in example)


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["--help"])
    options = set(re.findall(r"(?<![\w-])--?[a-z]+", capsys.readouterr().out))
    assert {"--plan", "-q"} < options
    documented = set(re.findall(r"`(--?[a-z]+)[^`]*`", _table_after("## Options")))
    assert documented == options


def test_every_exit_status_is_documented() -> None:
    not_set_up = 1
    statuses = {kind.exit_status for kind in MixError.__subclasses__()} | {0, not_set_up}
    documented = {int(status) for status in re.findall(r"^\| (\d+) \|", _table_after("### Exit status"), re.MULTILINE)}
    assert documented == statuses


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example)))
def test_every_example_is_accepted_without_a_warning(example: dict[str, Any]) -> None:
    """A whole job file, an index, or parts of ``Data`` that take their place in the first job file."""
    if "Files" in example:
        assert not read_index(json.dumps(example).encode()).warnings
        return
    job = example if "Action" in example else JOB | {"Data": _merged(JOB["Data"], example)}
    assert not read_job(json.dumps(job).encode()).warnings


def test_every_key_of_the_table_is_one_of_the_job_file() -> None:
    schema = json.loads((ROOT / "conf" / "cfg.schema.json").read_text(encoding="utf-8"))
    known = set(re.findall(r'"([A-Za-z]+)": {', json.dumps(schema)))
    rows = re.findall(r"^\| (`.*?) \|", _table_after("The keys that people change"), re.MULTILINE)
    keys = {key for row in rows for path in re.findall(r"`([^`]+)`", row) for key in path.split(".")}
    assert len(rows) > 20
    assert keys <= known


@pytest.mark.parametrize("command", [*_blocks(README, "sh"), *_blocks(CONTRIBUTING, "sh")], ids=str.strip)
def test_every_command_shown_is_one_that_the_tool_reads(command: str) -> None:
    for line in command.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "./bin/owt-main" in words:
            arguments = words[words.index("./bin/owt-main") + 1 :]
            end = next((i for i, word in enumerate(arguments) if word in {">", "2>", "&"}), None)
            read = read_arguments(arguments[:end])
            assert read.cfg is None or read.cfg.name == "cfg.json"


def test_every_make_target_shown_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", README + CONTRIBUTING, re.MULTILINE))
    assert {"demo", "test", "check"} <= shown <= targets


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_every_link_leads_somewhere(text: str) -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (ROOT / target).is_file()


@pytest.mark.parametrize("name", sorted(_dependencies()))
def test_every_dependency_is_justified(name: str) -> None:
    assert re.search(rf"^- `{name}` — .+\.$", CONTRIBUTING, re.MULTILINE)


def test_the_map_has_every_module() -> None:
    package = ROOT / "owtmix"
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    mapped = re.findall(r"^\| `([\w.]+/?)` \|", CONTRIBUTING, re.MULTILINE)
    assert len(mapped) == len(set(mapped))
    assert set(mapped) == modules | packages


def _table_after(words: str) -> str:
    """The first table after ``words``."""
    return next(_paragraphs(README.partition(words)[2], "| "))


def _paragraphs(text: str, beginning: str) -> Iterator[str]:
    return (paragraph for paragraph in text.split("\n\n") if paragraph.lstrip("\n").startswith(beginning))


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = deepcopy(base)
    for key, value in more.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged
