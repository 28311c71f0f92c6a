"""Logging: plain lines for people on stderr, JSON lines in ``logs/<JobId>.log``."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import quote

_log = logging.getLogger(__name__)

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest is what the caller gave as ``extra``."""

CONTROL_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
"""Escape sequences in a file's name must not reach the terminal; tab and newline may."""

_SHORTEST_SECRET: Final = 4
"""Blanking anything shorter would blank ordinary words."""


class Redaction:
    """Blanks secrets in what is written: a second line of defence, since nobody should log them at all."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()

    def add(self, secrets: Iterable[str | None]) -> None:
        """Blank these values from now on, also as they look inside of JSON strings and URLs."""
        values = [secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET]
        forms = {
            form
            for value in values
            for form in (value, json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe=""))
        }
        self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def apply(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "***")
        return text


class RunLog:
    """The log of one process: on stderr from the start, in a file from ``open`` on, with all that came before."""

    def __init__(self, threshold: int) -> None:
        """Log what is at least as grave as ``threshold`` on stderr; a file has everything."""
        self.path: Path | None = None
        self._redaction = Redaction()
        self._early = _Early()
        lines = _LineHandler(threshold)
        lines.setFormatter(_LineFormatter(self._redaction))
        root = logging.getLogger()
        root.handlers[:] = [lines, self._early]
        root.setLevel(logging.WARNING)
        logging.getLogger("owtmix").setLevel(logging.DEBUG)

    def hide(self, secrets: Iterable[str | None]) -> None:
        """Blank these values in everything that is written from now on."""
        self._redaction.add(secrets)

    def open(self, name: str, folder: Path, days: int) -> None:
        """Append to ``<name>.log`` in ``folder``, and remove logs there that are older than ``days``.

        A file that cannot be written is a warning, and a temporary one takes its place.
        """
        _sweep(folder, days)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handler = _FileHandler(folder / f"{name}.log")
        except OSError as error:
            with tempfile.NamedTemporaryFile(prefix=f"owtmix-{name}-", suffix=".log", delete=False) as other:
                handler = _FileHandler(Path(other.name))
            _log.warning("the log is in %s, since %s cannot be written: %s", other.name, folder, error.strerror)
        handler.setFormatter(_JsonFormatter(self._redaction))
        self.path = Path(handler.baseFilename)
        root = logging.getLogger()
        root.addHandler(handler)
        root.removeHandler(self._early)
        for record in self._early.records:
            handler.handle(record)


def _sweep(folder: Path, days: int) -> None:
    oldest = time.time() - days * 86400
    for path in folder.glob("*.log"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except OSError as error:
            _log.warning("an old log stays: %s (%s)", path, error.strerror)


class _Early(logging.Handler):
    """Keeps what is logged before the job's id, and so the file's name, is known."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _LineHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at the moment: while a progress bar is shown, lines go above it."""

    def __init__(self, threshold: int) -> None:
        logging.Handler.__init__(self, threshold)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Whoever read stderr is gone; that is no reason to stop."""


class _FileHandler(logging.FileHandler):
    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A full disk fails where the output is written, not here."""


class _LineFormatter(logging.Formatter):
    """``warning: text``, with the local time before it where stderr is not a terminal. Tracebacks stay in the file."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        text = self._redaction.apply(record.getMessage()).translate(CONTROL_ESCAPES)
        if record.levelno != logging.INFO:
            text = f"{record.levelname.lower()}: {text}"
        if sys.stderr.isatty():
            return text
        return f"{self.formatTime(record, '%Y-%m-%d %H:%M:%S')} {text}"


class _JsonFormatter(logging.Formatter):
    """One object per line: time, level, logger, process, message, what was given as ``extra``, traceback."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return self._redaction.apply(json.dumps(entry, ensure_ascii=False, default=str))
