"""UTF-8 for names of files and arguments, whatever the locale is."""

from __future__ import annotations

import os
import sys


def use_utf8() -> None:
    """Start again in UTF-8 mode where the locale cannot express all names of files."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same command again
