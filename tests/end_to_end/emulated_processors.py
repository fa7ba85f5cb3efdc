"""`python -m tests.end_to_end.emulated_processors [MODEL ...]` trains the small jobs on processors that QEMU emulates.

It needs `qemu-x86_64` (Debian's package qemu-user) and takes about 10 s for each model. It prints one JSON document and
returns 1 if a model has other digests than this processor, all of them as processes of a portable job.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from raydient.server.clusters.member import environment

MODELS = ("Haswell-v4", "Broadwell-v4", "Skylake-Client-v4", "EPYC", "EPYC-Milan", "max")
"""Models with AVX2 and FMA3. QEMU emulates no AVX-512: `-cpu` of a model with it warns and does without."""


def digests(emulator: list[str]) -> dict[str, str]:
    done = subprocess.run(
        [*emulator, sys.executable, "-m", "tests.end_to_end.small_jobs"],
        env={**os.environ, **environment(portable=True)},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main(models: list[str]) -> int:
    if shutil.which("qemu-x86_64") is None:
        sys.exit("qemu-x86_64 is missing: apt-get install qemu-user")
    own = digests([])
    equal = {model: digests(["qemu-x86_64", "-cpu", model]) == own for model in models}
    json.dump({"digests": own, "equal": equal}, sys.stdout, indent=2)
    return 0 if all(equal.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(MODELS)))
