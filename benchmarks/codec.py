"""Codecs of the exchange over TCP: samples per second of an mlp, and accuracy on digits, against float32.

On Linux the contenders at 1 Gbit/s run in a network namespace whose loopback has that rate for both directions
together, as a link between a node with the workers and one with the server. That takes root or user namespaces, `ip`
and `tc`; without these they are left out. The loopback itself is as fast as memory, so there a codec costs more than it
gains.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, Options, Peer, print_document
from workload import EPOCHS, FEWEST_EPOCHS, WORKERS, job, pace_of_training, write_data

from raydient.server.embedded import train
from raydient.server.training.reports import EpochEnded, Report
from raydient.spec.exchange import Exchange
from raydient.spec.job import JobSpec
from raydient.spec.reading import read_job_file

CODECS = ("none", "int8", "bfloat16", "top_k")
RATE = "samples_per_second"
ACCURACY = "digits_accuracy_percent"
SEEDS = 5
EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.yaml"
LINK = "ip link set lo up && tc qdisc add dev lo root tbf rate 1gbit burst 512kb limit 32mb && exec "
"""The limit is the length of the queue, which holds a gradient."""


def linked() -> Sequence[str] | None:
    """The beginning of a command that runs in a namespace with the link, without the command; None if there is none."""
    if sys.platform != "linux" or not all(map(shutil.which, ("unshare", "ip", "tc"))):
        return None
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    prefix = ["unshare", "--net", *own, "sh", "-c", LINK + '"$0" "$@"']
    return prefix if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0 else None


def with_codec(spec: JobSpec, codec: str) -> JobSpec:
    return spec.model_copy(update={"exchange": Exchange.model_validate({"codec": codec})})


def pace(prefix: Sequence[str], codec: str, epochs: int) -> Measurement:
    """Train in a process of its own, which may be in another network namespace."""
    command = [*prefix, sys.executable, __file__, codec, str(epochs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: Measurement = json.loads(done.stdout.splitlines()[-1])
    return {**result, ACCURACY: accuracy(codec, SEEDS if epochs > FEWEST_EPOCHS else 1)}


def train_over_tcp(codec: str, epochs: int) -> None:
    """Print the pace of training."""
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data)
        spec = with_codec(job(data, WORKERS, epochs=epochs), codec)
        measured = pace_of_training(spec, data, transport="tcp")
    phases = {f"{phase}_ms": value for phase, value in measured.phases_ms.items()}
    print(json.dumps({RATE: measured.samples_per_second, "step_ms": measured.step_ms, **phases}))


@cache
def accuracy(codec: str, seeds: int) -> float:
    """Mean accuracy on the held-out part of the digits, over seeds; the same in each round."""
    return mean(100 * accuracy_of(with_codec(read_job_file(EXAMPLE), codec), seed) for seed in range(seeds))


def accuracy_of(spec: JobSpec, seed: int) -> float:
    epochs: list[EpochEnded] = []

    def hear(report: Report) -> None:
        if isinstance(report, EpochEnded):
            epochs.append(report)

    seeded = spec.model_copy(update={"training": spec.training.model_copy(update={"seed": seed})})
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        train(seeded, EXAMPLE.with_name(spec.dataset.uri), directory=Path(directory), report=hear)
    return float(epochs[-1].metrics["test"]["accuracy"])


def main() -> None:
    options, link = Options.parse(__doc__, 5), linked()
    epochs = options.size(EPOCHS, FEWEST_EPOCHS)
    tried = CODECS[1:2] if options.smallest else CODECS
    contenders = {f"{codec}, loopback": partial(pace, [], codec, epochs) for codec in tried}
    if link is not None:
        distant = CODECS[:3] if options.smallest else CODECS
        contenders |= {f"{codec}, 1 Gbit/s": Peer(partial(pace, link, codec, epochs)) for codec in distant}
    comparison = Comparison(options, contenders)
    comparison.run()
    for place, least in (("1 Gbit/s", 1.15), ("loopback", None)):
        for codec in CODECS[1:]:
            if f"{codec}, {place}" in contenders:
                bound = {"at_least": least} if least and codec == "int8" else {}
                comparison.ratio(RATE, f"{codec}, {place}", f"none, {place}", **bound)
    for codec in CODECS[1:]:
        least = 0.99 if codec == "top_k" else 0.997
        comparison.ratio(ACCURACY, f"{codec}, loopback", "none, loopback", at_least=least)
    print_document(comparison.document("codec", link=link is not None))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CODECS:
        train_over_tcp(sys.argv[1], int(sys.argv[2]))
    else:
        main()
