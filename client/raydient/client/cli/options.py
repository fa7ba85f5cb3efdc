"""Options, confirmation and checks that commands share."""

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raydient.spec.csv_text import DECIMALS, DELIMITERS, ENCODINGS, UTF8, Dialect
from raydient.spec.remote import is_remote

from .failures import FAILED, WRONG_USAGE, Failure
from .output import echo

if TYPE_CHECKING:
    from raydient.client.client import Client

DEFAULT_ADDRESS = "127.0.0.1:50051"
Command = Callable[..., int | None]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
job_file = click.argument("job", metavar="JOB.yaml", type=click.Path(path_type=Path))


class _Data(click.Path):
    """The path of data that exist, or a URL, which stays a text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if is_remote(value) else super().convert(value, param, ctx)


DATA = _Data(exists=True, path_type=Path)
job_argument = click.argument("job", metavar="JOB")


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Address of the service and the settings of the connection to it."""

    address: str
    token: str | None
    tls: bool
    certificate_authority: Path | None
    server_name: str | None
    retry_seconds: float

    def open(self) -> "Client":
        """Open a client, which connects at its first call."""
        from raydient.client.client import Client

        return Client(
            self.address,
            token=self.token,
            tls=self.tls,
            certificate_authority=self.certificate_authority,
            server_name=self.server_name,
            retry_seconds=self.retry_seconds,
            notice=lambda line: echo(line, err=True),
        )

    @property
    def option(self) -> str:
        """The option with which a printed command reaches the same service."""
        return "" if self.address == DEFAULT_ADDRESS else f" --address {self.address}"


CONNECTION_OPTIONS = (
    click.option(
        "--address",
        envvar="RAYDIENT_ADDRESS",
        default=DEFAULT_ADDRESS,
        show_default=True,
        show_envvar=True,
        help="Address of the service.",
    ),
    click.option(
        "--token",
        envvar="RAYDIENT_TOKEN",
        show_envvar=True,
        help="Token for a service that requires one; set it in the environment.",
    ),
    click.option("--tls", is_flag=True, help="Encrypt, trusting the system's authorities."),
    click.option(
        "--tls-ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="RAYDIENT_TLS_CA",
        show_envvar=True,
        help="Encrypt, trusting this certificate authority (PEM).",
    ),
    click.option(
        "--tls-server-name",
        envvar="RAYDIENT_TLS_SERVER_NAME",
        show_envvar=True,
        help="The name in the certificate of the service.  [default: the host of the address]",
    ),
    click.option(
        "--retry-seconds",
        type=click.FloatRange(0),
        envvar="RAYDIENT_RETRY_SECONDS",
        default=30.0,
        show_default=True,
        show_envvar=True,
        help="Time for which calls are repeated while the service does not answer.",
    ),
)

DIALECT_OPTIONS = (
    click.option(
        "--delimiter",
        type=click.Choice(DELIMITERS),
        metavar="CHARACTER",
        help="Character between the values of a CSV file.  [default: the header shows it]",
    ),
    click.option(
        "--decimal",
        type=click.Choice(DECIMALS),
        default=".",
        show_default=True,
        help="Character before the decimals of its numbers.",
    ),
    click.option("--encoding", type=click.Choice(ENCODINGS), default=UTF8, show_default=True, help="Its encoding."),
)


def with_connection(command: Command) -> Command:
    """Add the options of the connection to a command, which receives them as `connection`."""

    @functools.wraps(command)
    def wrapper(
        *,
        address: str,
        token: str | None,
        tls: bool,
        tls_ca: Path | None,
        tls_server_name: str | None,
        retry_seconds: float,
        **options: Any,
    ) -> int | None:
        connection = ConnectionOptions(address, token, tls, tls_ca, tls_server_name, retry_seconds)
        return command(connection=connection, **options)

    return _with_options(wrapper, CONNECTION_OPTIONS)


def with_dialect(command: Command) -> Command:
    """Add the options of a CSV file's dialect to a command, which receives them as `dialect`."""

    @functools.wraps(command)
    def wrapper(*, delimiter: str | None, decimal: str, encoding: str, **options: Any) -> int | None:
        return command(dialect=Dialect(delimiter, decimal, encoding), **options)

    return _with_options(wrapper, DIALECT_OPTIONS)


def _with_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Apply options to a command as decorators, the first one outermost."""
    for option in reversed(options):
        command = option(command)
    return command


def confirm(question: str, yes: bool) -> None:
    """Ask for confirmation on a terminal; without a terminal, fail unless `yes` is set."""
    if yes:
        return
    if not is_terminal():
        raise Failure(f"{question} Say so with --yes, as there is no terminal to ask at.", WRONG_USAGE)
    click.confirm(question, abort=True, err=True)


def is_terminal() -> bool:
    """True if standard input is a terminal, where a person can answer."""
    return sys.stdin.isatty()


def need_packages(what: str, extra: str, *further: str) -> None:
    """Fail with the pip line if packages of an extra are not installed; see `missing_packages`."""
    from raydient.client.extras import missing_packages

    if missing := missing_packages(extra, *further):
        text = f"{what} needs {', '.join(missing)}, not installed here: pip install 'raydient[{extra}]'"
        raise Failure(text, FAILED, "MISSING_EXTRA")


def compute_here(portable: bool) -> None:
    """Prepare this process, the coordinator of jobs on this machine, which computes their initial weights.

    Fails with the pip line if packages are not installed. Has to be called before NumPy is loaded, which reads the
    environment then; see `clusters.member.environment`.
    """
    need_packages("Training on this machine", "local")
    from raydient.server.clusters.member import environment

    os.environ.update(environment(portable=portable))


def need_folder(path: Path) -> None:
    """Fail if the folder `path` can neither be used nor created, before the work whose results it takes."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise Failure(f"{path}: {existing} is a file, not a folder", WRONG_USAGE)
    _need_writable(existing, path)


def need_writable(path: Path) -> None:
    """Fail if no file can be created in the folder of `path`, before the work whose result it takes."""
    if not path.parent.is_dir():
        raise Failure(f"{path}: there is no folder {path.parent}", WRONG_USAGE)
    _need_writable(path.parent, path)


def _need_writable(folder: Path, path: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise Failure(f"{path}: nothing can be written there: {error.strerror}", WRONG_USAGE) from error
