"""The same job on two nodes of a Ray and on one: between nodes weights and gradients take TCP, within one none travel.

Both are Rays of several raylets on this machine, so what is compared is the way and not a network. Two workers: the
parameter server is beside the first, the second is on the other node.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, Options, print_document
from workload import EPOCHS, FEWEST_EPOCHS, WORKERS, job, pace_of_training, write_data

RATE = "samples_per_second"
OBJECT_STORE_BYTES = 80 << 20
ONE, TWO = "one node", "two nodes"


@contextmanager
def ray_of(nodes: int) -> Iterator[str]:
    """A Ray of so many nodes that hold the job's workers between them; its address."""
    from ray.cluster_utils import Cluster

    common = {"num_cpus": WORKERS // nodes, "object_store_memory": OBJECT_STORE_BYTES}
    # As a Ray that the service starts: its workers have no lower priority than the rest of the machine.
    head = {**common, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes - 1):
            cluster.add_node(**common)
        yield cluster.address
    finally:
        cluster.shutdown()


def pace_on(nodes: int, data: Path, epochs: int) -> Measurement:
    with ray_of(nodes) as address:
        spec = job(data, 2, strategy="spread", epochs=epochs)
        pace = pace_of_training(spec, data, cluster="ray", ray_address=address)
    return {RATE: pace.samples_per_second, "step_ms": pace.step_ms, **{f"{k}_ms": v for k, v in pace.phases_ms.items()}}


def main() -> None:
    options = Options.parse(__doc__, 5)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
    epochs = options.size(EPOCHS, FEWEST_EPOCHS)
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data)
        comparison = Comparison(
            options, {TWO: partial(pace_on, 2, data, epochs), ONE: partial(pace_on, 1, data, epochs)}
        )
        comparison.run()
    comparison.ratio(RATE, TWO, ONE, at_least=0.8)
    print_document(comparison.document("nodes"))


if __name__ == "__main__":
    main()
