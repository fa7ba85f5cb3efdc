"""A log message is one line, whatever it quotes."""

import logging
import sys

from raydient.server.logs import LineFormatter


def record(message, *arguments, exception=None):
    return logging.LogRecord("room", logging.INFO, __file__, 1, message, arguments, exception)


def test_a_message_is_one_line():
    text = LineFormatter("%(levelname)s %(message)s").format(record("job %s", "a\x1b[2J\nERROR forged"))
    assert text == r"INFO job a\x1b[2J\nERROR forged"


def test_a_stack_keeps_its_lines():
    try:
        raise ValueError("bad \x1b]0;title\x07")
    except ValueError:
        text = LineFormatter("%(message)s").format(record("failed", exception=sys.exc_info()))
    first, *stack = text.split("\n")
    assert first == "failed"
    assert stack[0].startswith("Traceback")
    assert stack[-1] == r"ValueError: bad \x1b]0;title\x07"
