"""What the server logs: faults, without a word of what clients wrote."""

import logging
import traceback
from types import TracebackType

from charlm.runs.dialogue import Tell

LOGGERS = ("charlm", "uvicorn")


class Discreet(logging.Formatter):
    """Formats faults without their messages, which could quote what a client wrote."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Tell the kind of a fault, and where it was."""
        kind, _, trace = ei
        return "".join(traceback.format_tb(trace)) + getattr(kind, "__name__", "no fault")


class Telling(logging.Handler):
    """Hands what is logged to a function."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.ERROR)
        self._tell = tell
        self.setFormatter(Discreet("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on."""
        self._tell(self.format(record))


def log_discreetly(tell: Tell) -> None:
    """Log faults of charlm and uvicorn, and nothing else, through a function."""
    handler = Telling(tell)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.ERROR)
        logger.propagate = False
