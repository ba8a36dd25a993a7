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

import re
from typing import ClassVar

FLAG = re.compile(r"(?<![^\s(])--([a-z][a-z-]*[a-z])")
COMMAND = re.compile(r"\bcharlm [a-z]")  # what follows it is to be typed as it stands


class CharlmError(Exception):
    """What is wrong and where, and, as a hint, what to do about it.

    Both name options as the command line has them, --max-tokens; `str` of the error names them as
    Python has them, max_tokens.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Say what is wrong to who called from Python."""
        command = COMMAND.search(self.message)
        end = command.start() if command else len(self.message)
        own = FLAG.sub(lambda flag: flag[1].replace("-", "_"), self.message[:end])
        return own + self.message[end:]


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
