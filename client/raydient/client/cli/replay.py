"""`raydient replay`: the evidence that a job has the weights that its record gives."""

import sys
from typing import TYPE_CHECKING

import click

from .failures import FAILED
from .options import ConnectionOptions, debug_option, job_argument, json_option, with_connection
from .output import print_json, print_pairs

if TYPE_CHECKING:
    from raydient.client.job import Job
    from raydient.client.replaying import Replay


@click.command()
@job_argument
@json_option
@with_connection
@debug_option
def replay(*, job: str, connection: ConnectionOptions, as_json: bool) -> int:
    """Train a job again in one process, in the recorded order of arrival, and compare the digests.

    It goes up to the newest checkpoint; the job itself is not affected. Exit status 1 if the digests differ.
    """
    with connection.open() as client:
        replayed = _with_bar(client.get(job)) if sys.stderr.isatty() else client.get(job).replay()
    if as_json:
        digests = {"digest": replayed.digest, "recorded_digest": replayed.recorded_digest}
        print_json({"steps": replayed.steps, **digests, "equal": replayed.is_equal})
    else:
        pairs = [("steps", str(replayed.steps)), ("digest", replayed.digest), ("recorded", replayed.recorded_digest)]
        print_pairs([*pairs, ("equal", "yes" if replayed.is_equal else "no")])
    return 0 if replayed.is_equal else FAILED


def _with_bar(job: "Job") -> "Replay":
    with click.progressbar(length=1, label="replay", file=sys.stderr) as bar:

        def progress(step: int, steps: int) -> None:
            bar.length = steps
            bar.update(step - bar.pos)

        return job.replay(progress)
