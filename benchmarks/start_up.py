"""Seconds from the command `raydient train examples/digits.yaml` to its first steps and to its end."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from comparison import Comparison, Measurement, Options, print_document

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.yaml"
TARGET_SECONDS = 2.0


def run_command() -> Measurement:
    """Run it once. The first thing that it tells is an epoch's end, a dozen steps after the first: an upper bound."""
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        model = Path(directory) / "digits.safetensors"
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "raydient.client.cli", "train", EXAMPLE, "--output", model],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "XDG_STATE_HOME": directory},
            text=True,
        )
        assert process.stderr is not None
        line = next((line for line in process.stderr if line.startswith("epoch")), None)
        first = time.perf_counter() - began
        process.communicate()
        end = time.perf_counter() - began
    if process.returncode or line is None:
        raise RuntimeError(f"the command ended with status {process.returncode}")
    return {"first_epoch_seconds": first, "end_seconds": end}


def main() -> None:
    options = Options.parse(__doc__, 7)
    comparison = Comparison(options, {"raydient train": run_command})
    comparison.run()
    seconds = comparison.median("raydient train", "first_epoch_seconds")
    print_document(comparison.document("start_up", target_seconds=TARGET_SECONDS, kept=seconds <= TARGET_SECONDS))


if __name__ == "__main__":
    main()
