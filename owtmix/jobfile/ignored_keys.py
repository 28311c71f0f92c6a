"""Keys of a job file that count for nothing: those that are null, and those that others make unused."""

from __future__ import annotations

from typing import Any, Final

_UNUSED_BY_WATERMARK_TYPE: Final = {
    0: ("Image", "Text", "X", "Y", "Alpha", "Anchor", "Width"),
    1: ("Image", "Text", "Width"),
    2: ("Text",),
    3: ("Image", "Width"),
}


def drop_ignored(document: dict[str, Any]) -> None:
    """Remove keys that other keys make unused, so that they are not validated (docs/semantics.md, "Picture")."""
    data = object_at(document, "Data")
    mixer = object_at(data, "MixerConfig")
    manual = object_at(data, "SubscribeConfig").get("VideoStreamType", 0)
    if manual == 0:
        mixer.pop("PositionConfig", None)
    if manual == 1 or mixer.get("MixedVideoLayout", 1) in (1, 2, 3, 4, 5):
        mixer.pop("LayoutConfig", None)
        mixer.pop("Layouts", None)
    marks = mixer.get("WaterMark")
    for mark in marks if isinstance(marks, list) else [marks]:
        if isinstance(mark, dict) and isinstance(mark.get("Type"), int):
            for key in _UNUSED_BY_WATERMARK_TYPE.get(mark["Type"], ()):
                mark.pop(key, None)


def object_at(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """The object at ``key``; an empty one where there is none."""
    child = parent.get(key)
    return child if isinstance(child, dict) else {}


def without_nulls(value: Any) -> Any:
    """Remove keys whose value is ``null``."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [without_nulls(child) for child in value]
    return value
