"""What happens on the stage: jobs come and go, one is scaled and loses a worker, users look around."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from raydient.client import Client, RaydientError

from .stage import ROOT, Stage

EXAMPLES = ROOT / "examples"
HEALTHY, SICK = "digits, wide", "vanishing gradient"
"""What the two long jobs are called."""
SHORT_JOBS, EVERY_SECONDS = 3, 45
"""So many jobs of some seconds are handed in together, so often."""


def perform(stage: Stage, seconds: float) -> None:
    """Let the service be used for some time.

    Two jobs train all the while, one in health and one whose gradient vanishes. The healthy one gets two workers more
    for a while and loses one by `kill -9`. Short jobs come and go and wait for room, and one fails.
    """
    begin = time.monotonic()
    with Client(stage.service) as client:
        healthy = client.submit(_healthy(), directory=EXAMPLES)
        client.submit(_sick(), directory=EXAMPLES / "sick")
        client.submit(EXAMPLES / "sick" / "not_finite.yaml")
        grow, lose, shrink = (round(share * seconds) for share in (0.4, 0.6, 0.75))
        for turn in range(round(seconds)):
            time.sleep(max(0.0, begin + turn - time.monotonic()))
            if turn % EVERY_SECONDS == EVERY_SECONDS - 15:
                for _ in range(SHORT_JOBS):
                    client.submit(EXAMPLES / "digits.yaml")
            if turn in (grow, shrink):
                healthy.scale(4 if turn == grow else 2)
            if turn == lose:
                _lose_a_worker(stage)
            _look_around(client, turn)


def _look_around(client: Client, turn: int) -> None:
    """What users do: look at jobs, now and then at one that there is not."""
    for job in list(client.list())[:3]:
        job.refresh()
    if turn % 20 == 7:
        try:
            client.get("jobs/000000000000")
        except RaydientError:
            return


def _lose_a_worker(stage: Stage) -> None:
    """`kill -9` of the worker that was started first, one of the healthy job."""
    workers = [process for process in _descendants(stage.process) if _is_worker(process)]
    if workers:
        os.kill(min(workers), signal.SIGKILL)


def _descendants(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _descendants(child)


def _is_worker(process: int) -> bool:
    return Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").endswith(b"member\0worker")


def _healthy() -> dict[str, Any]:
    """The example that learns, made large and slow enough to be watched for minutes."""
    job = _example("digits.yaml")
    hidden = {"dense": {"units": 384, "activation": "relu"}}
    job["display_name"] = HEALTHY
    job["network"]["layers"] = [hidden, hidden, {"dense": {"units": 10}}]
    job["training"] |= {"epochs": 4_000, "optimizer": {"adam": {"learning_rate": 4e-6}}}
    return job


def _sick() -> dict[str, Any]:
    """The example with ten layers of the logistic function, for as long."""
    job = _example("sick/vanishing_gradient.yaml")
    job["training"]["epochs"] = 8_000
    return {**job, "display_name": SICK}


def _example(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8")))
