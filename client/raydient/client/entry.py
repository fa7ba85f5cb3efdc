"""The entry point of the console script."""

import signal


def main() -> None:
    """Run the command line. Ctrl-C ends the process without a traceback, even during imports."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as below nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli import main as run

    run()
