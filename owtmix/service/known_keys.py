"""What of a section is kept: the keys of the format, and numbers that can be written and read again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, get_args

from owtmix.jobfile.job_model import JobModel, members
from owtmix.jobfile.models import Data
from owtmix.jobfile.update_models import StreamConfig
from owtmix.service.envelope import plain_number
from owtmix.service.refusals import RefusedError, RetCode

LIVE_KEYS: Final = ("Type", "Url")
"""Of ``LiveConfig``, which no model describes."""
_LARGEST_EXPONENT: Final = 99
"""Readers of JSON accept two digits (``base.strict_json``)."""


def known_section(name: str, section: Any) -> Any:
    """The section ``name`` of ``Data`` without keys that the format does not have.

    Raises:
        RefusedError: a number cannot be written so that it is accepted again.
    """
    if name == "LiveConfig":
        if isinstance(section, list):
            return [known_section(name, entry) for entry in section]
        return {key: section[key] for key in LIVE_KEYS if key in section} if isinstance(section, dict) else section
    return _known(section, StreamConfig if name == "StreamConfig" else _parts(Data)[name], name)


def _known(value: Any, model: type[JobModel] | None, name: str) -> Any:
    if isinstance(value, dict):
        parts = _parts(model) if model else dict.fromkeys(value)
        return {key: _known(child, parts[key], name) for key, child in value.items() if key in parts}
    if isinstance(value, list):
        return [_known(child, model, name) for child in value]
    if isinstance(value, Decimal) and value and abs(_written(value).adjusted()) > _LARGEST_EXPONENT:
        raise RefusedError(
            RetCode.FAILED, f"Data.{name}: the exponents of numbers are at most {_LARGEST_EXPONENT}, and not below -99"
        )
    return value


def _written(value: Decimal) -> Decimal:
    """What a number becomes where it is written: rounding may take it to the next power of ten."""
    return Decimal(str(plain_number(value))) if abs(value.adjusted()) <= _LARGEST_EXPONENT else value


@cache
def _parts(model: type[JobModel]) -> Mapping[str, type[JobModel] | None]:
    """The model of the objects at each key of ``model``; None where any keys are taken."""
    return {member.alias: _model_in(member.kind) for member in members(model)}


def _model_in(kind: Any) -> type[JobModel] | None:
    if isinstance(kind, type) and issubclass(kind, JobModel):
        return kind
    return next((found for part in get_args(kind) if (found := _model_in(part))), None)
