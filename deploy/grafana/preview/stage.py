"""Something to look at: a service that trains examples, and a Prometheus with the shipped configuration."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "deploy" / "prometheus"
START_SECONDS = 30.0
STOP_SECONDS = 40.0
"""So long a process may take to start, and to stop."""


class StageError(Exception):
    """What the pictures need does not start."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the service and Prometheus are, and the service's process id."""

    service: str
    prometheus: str
    process: int


@contextmanager
def stage(folder: Path, slots: int = 6) -> Iterator[Stage]:
    """A running service and its Prometheus, which both end with the context. Raises StageError."""
    with ExitStack() as stack:
        service, metrics = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
        addresses = ("--address", service, "--metrics-address", metrics)
        command = [sys.executable, "-m", "raydient.client.cli", "serve", "--state", str(folder / "state")]
        process = stack.enter_context(_process([*command, *addresses, "--slots", str(slots)], folder / "service.log"))
        _await(f"http://{metrics}/metrics", folder / "service.log")
        url = stack.enter_context(_prometheus(folder, metrics))
        yield Stage(service, url, process)


@contextmanager
def _prometheus(folder: Path, metrics: str) -> Iterator[str]:
    """The shipped configuration with nothing changed but the target."""
    program = shutil.which("prometheus")
    if program is None:
        raise StageError("prometheus is missing: apt-get install prometheus")
    config = shutil.copytree(SHIPPED, folder / "prometheus")
    (config / "targets" / "raydient.yml").write_text(yaml.safe_dump([{"targets": [metrics]}]), encoding="utf-8")
    listen = f"127.0.0.1:{_free_port()}"
    options = (f"--config.file={config}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
    with _process([program, *options, f"--web.listen-address={listen}"], folder / "prometheus.log"):
        _await(f"http://{listen}/-/ready", folder / "prometheus.log")
        yield f"http://{listen}"


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[int]:
    """Its process id."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310
                return
        except OSError as error:
            if time.monotonic() > end:
                raise StageError(f"nothing answers at {url}: {log.read_text(errors='replace')[-500:]}") from error
            time.sleep(0.1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
