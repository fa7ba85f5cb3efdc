"""`raydient serve`."""

from pathlib import Path
from typing import Any

import click

from .failures import WRONG_USAGE, Failure
from .options import debug_option, need_packages

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _prefixes(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from raydient.spec.remote import is_remote, normalized

    for value in values:
        try:
            if not is_remote(value) or "?" in value or "#" in value:
                raise ValueError("a URL is needed, such as s3://bucket/data")
            normalized(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return values


@click.command()
@click.option(
    "--address", default="127.0.0.1:50051", show_default=True, help="Where gRPC listens; port 0 lets the system choose."
)
@click.option("--metrics-address", default="127.0.0.1:9095", show_default=True, help="Where Prometheus scrapes.")
@click.option(
    "--state",
    "state_directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The state directory.  [default: raydient/server in the user's state folder, on Linux ~/.local/state]",
)
@click.option(
    "--cluster",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run members as plain processes of this machine (local) or as Ray actors (ray).",
)
@click.option("--ray-address", help="Join this Ray; without it, --cluster ray starts one.")
@click.option(
    "--stop-jobs", is_flag=True, help="On SIGTERM, stop jobs on a joined Ray too; without it they go on there."
)
@click.option(
    "--slots",
    type=click.IntRange(1),
    help="Worker processes at a time; ignored on a joined Ray.  [default: one per core, at least 4]",
)
@click.option(
    "--data-root", "data_roots", type=_FOLDER, multiple=True, help="Jobs may read files below this folder; repeatable."
)
@click.option(
    "--data-url",
    "data_urls",
    metavar="URL",
    multiple=True,
    callback=_prefixes,
    help="Jobs may read remote files below this URL, such as s3://bucket/data; repeatable.",
)
@click.option(
    "--disk-reserve-bytes",
    type=click.IntRange(0),
    help="Space that uploads leave free, for the database, checkpoints and models.  "
    "[default: 1 GiB or 2 % of the disk, whichever is more, at most 10 %]",
)
@click.option(
    "--insecure-grpc", is_flag=True, help="Permit a gRPC address that other machines can reach, without TLS and tokens."
)
@click.option(
    "--insecure-metrics",
    is_flag=True,
    help="Permit a metrics address that other machines can reach; metrics have no TLS or tokens.",
)
@click.option("--tls-certificate", type=_FILE, help="PEM file with the certificate and its chain; needs --tls-key.")
@click.option("--tls-key", type=_FILE, help="PEM file with the private key; needs --tls-certificate.")
@click.option("--tokens-file", type=_FILE, help="One token a line; calls without one of them are refused.")
@debug_option
def serve(*, state_directory: Path | None, **options: Any) -> int:
    """Run the service until SIGINT or SIGTERM."""
    need_packages("The service", "server")
    if options["ray_address"] and options["cluster"] != "ray":
        raise click.UsageError("--ray-address needs --cluster ray")
    import platformdirs

    from raydient.server import app

    state = state_directory or platformdirs.user_state_path("raydient") / "server"
    try:
        return app.serve(app.Settings(state_directory=state, **options))
    except app.StartError as error:
        raise Failure(str(error), WRONG_USAGE, "START") from error
