"""A hash of the code that decides the bytes of a picture chunk, and of the code that decides those of the sound.

It covers the modules that composing or mixing can import, their data files, and the versions of the libraries that make
pixels or samples. Whole files count, with comments and docstrings: leaving those out takes Python's parser, and 100 ms
more at the start of every job.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from glob import glob
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal, Protocol

Kind = Literal["picture", "sound"]

_PACKAGE: Final = Path(__file__).parents[1]
_ROOTS: Final[dict[Kind, tuple[str, ...]]] = {
    "picture": ("owtmix.render.video_track", "owtmix.media.video_reader"),
    "sound": ("owtmix.render.audio_track", "owtmix.media.audio_reader"),
}
"""What a task imports when it runs."""

_CALLERS: Final = ("produce/tasks.py", "produce/file_sources.py")
"""Count too, since they call the roots; their imports do not, since they serve both kinds."""

_PUBLIC_API: Final = "__init__.py"
"""Imported with every module, and makes nothing."""

_DATA: Final[dict[Kind, tuple[str, ...]]] = {"picture": ("compositor/gpu/compose.cu", "fonts/*.ttf"), "sound": ()}
_LIBRARIES: Final[dict[Kind, tuple[str, ...]]] = {
    "picture": ("av", "freetype-py", "numpy", "pillow", "python-bidi", "uharfbuzz"),
    "sound": ("av", "numpy"),
}
_GPU_LIBRARIES: Final = ("cupy-cuda12x", "cupy-cuda13x", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")

_FOR_TYPES: Final = re.compile(r"^if TYPE_CHECKING:.*\n(?:[ \t]+.*\n|\n)+", re.MULTILINE)
_IMPORT: Final = re.compile(
    r"^[ \t]*(?:import[ \t]+(?P<module>owtmix[\w.]*)"
    r"|from[ \t]+(?P<parent>owtmix[\w.]*)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n]*))",
    re.MULTILINE,
)
"""An import of a module of the package. Only the text is read; a test compares with Python's own parser."""


class CodeDigest(Protocol):
    """Tells versions of the code that makes tracks apart, as ``code_digest`` does."""

    def __call__(self, kind: Kind, *, on_gpu: bool = False) -> str: ...


@cache
def code_digest(kind: Kind, *, on_gpu: bool = False) -> str:
    """Of the code of this installation; a process reads it once.

    Args:
        kind: of the track.
        on_gpu: whether the picture is planned for a GPU, whose libraries then count.
    """
    versions = library_versions(kind, on_gpu=on_gpu)
    return hashlib.sha256(repr((package_digest(_PACKAGE, kind), versions)).encode()).hexdigest()


def library_versions(kind: Kind, *, on_gpu: bool, version_of: Callable[[str], str] = version) -> list[tuple[str, str]]:
    """The libraries that count, with their versions; one that is not installed has none.

    Args:
        kind: of the track.
        on_gpu: whether those of a GPU count.
        version_of: the version of an installed library; raises a PackageNotFoundError for others.
    """
    libraries = _LIBRARIES[kind] + (_GPU_LIBRARIES if on_gpu else ())
    return [(library, _version(library, version_of)) for library in libraries]


def package_digest(package: Path, kind: Kind) -> str:
    """Of the files in the folder ``package`` that count: by their paths in it, and what they contain."""
    data = (path for pattern in _DATA[kind] for path in _paths(package, pattern))
    contents = modules(package, kind) | {path: (package / path).read_bytes() for path in (*_CALLERS, *data)}
    digest = hashlib.sha256()
    for path, content in sorted(contents.items()):
        digest.update(f"{path} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def modules(package: Path, kind: Kind) -> dict[str, bytes]:
    """The modules that count, by their paths in ``package``: the root, and what is imported anywhere in their text.

    Imports for type checkers do not count: an object is made by a module that imports its class when it runs.
    """
    files = {_module(path): path for path in _paths(package, "**/*.py") if path != _PUBLIC_API}
    found: dict[str, bytes] = {}
    waiting = list(_ROOTS[kind])
    while waiting:
        module = waiting.pop()
        path = files.get(module)
        if path and path not in found:
            found[path] = (package / path).read_bytes()
            waiting += [module.rpartition(".")[0], *_imports(found[path].decode())]
    return found


def _paths(package: Path, pattern: str) -> list[str]:
    return glob(pattern, root_dir=package, recursive=True)  # noqa: PTH207 - Path.glob takes three times the time


def _module(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join(["owtmix", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _imports(text: str) -> Iterator[str]:
    """What may be modules of the package; a name that is imported from a module may be one."""
    if "TYPE_CHECKING" in text:
        text = _FOR_TYPES.sub("", text)
    for match in _IMPORT.finditer(text):
        yield match["module"] or match["parent"]
        for line in (match["names"] or "").splitlines():
            names = line.partition("#")[0].strip("() ")
            yield from (f"{match['parent']}.{name.split()[0]}" for name in names.split(",") if name.strip())


def _version(library: str, version_of: Callable[[str], str]) -> str:
    try:
        return version_of(library)
    except PackageNotFoundError:
        return ""
