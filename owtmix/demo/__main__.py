"""``python -m owtmix.demo [FOLDER]``: writes the sample room and its job, or rooms, and says how to compose them."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from owtmix.demo.job import write_job
from owtmix.demo.lively import make_lively_room
from owtmix.demo.room import make_room
from owtmix.demo.rooms import make_rooms
from owtmix.jobfile.settings_file import INSTALLATION, is_checkout


def _command(name: str) -> str:
    """How this installation's command ``name`` is called."""
    if is_checkout(INSTALLATION):
        return str(INSTALLATION / "bin" / name)
    own = Path(sys.executable).with_name(name)
    return name if shutil.which(name) or not own.exists() else str(own)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m owtmix.demo", description="Makes a room to try owt-main with.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="by default the working folder"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--rooms", action="store_true", help="make several rooms of different length, for owt-batch")
    kind.add_argument("--lively", action="store_true", help="make a room with updates, speakers, names and looks")
    arguments = parser.parse_args()
    folder = arguments.folder
    try:
        make = _make_rooms if arguments.rooms else _make_lively_room if arguments.lively else _make_room
        lines = make(folder)
    except FileExistsError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{folder} cannot be written: {error.strerror}")
    print("\n".join(lines))  # noqa: T201 - a command's answer


def _make_room(folder: Path) -> list[str]:
    job_file = write_job(folder)
    return [
        f"sample room: {make_room(folder)}",
        f"job file: {job_file}",
        f"compose it: {shlex.join([_command('owt-main'), str(job_file)])}",
    ]


def _make_lively_room(folder: Path) -> list[str]:
    job_file = make_lively_room(folder)
    return [f"job file: {job_file}", f"compose it: {shlex.join([_command('owt-main'), str(job_file)])}"]


def _make_rooms(folder: Path) -> list[str]:
    return [
        *(f"job file: {path}" for path in make_rooms(folder)),
        f"compose them: {shlex.join([_command('owt-batch'), str(folder)])}",
    ]


if __name__ == "__main__":
    _main()
