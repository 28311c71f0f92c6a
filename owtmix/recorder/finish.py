"""Finishes a room: ``python -m owtmix.recorder.finish FOLDER [--session ID | --mix | --upload]``.

The folder has all state, so this may be killed at any moment and run again. Options are in ``finish.json``
(``finish_options``). With ``--upload``, and with ``--mix``, which uploads the mix of a room and nothing else, the keys
of the store are read from one line of standard input, JSON with ``PublicKey`` and ``SecretKey``; an empty line or none
means that they are in the environment. One JSON object is printed: the files of the room or the session, what was left
out, warnings, and addresses of uploaded objects; or the error, whose kind is the exit status (``base.errors``).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import MixError, Problem, RenderError, SpecError
from owtmix.base.own_files import make_folder, read_own, write_whole
from owtmix.base.shortage import machine_error
from owtmix.base.standard_output import failure, json_text, print_text
from owtmix.base.strict_json import JsonError, read_object
from owtmix.jobfile.bounds import MAX_INDEX_BYTES, MAX_SECRET
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.recorder.file_plan import FileFormats
from owtmix.recorder.finalise import Doer, confined, finish_session
from owtmix.recorder.finish_options import FINISH_FILE, SECRETS, FinishOptions
from owtmix.recorder.fixed_clock import clock_file
from owtmix.recorder.index_file import INDEX_FILE, room_index
from owtmix.recorder.job_file import JOB_FILE, job_text
from owtmix.recorder.publish_mix import publish_mix
from owtmix.recorder.room_folder import FinishedSession, RecordedFile, RoomFolder, size_of
from owtmix.recorder.upload import Sent, folder_key, room_store, upload_files
from owtmix.storage import disk_error
from owtmix.workers.process_flags import protect_memory

UPDATES_FILE: Final = "updates.jsonl"

_STORED: Final = "stored"
"""The folder of index and job as they are in the store."""
_STORE: Final = ("Vendor", "Region", "Bucket", "Endpoint")
"""Of a store, what the job of the room may name."""
_LONGEST_LINE: Final = 16 * MAX_SECRET

_log = logging.getLogger(__name__)


def finish(
    folder: RoomFolder, settings: Settings, session: str | None, secrets: Callable[[], dict[str, str]] | None, do: Doer
) -> dict[str, Any]:
    """Finish one ``session``, or the room; with ``secrets``, which gives the keys of its store, upload it.

    Raises:
        MixError: what was made stays, and the next run goes on from there.
    """
    options = _options(folder)
    try:
        with folder.locked():
            return _finish(folder, options, settings, session, secrets, do)
    except OSError as error:
        raise disk_error(folder.root, error) from error


def finish_mix(folder: RoomFolder, settings: Settings, secrets: dict[str, str]) -> dict[str, Any]:
    """Upload the mix of a room, with the keys of its store.

    Raises:
        MixError: it cannot be uploaded now.
    """
    options = _options(folder)
    try:
        with folder.locked():
            return publish_mix(folder.root, options, settings, secrets)
    except OSError as error:
        raise disk_error(folder.root, error) from error


def _options(folder: RoomFolder) -> FinishOptions:
    try:
        return FinishOptions.from_json(read_own(folder.root / FINISH_FILE, MAX_INDEX_BYTES))
    except OSError as error:
        raise machine_error(error) or SpecError(Problem(FINISH_FILE, f"cannot be read: {error.strerror}")) from None


def _finish(
    folder: RoomFolder,
    options: FinishOptions,
    settings: Settings,
    session: str | None,
    secrets: Callable[[], dict[str, str]] | None,
    do: Doer,
) -> dict[str, Any]:
    formats = FileFormats(options.mp4_sound, options.sound_alone)
    for name, journals in folder.sessions().items():
        if session in {None, name} and not folder.is_finished(name, journals):
            folder.keep(finish_session(folder, name, journals, formats, do))
    finished = [done for done in folder.all_finished() if session in {None, done.session}]
    files = [file for done in finished for file in done.files]
    report: dict[str, Any] = {
        "files": [asdict(file) for file in files],
        "left_out": [asdict(one) for done in finished for one in done.left_out],
        "index": None,
        "uploaded": [],
        "warnings": [],
    }
    if session is not None or not files:
        return report
    updates = _updates(folder, report["warnings"])
    _describe(folder, options, files, updates)
    report["index"] = INDEX_FILE
    if secrets:
        report["uploaded"] = _upload(folder, options, settings, files, secrets(), has_updates=updates is not None)
        _remove_journals(folder, finished)
    return report


def _updates(folder: RoomFolder, warnings: list[str]) -> bytes | None:
    """The updates of the room; None where there are none, or none that can be used: recordings are not held up."""
    if size_of(folder.root / UPDATES_FILE) is None:
        return None
    try:
        return read_own(folder.root / UPDATES_FILE, MAX_INDEX_BYTES)
    except OSError as error:
        if machine_error(error):
            raise
        warnings.append(f"{UPDATES_FILE} is left out, and the room composed without: {error.strerror}")
        _log.warning("%s", warnings[-1])
        return None


def _describe(folder: RoomFolder, options: FinishOptions, files: Sequence[RecordedFile], updates: bytes | None) -> None:
    """Write the index, the job that composes the room from this folder, and the updates where that looks for them."""
    root = folder.recordings.name
    index = room_index(options.job_id, options.room_id, files, options.user_names, root)
    store = {"Vendor": "local", "Bucket": "."}
    write_whole(folder.root / INDEX_FILE, index)
    write_whole(folder.root / JOB_FILE, job_text(options, store, INDEX_FILE, options.job_id))
    if updates is not None:
        write_whole(folder.root / f"{options.job_id}.{UPDATES_FILE}", updates)


def _upload(
    folder: RoomFolder,
    options: FinishOptions,
    settings: Settings,
    files: Sequence[RecordedFile],
    secrets: dict[str, str],
    *,
    has_updates: bool,
) -> list[str]:
    """Upload the room, the index last. Then the job in the folder composes it from its store, if that is remote."""
    store = room_store(options, secrets, settings, folder.root)
    at = folder_key(options)
    described = folder.root / _STORED
    make_folder(described)
    base = f"{at}/{options.job_id}" if at else options.job_id
    index, job, updates = f"{base}.json", f"{base}.{JOB_FILE}", f"{base}.{UPDATES_FILE}"
    stored: dict[str, Any] = {name: value for name, value in options.store.items() if name in _STORE}
    write_whole(described / INDEX_FILE, room_index(options.job_id, options.room_id, files, options.user_names, at))
    write_whole(described / JOB_FILE, job_text(options, stored, index, base))
    sent = [Sent(folder.recordings / file.name, f"{at}/{file.name}" if at else file.name) for file in files]
    if has_updates:
        sent.append(Sent(folder.root / UPDATES_FILE, updates))
    sent += [Sent(described / JOB_FILE, job), Sent(described / INDEX_FILE, index)]
    addresses = upload_files(store, sent, folder.root, options.job_id)
    if stored.get("Vendor") != "local":
        write_whole(folder.root / JOB_FILE, (described / JOB_FILE).read_bytes())
    return addresses


def _remove_journals(folder: RoomFolder, finished: Sequence[FinishedSession]) -> None:
    """Remove journals of which all is in files, as they were when these were made."""
    for done in finished:
        if any(one.is_lost for one in done.left_out):
            _log.warning("the journals of session %s stay: not all of them is in files", done.session)
            continue
        for name, size in done.journals.items():
            path = folder.journals / name
            if size_of(path) == size:
                for gone in (path, clock_file(path)):
                    gone.unlink(missing_ok=True)


def read_secrets() -> dict[str, str]:
    """The keys of the store in the first line of standard input; none where it is empty, or a terminal.

    Raises:
        SpecError: it is something else.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return {}
    line = sys.stdin.buffer.readline(_LONGEST_LINE)
    if not line.strip():
        return {}
    try:
        found = read_object(line, max_bytes=_LONGEST_LINE)
    except JsonError:
        found = None
    if found is None or not all(isinstance(found.get(name, ""), str) for name in SECRETS):
        raise SpecError(Problem("standard input", "one line of JSON with PublicKey and SecretKey is expected"))
    return {name: found[name] for name in SECRETS if found.get(name)}


def main() -> None:
    """Run the command line and exit with its status."""
    protect_memory()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser("python -m owtmix.recorder.finish", description="Finish a room's recordings.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the room")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--session", metavar="ID", help="finish this session only")
    which.add_argument("--mix", action="store_true", help="upload the mix of the room only")
    which.add_argument("--upload", action="store_true", help="upload the room, and remove its journals")
    arguments = parser.parse_args()
    try:
        folder = RoomFolder(arguments.folder)
        settings = read_settings(settings_file())
        print_text(json_text(_done(folder, settings, arguments)))
    except MixError as error:
        _log.error("%s", error)
        print_text(json_text(failure(error)))
        sys.exit(error.exit_status)
    except Exception:  # noqa: BLE001 - whoever started it reads an answer
        _log.exception("finishing failed")
        print_text(json_text(failure(RenderError("finishing failed: the log says why"))))
        sys.exit(RenderError.exit_status)


def _done(folder: RoomFolder, settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.mix:
        return finish_mix(folder, settings, read_secrets())
    secrets = read_secrets if arguments.upload else None
    return finish(folder, settings, arguments.session, secrets, confined(settings, _log.warning))


if __name__ == "__main__":
    main()
