"""`raydient rebuild`: recreates the database of a service."""

from pathlib import Path

import click

from .failures import FAILED, WRONG_USAGE, Failure
from .options import debug_option, json_option, need_packages
from .output import echo, print_json, print_table


@click.command()
@click.option(
    "--state",
    "state_directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The service's state directory, as `raydient serve` has it.",
)
@json_option
@debug_option
def rebuild(*, state_directory: Path | None, as_json: bool) -> int:
    """Recreate a lost database of the service from the folders of its jobs.

    The service must not run. A database that is not empty is never overwritten, and no file of a job is changed.
    """
    need_packages("Rebuilding", "server")
    import platformdirs

    from raydient.server.errors import StartError
    from raydient.server.jobs.rebuilding import rebuild as rebuild_database

    state = state_directory or platformdirs.user_state_path("raydient") / "server"
    try:
        rebuilt = rebuild_database(state)
    except StartError as error:
        raise Failure(str(error), WRONG_USAGE, "START") from error
    if as_json:
        print_json(
            {
                "jobs": [
                    {"name": f"jobs/{job.id}", "state": job.state.name, "step": job.checkpoint_step}
                    for job in rebuilt.jobs
                ],
                "datasets": [f"datasets/{dataset}" for dataset in rebuilt.datasets],
                "problems": rebuilt.problems,
            }
        )
    else:
        rows = [[f"jobs/{job.id}", job.state.name, str(job.checkpoint_step or "")] for job in rebuilt.jobs]
        print_table(["NAME", "STATE", "CHECKPOINT"], rows + [[f"datasets/{d}", "", ""] for d in rebuilt.datasets])
    for problem in rebuilt.problems:
        echo(problem, err=True)
    return FAILED if rebuilt.problems else 0
