"""The one family of errors that charlm raises for its users' mistakes and their machines' faults.

CharlmError             base; never raised itself
    UsageError          exit code 2: an option or a combination of options that cannot work
    CorpusError         exit code 3: the text given cannot be read or used
    ModelError          exit code 4: a model directory or a tokenizer file is wrong or damaged
    DiskError           exit code 5: a file cannot be written
    DivergedError       exit code 6: training ran into NaN or infinity
    OutOfMemoryError    exit code 7: the machine has too little memory for what was asked
    LostProcessError    exit code 1: another process, whose work was needed, has died
"""

from typing import ClassVar


class CharlmError(Exception):
    """What is wrong and where, and, as a hint, what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CharlmError):
    """An option, or a combination of options, cannot work."""

    exit_code = 2


class CorpusError(CharlmError):
    """The text given cannot be read or used."""

    exit_code = 3


class ModelError(CharlmError):
    """A model directory or a tokenizer file is missing, wrong or damaged."""

    exit_code = 4


class DiskError(CharlmError):
    """A file cannot be written."""

    exit_code = 5


class DivergedError(CharlmError):
    """Training ran into NaN or infinity and cannot go on."""

    exit_code = 6


class OutOfMemoryError(CharlmError):
    """The machine has too little memory for what was asked."""

    exit_code = 7


class LostProcessError(CharlmError):
    """Another process, whose work was needed, has died."""
