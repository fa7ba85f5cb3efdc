"""`raydient serve`."""

from pathlib import Path
from typing import Any

import click

from .failures import WRONG_USAGE, Failure
from .options import debug_option, need_server

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--address", default="127.0.0.1:50051", show_default=True, help="Where gRPC listens.")
@click.option("--metrics-address", default="127.0.0.1:9095", show_default=True, help="Where Prometheus scrapes.")
@click.option(
    "--state", "state_directory", type=click.Path(file_okay=False, path_type=Path), help="Where jobs are kept."
)
@click.option("--cluster", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--ray-address", help="Join this Ray instead of starting one.")
@click.option("--stop-jobs", is_flag=True, help="On SIGTERM, stop jobs on a Ray that was joined too.")
@click.option(
    "--slots", type=click.IntRange(1), help="Worker processes at a time.  [default: one a core, four at least]"
)
@click.option("--data-root", "data_roots", type=_FOLDER, multiple=True, help="Jobs may read files below; repeatable.")
@click.option(
    "--disk-reserve-bytes",
    type=click.IntRange(0),
    help="Space that uploads leave free.  [default: 1 GiB or 2 % of the disk, at most 10 %]",
)
@click.option("--insecure-grpc", is_flag=True, help="Serve gRPC beyond this machine without TLS and tokens.")
@click.option("--insecure-metrics", is_flag=True, help="Serve metrics beyond this machine; they have no TLS or tokens.")
@click.option("--tls-certificate", type=_FILE, help="PEM, with its chain.")
@click.option("--tls-key", type=_FILE, help="PEM.")
@click.option("--tokens-file", type=_FILE, help="One token a line; calls without one of them are refused.")
@debug_option
def serve(*, state_directory: Path | None, **options: Any) -> int:
    """Run the service until SIGINT or SIGTERM."""
    need_server("The service")
    if options["ray_address"] and options["cluster"] != "ray":
        raise click.UsageError("--ray-address needs --cluster ray")
    import platformdirs

    from raydient.server import app

    state = state_directory or platformdirs.user_state_path("raydient") / "server"
    try:
        return app.serve(app.Settings(state_directory=state, **options))
    except app.StartError as error:
        raise Failure(str(error), WRONG_USAGE, "START") from error
