"""The C++ compiler of this machine."""

from __future__ import annotations

import shutil
from typing import Final

COMPILER: Final = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
"""Compiles the drawing kernel for the host."""
