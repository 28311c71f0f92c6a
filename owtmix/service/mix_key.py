"""Where the mix of a room is put in the store of its job, and where its recordings are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from owtmix.jobfile.object_key import output_extensions, output_pattern


def mixed_into(recording: Mapping[str, Any]) -> tuple[str, str]:
    """By ``RecordingConfig``, the folder of the recordings of a room that is mixed, and the key of the mix.

    Both have variables. The key is the one that ``owt-main`` has for the output of the job; the folder has its name
    without the extension.
    """
    prefix = (recording.get("StorageConfig") or {}).get("FileNamePrefix") or ""
    extensions = output_extensions("mp4", is_sound=recording.get("MediaChannel") == 1)
    key, _ = output_pattern(prefix, extensions)
    return key.rpartition(".")[0], key
