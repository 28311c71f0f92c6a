"""Logging: plain lines on stderr, JSON lines in ``logs/<JobId>.log``."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import quote

from owtmix.base.errors import Interrupted
from owtmix.base.own_files import FOLDER_MODE, own_file
from owtmix.base.plain_text import plain_json, plain_message

_log = logging.getLogger(__name__)

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every log record; others were given by the caller as ``extra``."""

_SHORTEST_SECRET: Final = 4
"""Shorter secrets are not redacted: they would match ordinary words."""


class Redaction:
    """Replaces secrets in log output with ``***``. A second line of defence: no code should log secrets."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()

    def add(self, secrets: Iterable[str | None]) -> None:
        """Redact these values from now on, also in the form they have in JSON strings and URLs."""
        values = [secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET]
        forms = {
            form
            for value in values
            for form in (value, json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe=""))
        }
        self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))

    def apply(self, text: str) -> str:
        """Redact ``text``."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text


class RunLog:
    """The log of one process: on stderr from the start, and after ``open`` in a file, with all earlier records."""

    def __init__(self, threshold: int) -> None:
        """Log records of at least level ``threshold`` on stderr; the file gets all."""
        self.path: Path | None = None
        self._redaction = Redaction()
        self._early = _EarlyRecords()
        lines = _LineHandler(threshold)
        self._lines = _LineFormatter(self._redaction)
        lines.setFormatter(self._lines)
        root = logging.getLogger()
        root.handlers[:] = [lines, self._early]
        root.setLevel(logging.WARNING)
        logging.getLogger("owtmix").setLevel(logging.DEBUG)

    def hide(self, secrets: Iterable[str | None]) -> None:
        """Redact these values in all later output."""
        self._redaction.add(secrets)

    def redact(self, text: str) -> str:
        """``text`` without what is hidden."""
        return self._redaction.apply(text)

    def open_job(self, job_id: str, folder: Path) -> None:
        """As ``open``, for a job, whose id is in every line from now on where stderr is no terminal."""
        self._lines.job_id = job_id
        self.open(job_id, folder)

    def open(self, name: str, folder: Path) -> None:
        """Append to ``<name>.log`` in ``folder``, which only its owner can read.

        If the file cannot be written, a warning is logged and a temporary file is used.
        """
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
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


def _pass_on_interruption() -> None:
    """Raise the exception being handled if a signal raised it; logging would drop it, and the run would go on."""
    if isinstance(error := sys.exception(), Interrupted):
        raise error


class _EarlyRecords(logging.Handler):
    """Buffers records until the job id, and so the name of the file, is known."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _LineHandler(logging.StreamHandler[TextIO]):
    """Writes to the current ``sys.stderr``, which a progress bar replaces while it is shown."""

    def __init__(self, threshold: int) -> None:
        logging.Handler.__init__(self, threshold)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's names
        """Ignore errors: a closed stderr does not stop the run."""
        _pass_on_interruption()


class _FileHandler(logging.FileHandler):
    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=own_file)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's names
        """Ignore errors: a full disk is reported where the output is written."""
        _pass_on_interruption()


class _LineFormatter(logging.Formatter):
    """Formats ``warning: text``, after the local time and the job if stderr is not a terminal, without tracebacks."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction
        self.job_id = ""

    def format(self, record: logging.LogRecord) -> str:
        text = plain_message(self._redaction.apply(record.getMessage()))
        if record.levelno != logging.INFO:
            text = f"{record.levelname.lower()}: {text}"
        if sys.stderr.isatty():
            return text
        job = f"{self.job_id} " if self.job_id else ""
        return f"{self.formatTime(record, '%Y-%m-%d %H:%M:%S')} {job}{text}"


class _JsonFormatter(logging.Formatter):
    """Formats a JSON object per line: time, level, logger, process, message, fields of ``extra``, traceback."""

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
        return plain_json(self._redaction.apply(json.dumps(entry, ensure_ascii=False, default=str)))
