"""The beginning of the processes that answer one question of the service."""

import os
import signal
import sys
from typing import BinaryIO


def open_answers(niceness: int) -> BinaryIO:
    """Return the file for the answers of this process: its standard output, which nothing else can write from then on.

    What libraries print goes to standard error. The process gets this nice value and ignores Ctrl-C, which reaches the
    whole process group: the service ends the process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(niceness)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers
