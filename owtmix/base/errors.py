"""The exceptions of owtmix, divided by who must act.

    MixError                  exit status
    ├── SetupError            1   this installation or machine is not set up: no job works here
    │   ├── SettingsError     1   the settings of the service are wrong
    │   ├── ClusterError      1   the cluster cannot be reached, or refuses
    │   └── ConfinementError  1   it does not confine workers as the settings demand
    ├── SpecError             2   the job file is missing or wrong
    ├── InputError            3   the index or the recordings
    │   ├── StoreError        3   the store that holds them
    │   └── ChangedError      3   a recording is not the one that was found any more
    ├── RenderError           4   composing failed
    │   ├── EncoderLost       4   the GPU's encoder failed; x264 may work
    │   └── ShortageError     4   the machine is short of memory, processes or open files
    ├── DestinationError      5   the output, or the store it is written to
    ├── BusyError             6   the job is running already
    └── Interrupted         130   Ctrl-C, SIGTERM or SIGHUP

``code`` is the ``RetCode`` of the API document, section 14.3 (docs/job-file.md, "Error codes").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

CODE_FAILED: Final = 1
CODE_JOB_EXISTS: Final = 2
CODE_VIDEO_PARAM: Final = 4
CODE_AUDIO_PARAM: Final = 5
CODE_NO_STREAM: Final = 6


_KNOWN_PATH: Final = re.compile(r"(?:Data|Internal)(?:\.[A-Za-z]+|\[\d+\])*")
_MOST_PATHS: Final = 20


class MixError(Exception):
    """Base class of errors that a user can act on.

    ``str()`` is a message for who runs the tool. It may quote documents and name files; ``public`` does not.
    """

    exit_status: ClassVar[int] = 4
    outline: ClassVar[str] = "the job failed"

    def __init__(self, message: str, *, code: int = CODE_FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    @property
    def public(self) -> str:
        """What failed, without anything of documents, recordings and paths."""
        return f"{self.outline}: the log of the job says why"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in the job file.

    ``path`` is a JSON path such as ``Data.MixerConfig.LayoutConfig[1][0].Area.Left``, or ``""`` for the whole file.
    ``message`` says what was found and what is accepted.
    """

    path: str
    message: str
    code: int = CODE_FAILED

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.message} (RetCode {self.code})"


class SetupError(MixError):
    """This installation or this machine is not set up. No job works here until somebody has mended that."""

    exit_status = 1
    outline = "the service is not set up"


class SettingsError(SetupError):
    """The settings of the service are wrong."""

    outline = "the settings of the service are wrong"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)), code=problems[0].code)
        self.problems = problems


class ConfinementError(SetupError):
    """This machine lacks layers of confinement that the settings require."""


class ClusterError(SetupError):
    """The cluster cannot be used: it is not reached, it refuses, or what it takes is not installed."""

    outline = "the cluster cannot be used"


class SpecError(MixError):
    """The job file is missing or wrong."""

    exit_status = 2

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)), code=problems[0].code)
        self.problems = problems

    @property
    def public(self) -> str:
        """The keys that are wrong, as far as they are known ones of a job file."""
        paths = dict.fromkeys(problem.path for problem in self.problems if _KNOWN_PATH.fullmatch(problem.path))
        where = f": {', '.join([*paths][:_MOST_PATHS])}" if paths else ""
        return f"the job is not accepted{where} (RetCode {self.code})"


class UnreadableError(SpecError):
    """The job file cannot be read, for now or for good: its disk may be away."""


class InputError(MixError):
    """The index, a recording, or the store that holds them cannot be read."""

    exit_status = 3
    outline = "the index or the recordings cannot be used"


class StoreError(InputError):
    """The input store cannot be used. The job fails, instead of leaving out every recording.

    ``of_object`` is what the failure means where the store gives other objects: then only this one cannot be had.
    ``is_refusal`` says that the store answered, and that asking again gives the same answer; ``is_denial``, that it
    answers like that also for what does not exist.
    """

    def __init__(self, message: str, *, of_object: str = "", is_refusal: bool = False, is_denial: bool = False) -> None:
        super().__init__(message)
        self.of_object = of_object or message
        self.is_refusal = is_refusal
        self.is_denial = is_denial

    outline = "the store of the recordings cannot be used"


class ChangedError(InputError):
    """A recording changed or vanished while the job ran. That says nothing about the version that was planned."""


class RenderError(MixError):
    """Composing, mixing or encoding failed."""

    exit_status = 4
    outline = "composing failed"


class EncoderLost(RenderError):  # noqa: N818 - the caller can still encode with x264
    """The GPU's encoder is not available or failed. The whole picture is encoded again with x264."""


class ShortageError(RenderError):
    """The machine is short of something. That is no recording's fault: it may work later, or with less at a time."""


class DestinationError(MixError):
    """The output, or the store it is written to, cannot be written."""

    exit_status = 5
    outline = "the output cannot be written"

    def __init__(self, message: str, *, code: int = CODE_FAILED, retryable: bool = False) -> None:
        super().__init__(message, code=code)
        self.retryable = retryable


class BusyError(MixError):
    """The job is running already: trying again later may work."""

    exit_status = 6

    def __init__(self, message: str) -> None:
        super().__init__(message, code=CODE_JOB_EXISTS)


class Interrupted(MixError):  # noqa: N818 - the run is interrupted, nothing went wrong
    """The user or the system asked the run to stop."""

    exit_status = 130
    outline = "the run was stopped"
