"""What cards were measured to do: a file of the state folder, which ``python -m benchmarks.lab capacity`` writes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

from owtmix.base.named_file import read_named_file
from owtmix.batch.capacity import Rates
from owtmix.batch.outside import LARGEST, number_of

FILE: Final = "card-rates.json"
_MOST_BYTES: Final = 65_536
_NAMES: Final = tuple(field.name for field in fields(Rates))
_log = logging.getLogger(__name__)


def read_rates(state: Path) -> dict[str, Rates]:
    """The rates of each model that was measured. A file that makes no sense is a warning, and the same as none."""
    path = state / FILE
    try:
        document = json.loads(read_named_file(path, _MOST_BYTES))
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004, TRY301 - as all that is wrong with it
        return {model: _rates(values) for model, values in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("%s is not used: %s", path, error)
        return {}


def write_rates(state: Path, model: str, rates: Rates) -> Path:
    """Put the rates of a model into the file; returns its path.

    Raises:
        OSError: it cannot be written.
    """
    known: Mapping[str, Rates] = read_rates(state) | {model: rates}
    path = state / FILE
    new = path.with_suffix(".part")
    text = json.dumps({name: asdict(one) for name, one in sorted(known.items())}, indent=2)
    new.write_text(text + "\n", encoding="utf-8")
    new.replace(path)
    return path


def _rates(values: object) -> Rates:
    if not isinstance(values, dict) or set(values) != set(_NAMES):
        raise ValueError(f"a model has {', '.join(_NAMES)} and nothing else")
    for value in values.values():
        if not 0 < (number_of(value) or 0) < LARGEST:
            raise ValueError(f"{value} is not a rate")
    return Rates(**values)
