"""Plans as JSON and back, exactly: fractions are text, and what is read equals what was written.

``model.to_json`` is for people and their programs, and rounds. This form is for other processes of this program: an
executor on another machine, or a plan that is kept beside its chunks. The type hints of the plan's classes decide the
form: a dataclass is an object, a mapping a list of pairs, a range ``[start, stop, step]``, and a member of a union of
dataclasses names its class as ``"is"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from owtmix.plan.model import RenderPlan

_CLASS: Final = "is"
_FRACTION: Final = re.compile(r"-?[0-9]{1,250}(/[0-9]{1,250})?")


def to_exact_json(kind: type, value: Any) -> Any:
    """``value``, of the dataclass ``kind``, as JSON values."""
    return _encode(kind, value)


def from_exact_json(kind: type, value: Any) -> Any:
    """The value of the dataclass ``kind`` that was written.

    Raises:
        ValueError, TypeError, KeyError: it is not what ``to_exact_json`` writes.
    """
    return _decode(kind, value)


def plan_to_exact_json(plan: RenderPlan) -> dict[str, Any]:
    """The plan as JSON values."""
    value: dict[str, Any] = _encode(RenderPlan, plan)
    return value


def plan_from_exact_json(value: Mapping[str, Any]) -> RenderPlan:
    """The plan that was written.

    Raises:
        ValueError, TypeError, KeyError: it is not what ``plan_to_exact_json`` writes.
    """
    plan: RenderPlan = _decode(RenderPlan, value)
    return plan


def exact_fraction(text: str) -> Fraction:
    """The number that ``str`` made of a fraction, as ``3`` or ``1/3``.

    Raises:
        ValueError: it is none, or has more digits than a time. ``Fraction`` itself would compute "1e999999999".
    """
    if not _FRACTION.fullmatch(text):
        raise ValueError("not a fraction")
    return Fraction(text)


def _encode(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of type
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return _encode_union(arguments, value)
    if is_dataclass(hint):
        return {name: _encode(kind, getattr(value, name)) for name, kind in _fields(hint).items()}
    if origin is tuple:
        return [_encode(kind, item) for kind, item in zip(_items(arguments, len(value)), value, strict=True)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return [[_encode(arguments[0], key), _encode(arguments[1], item)] for key, item in value.items()]
    if hint is Fraction:
        return str(value)
    if hint is range:
        return [value.start, value.stop, value.step]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return value.value
    return value


def _encode_union(members: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    (member,) = (kind for kind in members if kind is not NoneType and _matches(kind, value))
    encoded = _encode(member, value)
    several = sum(is_dataclass(kind) for kind in members) > 1
    return {_CLASS: member.__name__} | encoded if several else encoded


def _decode(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of type
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return _decode_union(arguments, value)
    if is_dataclass(hint):
        make: Callable[..., Any] = hint  # type: ignore[assignment]  # a class, since hints name classes
        return make(**{name: _decode(kind, value[name]) for name, kind in _fields(hint).items()})
    if origin is tuple:
        return tuple(_decode(kind, item) for kind, item in zip(_items(arguments, len(value)), value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {_decode(arguments[0], key): _decode(arguments[1], item) for key, item in value}
    if hint is Fraction:
        return exact_fraction(value)
    if hint is range:
        return range(*value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if not _matches(hint, value):
        raise TypeError(f"{value!r} is no {hint}")
    return value


def _decode_union(members: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    members = tuple(kind for kind in members if kind is not NoneType)
    if len(members) == 1:
        return _decode(members[0], value)
    (member,) = (kind for kind in members if kind.__name__ == value[_CLASS])
    return _decode(member, value)


def _matches(hint: Any, value: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    kind = get_origin(hint) or hint
    return isinstance(value, (int, float) if kind is float else kind)


def _items(arguments: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """The types of a tuple's items: of ``tuple[T, ...]`` or ``tuple[T, U]``."""
    return (arguments[0],) * count if arguments[-1] is ... else arguments


def _fields(kind: Any) -> dict[str, Any]:
    return {name: hint for name, hint in _hints(kind).items() if name in {field.name for field in fields(kind)}}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
