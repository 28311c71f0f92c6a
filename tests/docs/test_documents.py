"""What people read is true: options, exit statuses, keys, examples, commands, links, citations, paths and packages."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from owtmix.base.errors import MixError
from owtmix.cli.arguments import read_arguments
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.job_model import JobModel
from owtmix.jobfile.key_docs import CONDITIONAL_DEFAULTS, with_key_tables
from owtmix.jobfile.models import JobFile
from owtmix.jobfile.reader import read_job

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in (ROOT, DOCS, ROOT / "benchmarks", ROOT / "tests")
    for path in sorted(folder.glob("*.md"))
}
README: Final = PAGES["README.md"]
CONTRIBUTING: Final = PAGES["CONTRIBUTING.md"]
JOB_FILE: Final = PAGES["docs/job-file.md"]
EXPLAINED: Final = {name: text for name, text in PAGES.items() if name != "CHANGELOG.md"}
"""Pages that describe the tool as it is."""

PYPROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES: Final = [
    path
    for folder in ("owtmix", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".cu"}
]
MOST_README_LINES: Final = 160

_CITATION: Final = re.compile(r'(?<![\w"/.-])(?:docs/)?([a-z][a-z-]*\.md)((?:,? (?:and )?"[^"]+")*)')
"""A document, with or without its folder, and the headings behind it in quotes."""


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)


def _headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _dependencies() -> Iterator[str]:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    for group in (PYPROJECT["build-system"]["requires"], project["dependencies"], *extras):
        yield from (requirement.partition("==")[0].partition("[")[0] for requirement in group)


def _table_after(words: str, text: str) -> str:
    """The first table after ``words``."""
    paragraphs = text.partition(words)[2].split("\n\n")
    return next(paragraph for paragraph in paragraphs if paragraph.lstrip("\n").startswith("| "))


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = deepcopy(base)
    for key, value in more.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


EXAMPLES: Final[list[Any]] = [
    pytest.param(json.loads(block), id=f"{name}-{number}")
    for name, text in PAGES.items()
    if name != "docs/service.md"  # its examples are sent to a server, in tests/service
    for number, block in enumerate(_blocks(text, "json"))
]
JOB: Final[dict[str, Any]] = json.loads(next(block for block in _blocks(README, "json") if '"Action"' in block))
COMMANDS: Final = [command for text in EXPLAINED.values() for command in _blocks(text, "sh")]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST_README_LINES


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["--help"])
    options = set(re.findall(r"(?<![\w-])--?[a-z]+", capsys.readouterr().out))
    assert {"--plan", "-q"} < options
    documented = set(re.findall(r"`(--?[a-z]+)[^`]*`", _table_after("## Options", README)))
    assert documented == options


def test_every_exit_status_is_documented() -> None:
    not_set_up = 1
    statuses = {kind.exit_status for kind in MixError.__subclasses__()} | {0, not_set_up}
    table = _table_after("## Exit status", README)
    assert {int(status) for status in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == statuses


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_accepted_without_a_warning(example: dict[str, Any]) -> None:
    """A whole job file, an index, or parts of ``Data`` that take their place in the README's job file."""
    if "Files" in example:
        assert not read_index(json.dumps(example).encode()).warnings
        return
    job = example if "Action" in example else JOB | {"Data": _merged(JOB["Data"], example)}
    assert not read_job(json.dumps(job).encode()).warnings


def test_the_key_tables_are_current() -> None:
    """``make schema`` writes them."""
    assert with_key_tables(JOB_FILE) == JOB_FILE


def test_every_key_is_in_the_key_tables() -> None:
    assert _documented_keys() == set(_keys(JobFile, ""))


def test_conditional_defaults_are_of_keys() -> None:
    assert CONDITIONAL_DEFAULTS.keys() <= _documented_keys()


SECTIONS = ("MixerConfig", "SubscribeConfig", "TranscodingConfig")


