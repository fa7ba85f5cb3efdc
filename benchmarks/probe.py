"""The cost of the probe that each process of a job computes before it joins: the first call in a new process.

The process has loaded NumPy and the network engine before, as a worker has. `strict` and `portable` are the values of
`training.numerics`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from comparison import Comparison, Measurement, Options, print_document

from raydient.server.clusters.member import environment

AT_MOST_MS = 20.0
FIRST_CALL = """
import json, time
import raydient.workers.network
began, began_cpu = time.perf_counter(), time.process_time()
from raydient.workers.probe import probe
probe()
wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
print(json.dumps({"probe_ms": 1e3 * wall, "cpu_ms": 1e3 * cpu}))
"""


def first_call(*, portable: bool) -> Measurement:
    variables = {**os.environ, **environment(portable=portable)}
    command = [sys.executable, "-c", FIRST_CALL]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=variables)
    measured: Measurement = json.loads(done.stdout)
    return measured


def main() -> None:
    options = Options.parse(__doc__, 15)
    contenders: dict[str, Callable[[], Measurement]] = {
        "strict": partial(first_call, portable=False),
        "portable": partial(first_call, portable=True),
    }
    comparison = Comparison(options, contenders)
    comparison.run()
    kept = all(comparison.median(name, "probe_ms") <= AT_MOST_MS for name in contenders)
    print_document(comparison.document("probe", at_most_ms=AT_MOST_MS, kept=kept))


if __name__ == "__main__":
    main()
