"""Commands of RTMP: values in AMF 0, of which few are needed."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from owtmix.rtmp.chunks import ProtocolError

Value = float | bool | str | None | Mapping[str, object]

_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _MAP, _END = 0, 1, 2, 3, 5, 8, 9
"""Lists (10) and dates (11) are read only: servers tell them, and nobody here needs them."""
_MOST_VALUES: Final = 200
"""In an answer."""
_DEEPEST: Final = 4


def write(*values: Value) -> bytes:
    """Values one after the other; objects hold no objects."""
    return b"".join(map(_written, values))


def write_map(fields: Mapping[str, float | bool | str]) -> bytes:
    """Fields as what a stream is described with: an array with names."""
    return struct.pack(">BI", _MAP, len(fields)) + _fields(fields)


def read(data: bytes) -> list[Value]:
    """The values of a command.

    Raises:
        ProtocolError: there is something else.
    """
    try:
        return list(_Values(data))
    except (struct.error, IndexError):
        raise ProtocolError("a command that is cut") from None


def _written(value: Value) -> bytes:
    match value:
        case bool():
            return bytes([_BOOLEAN, value])
        case None:
            return bytes([_NULL])
        case str():
            return bytes([_STRING]) + _text(value)
        case float() | int():
            return struct.pack(">Bd", _NUMBER, value)
    return bytes([_OBJECT]) + _fields(value)


def _fields(fields: Mapping[str, object]) -> bytes:
    found = (_text(name) + write(held) for name, held in fields.items() if isinstance(held, str | float | int))
    return b"".join(found) + bytes([0, 0, _END])


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


class _Values:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._count = 0

    def __iter__(self) -> Iterator[Value]:
        while self._at < len(self._data):
            yield self._value(0)

    def _value(self, depth: int) -> Value:
        self._count += 1
        if depth > _DEEPEST or self._count > _MOST_VALUES:
            raise ProtocolError("a command with too much in it")
        kind = self._data[self._at]
        self._at += 1
        match kind:
            case 0 | 11:
                return self._unpack(">dxx" if kind else ">d")
            case 1:
                return bool(self._unpack(">B"))
            case 2:
                return self._string()
            case 5 | 6:
                return None
            case 3 | 8:
                self._at += 4 * (kind == _MAP)
                return self._fields(depth)
            case 10:
                return {str(at): self._value(depth + 1) for at in range(int(self._unpack(">I")))}
        raise ProtocolError("a command with a value of an unknown kind")

    def _fields(self, depth: int) -> Mapping[str, object]:
        fields: dict[str, object] = {}
        while True:
            name = self._string()
            if not name and self._data[self._at] == _END:
                self._at += 1
                return fields
            fields[name] = self._value(depth + 1)

    def _string(self) -> str:
        size = int(self._unpack(">H"))
        data = self._data[self._at : self._at + size]
        self._at += size
        return data.decode(errors="replace")

    def _unpack(self, form: str) -> float:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return float(value)