def _documented_keys() -> set[str]:
    """The path of every row of the key tables."""
    documented = set()
    for part in JOB_FILE.partition("\n## Keys\n")[2].partition("\n## ")[0].split("\n### ")[1:]:
        prefix = "" if part.startswith("Top level") else f"{part.partition(chr(10))[0]}."
        documented |= {prefix + key for key in re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)}
    return documented


def _keys(model: type[JobModel], prefix: str) -> Iterator[str]:
    """Every key of the models by its path; those of ``Layouts`` and sections of ``Updates`` where they first stand."""
    for field in model.model_fields.values():
        assert field.alias
        path = prefix + field.alias
        yield path
        inner, lists = _inner(field.annotation)
        is_repeated = field.alias == "Layouts" or ("Updates" in prefix and field.alias in SECTIONS)
        if inner is not None and not is_repeated:
            yield from _keys(inner, path + "[]" * lists + ".")


def _inner(annotation: Any) -> tuple[type[JobModel] | None, int]:
    """The model in an annotation, and how many lists are around it."""
    if isinstance(annotation, type) and issubclass(annotation, JobModel):
        return annotation, 0
    for argument in get_args(annotation):
        inner, lists = _inner(argument)
        if inner is not None:
            return inner, lists + (getattr(annotation, "__origin__", None) is list)
    return None, 0


def test_the_keys_that_people_change_are_keys() -> None:
    known = {key for path in _documented_keys() for key in re.split(r"\W+", path)}
    rows = re.findall(r"^\| (`.*?) \|", _table_after("## The keys that people change", JOB_FILE), re.MULTILINE)
    assert len(rows) > 20
    assert {key for row in rows for path in re.findall(r"`([^`]+)`", row) for key in path.split(".")} <= known


@pytest.mark.parametrize("command", COMMANDS, ids=str.strip)
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
    shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", "\n".join(EXPLAINED.values()), re.MULTILINE))
    assert {"demo", "test", "check"} <= shown <= targets


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[name]):
        target, _, anchor = link.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.is_file(), link
        if anchor:
            assert anchor in map(_anchor, _headings(path.read_text(encoding="utf-8"))), link


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_document_that_the_code_cites_is_there(path: Path) -> None:
    text = re.sub(r"\s+(?:#:? |// )?\s*", " ", path.read_text(encoding="utf-8"))
    for document, behind in _CITATION.findall(text):
        assert (DOCS / document).is_file(), document
        headings = _headings((DOCS / document).read_text(encoding="utf-8"))
        assert set(re.findall(r'"([^"]+)"', behind)) <= set(headings), document + behind


@pytest.mark.parametrize("name", EXPLAINED)
def test_every_path_shown_is_there(name: str) -> None:
    """Paths of the repository are shown in backticks, from its root."""
    shown = re.findall(r"`((?:owtmix|tests|benchmarks|docs|conf|bin)/[\w./-]*)`", EXPLAINED[name])
    assert [path for path in shown if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", sorted(_dependencies()))
def test_every_dependency_is_justified(name: str) -> None:
    assert re.search(rf"^- `{name}` — .+\.$", CONTRIBUTING, re.MULTILINE)


def test_no_dependency_is_justified_that_is_none() -> None:
    section = CONTRIBUTING.partition("## Dependencies")[2].partition("\n## ")[0]
    assert set(re.findall(r"^- `([^`]+)` — ", section, re.MULTILINE)) == set(_dependencies())


@pytest.mark.parametrize(
    ("page", "row"),
    [("CONTRIBUTING.md", r"^\| `(\w+)/` \|"), ("docs/architecture.md", r"^\| `owtmix/(\w+)` \| [A-Z]")],
    ids=["CONTRIBUTING", "architecture"],
)
def test_every_package_has_a_row(page: str, row: str) -> None:
    packages = sorted(path.parent.name for path in (ROOT / "owtmix").glob("*/__init__.py"))
    assert sorted(re.findall(row, PAGES[page], re.MULTILINE)) == packages
