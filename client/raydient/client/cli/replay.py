"""`raydient replay`: the evidence that a job has the weights that its record gives."""

import sys

import click

from .options import ConnectionOptions, debug_option, job_argument, json_option, with_connection
from .output import print_json, print_pairs


@click.command()
@job_argument
@json_option
@with_connection
@debug_option
def replay(*, job: str, connection: ConnectionOptions, as_json: bool) -> None:
    """Train a job again in one process, in the recorded order of arrival, and compare the digests.

    It goes up to the newest checkpoint; the job itself is not affected. Exit status 1 if the digests differ.
    """
    with connection.open() as client, click.progressbar(length=1, label="replay", file=sys.stderr) as bar:

        def progress(step: int, steps: int) -> None:
            bar.length = steps
            bar.update(step - bar.pos)

        replayed = client.get(job).replay(progress)
    if as_json:
        digests = {"digest": replayed.digest, "recorded_digest": replayed.recorded_digest}
        print_json({"steps": replayed.steps, **digests, "equal": replayed.is_equal})
    else:
        pairs = [("steps", str(replayed.steps)), ("digest", replayed.digest), ("recorded", replayed.recorded_digest)]
        print_pairs([*pairs, ("equal", "yes" if replayed.is_equal else "no")])
    if not replayed.is_equal:
        raise SystemExit(1)
