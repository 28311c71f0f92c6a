"""Which changes of the code make finished chunks useless, and which do not."""

from __future__ import annotations

import ast
import pickle
import pickletools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Final, get_args

import pytest

from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.jobfile.spec import LayoutStyle, TextWatermark
from owtmix.plan.build import make_plan
from owtmix.produce.code_digest import Kind, library_versions, modules, package_digest
from tests.support.plans import ANNA, JOB, MIXER, heard, index_of, room, seen

PACKAGE: Final = INSTALLATION / "owtmix"
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
BOTH: Final = set(KINDS)
ROOTS: Final[dict[Kind, tuple[str, ...]]] = {
    "picture": ("render/video_track.py", "media/video_reader.py"),
    "sound": ("render/audio_track.py", "media/audio_reader.py"),
}
MAKES_NO_TRACK: Final = (  # how paths of modules begin
    *("cli/", "demo", "inputs/", "jobs/", "net/", "notify/", "outputs/", "storage/"),
    *("jobfile/assemble.py", "jobfile/index_", "jobfile/key_docs.py", "jobfile/models.py", "jobfile/reader.py"),
    *("jobfile/settings", "plan/build.py", "produce/production.py", "produce/recovery.py", "produce/schedule.py"),
    *("workers/child_pipes.py", "workers/local.py"),
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy, of which the links may be replaced by other files."""

    def link(source: str, target: str) -> None:
        Path(target).symlink_to(source)

    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "owtmix", ignore=ignored, copy_function=link))


def digests(package: Path) -> dict[Kind, str]:
    return {kind: package_digest(package, kind) for kind in KINDS}


def write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def rename(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def changed(package: Path, change: Callable[[], None]) -> set[Kind]:
    """The kinds of tracks that ``change`` affects."""
    before = digests(package)
    change()
    after = digests(package)
    return {kind for kind in KINDS if before[kind] != after[kind]}


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("compositor/scale.py", {"picture"}),
        ("compositor/gpu/canvas.py", {"picture"}),
        ("compositor/gpu/compose.cu", {"picture"}),
        ("compositor/gpu/cuda.py", {"picture"}),  # imported in a function
        ("compositor/text/shaping.py", {"picture"}),
        ("fonts/DejaVuSans.ttf", {"picture"}),
        ("media/video_reader.py", {"picture"}),
        ("plan/clock_text.py", {"picture"}),
        ("render/frames.py", {"picture"}),
        ("media/audio_resample.py", {"sound"}),
        ("render/audio_mix.py", {"sound"}),
        ("render/limiter.py", {"sound"}),
        ("media/open.py", BOTH),
        ("media/writers.py", BOTH),
        ("plan/model.py", BOTH),
        ("produce/tasks.py", BOTH),
        ("produce/file_sources.py", BOTH),
        ("__init__.py", set()),
        ("cli/arguments.py", set()),
        ("jobfile/models.py", set()),
        ("notify/sender.py", set()),
        ("outputs/mux.py", set()),
        ("produce/production.py", set()),
        ("fonts/ORIGIN.txt", set()),
    ],
)
def test_a_changed_file_changes_the_digests_of_the_tracks_that_it_affects(
    package: Path, path: str, kinds: set[Kind]
) -> None:
    file = package / path
    assert changed(package, lambda: write(file, file.read_bytes() + b"\n")) == kinds


def test_a_changed_help_text_changes_no_digest(package: Path) -> None:
    file = package / "cli" / "arguments.py"
    text = file.read_text(encoding="utf-8")
    other = text.replace('help="', 'help="In other words: ')
    assert other != text
    assert not changed(package, lambda: write(file, other.encode()))


def test_changed_comments_and_docstrings_change_the_digest(package: Path) -> None:
    """Whole files are compared."""
    file = package / "compositor" / "scale.py"
    assert changed(package, lambda: write(file, b"# Licence\n" + file.read_bytes())) == {"picture"}
    assert changed(package, lambda: write(file, file.read_bytes().replace(b'"""', b'"""So: ', 1))) == {"picture"}


def test_a_module_is_in_the_digest_when_it_is_imported(package: Path) -> None:
    module, limiter = package / "media" / "louder.py", package / "render" / "limiter.py"
    assert not changed(package, lambda: write(module, b"GAIN = 2\n"))
    importing = b"\n\ndef louder():\n    from owtmix.media.louder import (\n        GAIN,  # doubled\n    )\n"
    assert changed(package, lambda: write(limiter, limiter.read_bytes() + importing)) == {"sound"}
    assert changed(package, lambda: write(module, b"GAIN = 3\n")) == {"sound"}


def test_a_renamed_font_changes_the_digest_of_the_picture(package: Path) -> None:
    font = package / "fonts" / "DejaVuSans.ttf"
    assert changed(package, lambda: rename(font, "Other.ttf")) == {"picture"}


@pytest.mark.parametrize("kind", KINDS)
def test_modules_that_make_no_track_are_not_in_the_digest(kind: Kind) -> None:
    files = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert all(any(path.startswith(prefix) for path in files) for prefix in MAKES_NO_TRACK), "one has moved"
    assert not [path for path in modules(PACKAGE, kind) if path.startswith(MAKES_NO_TRACK)]


def test_modules_that_draw_are_not_in_the_digest_of_the_sound() -> None:
    assert not [path for path in modules(PACKAGE, "sound") if path.startswith(("compositor/", "media/video"))]


@pytest.mark.parametrize("kind", KINDS)
def test_imports_are_those_that_the_parser_of_python_finds(kind: Kind) -> None:
    assert set(modules(PACKAGE, kind)) == set(imported(*ROOTS[kind]))


def imported(*roots: str) -> Iterator[str]:
    """Files of the modules that ``roots`` import, found by Python's parser, with themselves and their packages.

    The public API is loaded with every module, and no module of a track uses what it imports.
    """
    waiting, found = list(roots), {"__init__.py"}
    while waiting:
        path = waiting.pop()
        if path in found or not (PACKAGE / path).is_file():
            continue
        found.add(path)
        yield path
        for name in names(ast.parse((PACKAGE / path).read_bytes())):
            package, *folders = name.split(".")
            if package == "owtmix":
                waiting += ["/".join([*folders[:end], "__init__.py"]) for end in range(len(folders) + 1)]
                waiting.append("/".join(folders) + ".py")


def names(tree: ast.AST) -> Iterator[str]:
    if isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) and tree.test.id == "TYPE_CHECKING":
        return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        assert tree.module, "no relative imports"
        yield tree.module
        yield from (f"{tree.module}.{alias.name}" for alias in tree.names)
    for child in ast.iter_child_nodes(tree):
        yield from names(child)


@pytest.mark.parametrize("kind", KINDS)
def test_no_module_is_imported_by_a_name_that_is_computed(kind: Kind) -> None:
    found = {
        path
        for path, content in modules(PACKAGE, kind).items()
        if any(word in content for word in (b"importlib.import", b"import_module", b"__import__", b"runpy"))
    }
    assert not found


@pytest.mark.parametrize("kind", KINDS)
def test_modules_that_python_loads_are_in_the_digest(kind: Kind) -> None:
    roots = ", ".join("owtmix." + root.removesuffix(".py").replace("/", ".") for root in ROOTS[kind])
    show = f"import sys, {roots}; print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'owtmix'))"
    loaded = subprocess.check_output([sys.executable, "-c", show], cwd=INSTALLATION, text=True).split()
    assert {Path(path).relative_to(PACKAGE).as_posix() for path in loaded} - {"__init__.py"} <= set(
        modules(PACKAGE, kind)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", LayoutStyle)
def test_modules_of_the_classes_in_a_plan_are_in_the_digest(kind: Kind, style: LayoutStyle) -> None:
    """A task is sent its plan, whose methods it calls without an import of its own."""
    clips = room(seen(ANNA, 0, 10), heard(ANNA, 0, 10))
    job = replace(JOB, mixer=replace(MIXER, layout=style, watermarks=(TextWatermark(0, 0, 1.0, "a"),)))
    plan = make_plan(job, index_of(clips), clips, PlanSettings())
    texts = {text for _, text, _ in pickletools.genops(pickle.dumps(plan)) if isinstance(text, str)}
    classes = {text.removeprefix("owtmix.").replace(".", "/") + ".py" for text in texts if text.startswith("owtmix.")}
    assert "plan/model.py" in classes
    assert classes <= set(modules(PACKAGE, kind))


@pytest.mark.parametrize(
    ("library", "affected"),
    [
        ("av", {"picture", "picture on a GPU", "sound"}),
        ("numpy", {"picture", "picture on a GPU", "sound"}),
        ("pillow", {"picture", "picture on a GPU"}),
        ("uharfbuzz", {"picture", "picture on a GPU"}),
        ("python-bidi", {"picture", "picture on a GPU"}),
        ("freetype-py", {"picture", "picture on a GPU"}),
        ("cupy-cuda12x", {"picture on a GPU"}),
        ("nvidia-cuda-nvrtc", {"picture on a GPU"}),
        ("boto3", set()),
    ],
)
def test_a_library_changes_the_versions_of_the_tracks_that_use_it(library: str, affected: set[str]) -> None:
    installed = {"av": "1", "numpy": "1", "pillow": "1", "uharfbuzz": "1", "python-bidi": "1", "freetype-py": "1"}

    def version_of(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    def all_versions() -> dict[str, object]:
        return {
            "picture": library_versions("picture", on_gpu=False, version_of=version_of),
            "picture on a GPU": library_versions("picture", on_gpu=True, version_of=version_of),
            "sound": library_versions("sound", on_gpu=False, version_of=version_of),
        }

    before = all_versions()
    installed[library] = "2"
    after = all_versions()
    assert {name for name in before if before[name] != after[name]} == affected
