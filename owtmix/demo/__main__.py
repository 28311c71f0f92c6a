"""``python -m owtmix.demo [FOLDER]``: writes the sample room and its job, and says how to compose it."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from owtmix.demo.job import write_job
from owtmix.demo.room import make_room
from owtmix.jobfile.settings import INSTALLATION, is_checkout


def _command() -> str:
    """How this installation's command is called."""
    if is_checkout(INSTALLATION):
        return str(INSTALLATION / "bin" / "owt-main")
    own = Path(sys.executable).with_name("owt-main")
    return "owt-main" if shutil.which("owt-main") or not own.exists() else str(own)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m owtmix.demo", description="Makes a room to try owt-main with.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="by default the working folder"
    )
    folder = parser.parse_args().folder
    try:
        job_file = write_job(folder)
        room = make_room(folder)
    except FileExistsError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{folder} cannot be written: {error.strerror}")
    lines = (
        f"sample room: {room}",
        f"job file: {job_file}",
        f"compose it: {shlex.join([_command(), str(job_file)])}",
    )
    print("\n".join(lines))  # noqa: T201 - a command's answer


if __name__ == "__main__":
    _main()
