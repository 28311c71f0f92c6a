"""Puts the mix of a room into the store of its job, as ``owt-main`` would put the output of that job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from owtmix.base.errors import DestinationError, InputError, Problem, SpecError, StoreError
from owtmix.jobfile.object_key import substituted_key
from owtmix.jobfile.settings import Settings
from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.recorder.live_folder import LIVE, RESULT_FILE, LiveFolder
from owtmix.recorder.room_folder import size_of
from owtmix.recorder.upload import Sent, room_store, upload_files
from owtmix.storage import Store


def mix_key(options: FinishOptions) -> str:
    """The key of the mix in the store of its job.

    Raises:
        SpecError: the job has none.
    """
    try:
        return substituted_key(options.mix, job_id=options.job_id, room_id=options.room_id, app_id=options.app_id)
    except ValueError as error:
        raise SpecError(Problem(f"{FINISH_FILE}: mix", str(error))) from None


def publish_mix(root: Path, options: FinishOptions, settings: Settings, secrets: dict[str, str]) -> dict[str, Any]:
    """Upload the finished files of a mix in the folder ``root``, unless they are there already, and look at them there.

    Returns:
        The addresses that were ``uploaded``, of all files of the mix; none where nobody came.

    Raises:
        InputError: there is no mix yet.
        DestinationError: the store cannot be used, or has something else.
    """
    live = LiveFolder(root)
    files = result.files if (result := live.result()) else state.files if (state := live.state()) else ()
    if not (result or files):
        raise InputError(f"{LIVE}/{RESULT_FILE}: there is no mix")
    if not files:
        return {"uploaded": []}
    store, key = room_store(options, secrets, settings, root), mix_key(options)
    sent = [Sent(root / file, _numbered(key, number)) for number, file in enumerate(files, 1)]
    addresses = upload_files(store, sent, root, options.job_id)
    for one in sent:
        _check(store, one, root)
    return {"uploaded": addresses}


def _numbered(key: str, number: int) -> str:
    """The key of a file of the mix: those after the first have their number before the extension."""
    name, _, extension = key.rpartition(".")
    return key if number == 1 else f"{name}-{number}.{extension}"


def _check(store: Store, sent: Sent, root: Path) -> None:
    """Check that the object is as long as the file.

    Raises:
        DestinationError: it is not.
    """
    try:
        found = store.locate(sent.key, root)
    except StoreError as error:
        raise DestinationError(str(error)) from None
    except InputError as error:
        raise DestinationError(f"{store.address(sent.key)} is not there after its upload: {error}") from None
    size = found.size_bytes or size_of(found.path)
    if size != size_of(sent.file):
        raise DestinationError(f"{store.address(sent.key)} has {size} bytes, and not those of the mix")
