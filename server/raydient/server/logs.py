"""The format of log lines, and a filter."""

import logging
import sys
from typing import Any

from raydient.spec.printable import printable, printable_lines


class LineFormatter(logging.Formatter):
    """Formats each message as one line: control characters in quoted names and values are escaped.

    The line breaks of a traceback stay.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's own name)
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return printable_lines(super().formatException(ei))


def configure(form: str) -> None:
    """Log to standard error from level INFO. Call it once per process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def is_of_use(record: logging.LogRecord) -> bool:
    """False for gRPC's traceback about metadata that is not UTF-8: the call's status reports it."""
    return not record.getMessage().startswith("Invalid encoding on")
