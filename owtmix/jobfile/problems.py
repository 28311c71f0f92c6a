"""Collects the problems and warnings of a job file, so that all are reported together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from owtmix.base.errors import CODE_AUDIO_PARAM, CODE_FAILED, CODE_VIDEO_PARAM, Problem, SpecError
from owtmix.base.strict_json import SECRET_KEYS, Loc, json_path, kind_of, shown
from owtmix.jobfile.bounds import MAX_SHOWN
from owtmix.jobfile.json_schema import key_at
from owtmix.jobfile.spec import SpecWarning

_CODES: Final[tuple[tuple[Loc, int], ...]] = (
    (("Data", "TranscodingConfig", "Audio"), CODE_AUDIO_PARAM),
    (("Data", "TranscodingConfig"), CODE_VIDEO_PARAM),
    (("Data", "MixerConfig"), CODE_VIDEO_PARAM),
    (("Data", "SubscribeConfig", "VideoStreamType"), CODE_VIDEO_PARAM),
)

_UPDATES: Final = ("Data", "Updates")

_PLAIN: Final = frozenset({"string", "integer", "number", "boolean"})

_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")


def code_at(loc: Loc) -> int:
    """The error code for a wrong value at ``loc`` (docs/job-file.md, "Keys"), in the job or in one of its updates."""
    if loc[: len(_UPDATES)] == _UPDATES:
        loc = loc[len(_UPDATES) + 1 :]
    return next((code for start, code in _CODES if loc[: len(start)] == start), CODE_FAILED)


class ProblemCollector:
    """Collects problems and warnings about ``document``. Messages show a ``Loc`` as a JSON path, after ``where``."""

    def __init__(self, document: Mapping[str, Any], where: str = "") -> None:
        self._where = where
        self.problems: list[Problem] = []
        self.warnings: list[SpecWarning] = []
        self._document = document
        self._wrong: set[Loc] = set()
        self._above: set[Loc] = set()

    def problem(self, loc: Loc, message: str) -> None:
        """Report a problem. Its error code depends on ``loc``."""
        self._wrong.add(loc)
        self._above.update(loc[:length] for length in range(len(loc) + 1))
        self.problems.append(Problem(self._locate(loc)[0], message, code_at(loc)))

    def wrong_value(self, loc: Loc, accepted: str = "", hint: str = "") -> None:
        """Report that the value at ``loc`` is wrong or missing. ``accepted`` replaces the description of the key."""
        key = key_at(loc)
        found = self._locate(loc)[1]
        if found is None:
            state = "missing"
        elif SECRET_KEYS.intersection(loc):
            state = "found something else (not shown)"
        else:
            # Text where an object or a list belongs may be a whole section, secrets included.
            what = shown(found) if key.type in _PLAIN or not isinstance(found, str) else kind_of(found)
            what = f"a list of {len(found):,}" if isinstance(found, list) else what
            state = f"found {what}{_remedy(found, key.type)}"
        self.problem(loc, f"{state}; accepted: {accepted or key.accepted}{hint}")

    def warn(self, loc: Loc, message: str) -> None:
        """Report something that may not have the effect its author expects."""
        self.warnings.append(SpecWarning(self._locate(loc)[0], message))

    def is_given(self, loc: Loc) -> bool:
        """Whether the document has a value at ``loc``."""
        return self._locate(loc)[1] is not None

    def is_clean(self, *locs: Loc) -> bool:
        """Whether no problem was reported at, above or below any of ``locs``."""
        return all(
            loc not in self._above and self._wrong.isdisjoint(loc[:length] for length in range(len(loc)))
            for loc in locs
        )

    def _locate(self, loc: Loc) -> tuple[str, Any]:
        """The JSON path of ``loc`` and the value there, or None. A single ``WaterMark`` is treated as a list of one."""
        node: Any = self._document
        path: list[str | int] = []
        for part in loc:
            if isinstance(part, int) and isinstance(node, dict):
                continue
            path.append(part)
            if isinstance(part, int):
                node = node[part] if isinstance(node, list) and part < len(node) else None
            else:
                node = node.get(part) if isinstance(node, dict) else None
        return f"{self._where}{json_path(path)}", node


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise the first ``MAX_SHOWN`` problems, and the number of the others; nothing without any.

    Raises:
        SpecError: there are problems.
    """
    if problems:
        more = len(problems) - MAX_SHOWN
        rest = [Problem("", f"and at least {more:,} more problems", problems[0].code)] * (more > 0)
        raise SpecError(*problems[:MAX_SHOWN], *rest)


def _remedy(found: object, wanted: str) -> str:
    """What to write when only the quotes are wrong."""
    if isinstance(found, str) and _NUMBER.fullmatch(found) and wanted in {"integer", "number"}:
        return f" (write {found} without quotes)"
    if isinstance(found, int | Decimal) and not isinstance(found, bool) and wanted == "string":
        return f' (write "{found}")'
    return ""
