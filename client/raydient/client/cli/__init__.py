"""The command line `raydient`.

Commands are imported when they are used, and import what they need when they run: `raydient --help` reads neither numpy
nor grpc nor pydantic. Results go to standard output, progress and notices to standard error.

Exit status: 0 done, 1 the job or the command failed, 2 wrong usage or invalid file, 3 the service cannot be reached,
4 not found, 5 not permitted, 6 not allowed in this state, 130 interrupted.
"""

import difflib
import importlib
import importlib.metadata
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from .failures import give_up, report
from .output import echo

# name: (module, its command), in the order of --help
COMMANDS = {
    "train": ("train", "train"),
    "cross-validate": ("cross_validate", "cross_validate"),
    "serve": ("serve", "serve"),
    "check": ("check", "check"),
    "submit": ("submit", "submit"),
    "sweep": ("sweep", "sweep"),
    "list": ("jobs", "list_jobs"),
    "get": ("jobs", "get"),
    "watch": ("submit", "watch"),
    "pause": ("control", "pause"),
    "resume": ("control", "resume"),
    "scale": ("control", "scale"),
    "update": ("control", "update"),
    "replay": ("replay", "replay"),
    "cancel": ("control", "cancel"),
    "delete": ("control", "delete"),
    "metrics": ("metrics", "metrics"),
    "checkpoints": ("model", "checkpoints"),
    "download": ("model", "download"),
    "predict": ("predict", "predict"),
    "evaluate": ("evaluate", "evaluate"),
    "report": ("reporting", "report"),
    "dataset": ("dataset", "dataset"),
    "rebuild": ("rebuild", "rebuild"),
    "version": ("version", "version"),
}


class Program(click.Group):
    """The commands. `main` turns every exception into a message and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"known commands: {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command {name!r}; {remedy}")
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        args = sys.argv[1:] if args is None else list(args)
        try:
            status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except (Exception, KeyboardInterrupt) as error:
            if not standalone_mode:
                raise
            status = report(error, as_json="--json" in args, debug="--debug" in args)
            give_up(sys.stdout)
        if not standalone_mode:
            return status
        give_up(sys.stderr)  # the reading end of the pipe may be closed
        sys.exit(status or 0)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        echo(f"raydient {importlib.metadata.version('raydient')}")
        context.exit()


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def program() -> None:
    """Distributed training with a parameter server: the same bits, whatever happens."""


def open_standard_streams() -> None:
    """Open the standard streams that the caller has closed, on the null device.

    Otherwise the next file or socket that is opened gets their descriptors, and output is written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  (it stays open)


def main() -> None:
    """Run the command line and exit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # during imports
        signal.signal(signal.SIGINT, signal.default_int_handler)
    open_standard_streams()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # commands print errors themselves
    program(prog_name="raydient")
