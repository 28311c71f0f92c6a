"""The environment of a child: only variables that hold no secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_KEPT: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "OPENBLAS_CORETYPE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "CUDA_PATH",
)
_SET: Final = {
    # CuPy keeps no compiled kernels in the user's home, where a child must not write.
    "CUPY_CACHE_IN_MEMORY": "1",
    # The memory of a picture is returned to the system when the picture is freed. By default the C library raises this
    # threshold after the first picture of a size. With recordings of many sizes the memory that it keeps then doubles
    # the memory of a child (docs/performance.md). Blocks of sound are smaller; reusing freed memory is faster for them.
    "MALLOC_MMAP_THRESHOLD_": str(256 << 10),
    # NumPy's threads for linear algebra are not used here. They take time to start, and memory for each core.
    "OPENBLAS_NUM_THREADS": "1",
}

_PACKAGE: Final = Path(__file__).parents[1]


def child_environment() -> dict[str, str]:
    """The environment of a child: only variables that hold no secret. It imports the same package as its parent."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    folder = str(_PACKAGE.parent)
    if os.pathsep in folder:  # such a path cannot be named there; an installed package is found without
        return _SET | kept
    paths = [folder, *filter(None, [kept.get("PYTHONPATH")])]
    return _SET | kept | {"PYTHONPATH": os.pathsep.join(paths)}
