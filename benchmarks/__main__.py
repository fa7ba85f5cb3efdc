"""Every benchmark, one after the other: `python -m benchmarks`. One JSON document, by benchmark."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = (
    "network",
    "training",
    "exchange_free",
    "exchange",
    "clusters",
    "nodes",
    "start_up",
    "from_python",
    "predict",
    "transfer",
    "elastic",
    "straggler",
    "consistency",
    "recording",
    "gradient_health",
    "clipping",
    "codec",
    "local_steps",
    "adam",
    "memory",
    "reading",
    "large_data",
    "scrape",
    "recurrent",
    "attention",
    "depthwise",
    "embedding",
    "portable",
    "probe",
)


def main() -> None:
    documents = {}
    for name in BENCHMARKS:
        script = Path(__file__).with_name(f"{name}.py")
        done = subprocess.run([sys.executable, script, *sys.argv[1:]], stdout=subprocess.PIPE, check=True)
        documents[name] = json.loads(done.stdout)
    print(json.dumps(documents, indent=2))


if __name__ == "__main__":
    main()
