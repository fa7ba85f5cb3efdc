"""Upload of a dataset and download of a model against bare grpcio with the same chunks, and the service's memory.

Two peers send chunks of the same size to a server, or receive them from one, in two processes. One counts the bytes.
The other reads them from a file and writes them to one, which is durable in the end; ours does that too, and computes
SHA-256 on both sides.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np
from comparison import Comparison, Measurement, Options, print_document, rounded
from service import resident_bytes, serving

from raydient.client import Client, Job

CHUNK = 1 << 20
FLOOR = 0.5
SLACK_MIB = 100
"""Growth of the service's memory above which it is not flat."""


def serve_bare() -> None:
    """The server of the peers: prints its port, and ends when its standard input does."""

    def sink(chunks: Iterator[bytes], _: grpc.ServicerContext) -> bytes:
        return str(sum(map(len, chunks))).encode()

    def source(request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        chunk = bytes(CHUNK)
        return (chunk for _ in range(int(request) // CHUNK))

    def file_sink(chunks: Iterator[bytes], _: grpc.ServicerContext) -> bytes:
        return str(write_durably(Path(next(chunks).decode()), chunks)).encode()

    def file_source(request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        return read_chunks(Path(request.decode()))

    server = grpc.server(ThreadPoolExecutor(2))
    methods = {
        "Up": grpc.stream_unary_rpc_method_handler(sink),
        "Down": grpc.unary_stream_rpc_method_handler(source),
        "UpFile": grpc.stream_unary_rpc_method_handler(file_sink),
        "DownFile": grpc.unary_stream_rpc_method_handler(file_source),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Bare", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()


def write_durably(path: Path, chunks: Iterable[bytes]) -> int:
    """Write a file, and return its size."""
    with path.open("wb") as file:
        size = sum(map(file.write, chunks))
        file.flush()
        os.fsync(file.fileno())
    return size


def read_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def write_data(path: Path, size: int) -> None:
    """Random bytes in an NPZ file of about this size; every call writes others, because equal content is sent once."""
    rows = size // (4 * 1024)
    x = np.frombuffer(os.urandom(4 * 1024 * rows), np.uint32).reshape(rows, 1024)
    np.savez(path, x=(x >> 8).astype(np.float32) / 2**24, y=np.zeros(rows, np.int64))


def upload(client: Client, folder: Path, size: int) -> Measurement:
    path = folder / "data.npz"
    write_data(path, size)
    bytes_ = path.stat().st_size
    began = time.perf_counter()
    stored = client.upload_dataset(path)
    seconds = time.perf_counter() - began
    client.delete_dataset(stored.name)
    return {"mib_per_second": bytes_ / seconds / 2**20}


def download(job: Job, folder: Path) -> Measurement:
    began = time.perf_counter()
    done = job.download(folder / "model.safetensors")
    return {"mib_per_second": done.size_bytes / (time.perf_counter() - began) / 2**20}


def bare(channel: grpc.Channel, size: int, *, up: bool) -> Measurement:
    count = max(1, size // CHUNK)
    chunk = bytes(CHUNK)
    began = time.perf_counter()
    if up:
        received = int(channel.stream_unary("/bare.Bare/Up")(chunk for _ in range(count)))
    else:
        received = sum(map(len, channel.unary_stream("/bare.Bare/Down")(str(count * CHUNK).encode())))
    seconds = time.perf_counter() - began
    if received != count * CHUNK:
        raise RuntimeError(f"{received} bytes arrived of {count * CHUNK}")
    return {"mib_per_second": received / seconds / 2**20}


def bare_file(channel: grpc.Channel, folder: Path, size: int, *, up: bool) -> Measurement:
    source, target = folder / "source", folder / "target"
    source.write_bytes(os.urandom(size))
    target.unlink(missing_ok=True)
    began = time.perf_counter()
    if up:
        received = int(channel.stream_unary("/bare.Bare/UpFile")(chain([str(target).encode()], read_chunks(source))))
    else:
        received = write_durably(target, channel.unary_stream("/bare.Bare/DownFile")(str(source).encode()))
    seconds = time.perf_counter() - began
    if received != size:
        raise RuntimeError(f"{received} bytes arrived of {size}")
    return {"mib_per_second": received / seconds / 2**20}


def large_model(client: Client, folder: Path, size: int) -> Job:
    """A job whose model has about this size, trained for one step."""
    write_data(folder / "small.npz", 64 * 4096)
    units = max(1, size // (4 * 1024))
    network = {"layers": [{"dense": {"units": units}}, {"dense": {"units": 1}}], "loss": "mean_squared_error"}
    job = {
        "dataset": {"split": {"test": 0.0}},
        "network": network,
        "training": {"epochs": 1, "batch_size": 64, "max_steps": 1},
        "monitoring": {"gradient_health_every": 0},
        "resources": {"workers": 1},
    }
    return client.submit(job, folder / "small.npz").wait()


def main() -> None:
    options = Options.parse(__doc__, 5)
    size = options.size(256, 1) << 20
    command = [sys.executable, __file__, "--bare"]
    with (
        TemporaryDirectory(prefix="raydient-benchmark-") as directory,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer,
        serving() as (client, _, process),
    ):
        assert peer.stdout is not None
        folder = Path(directory)
        channel = grpc.insecure_channel(f"127.0.0.1:{int(peer.stdout.readline())}")
        job = large_model(client, folder, size)
        before = resident_bytes(process)
        comparison = Comparison(
            options,
            {
                "upload": lambda: upload(client, folder, size),
                "upload, grpcio": lambda: bare(channel, size, up=True),
                "upload, grpcio with files": lambda: bare_file(channel, folder, size, up=True),
                "download": lambda: download(job, folder),
                "download, grpcio": lambda: bare(channel, size, up=False),
                "download, grpcio with files": lambda: bare_file(channel, folder, size, up=False),
            },
        )
        comparison.run()
        grown = (resident_bytes(process) - before) / 2**20
        channel.close()
        peer.communicate()
    for what in ("upload", "download"):
        for other in ("grpcio with files", "grpcio"):
            comparison.ratio("mib_per_second", what, f"{what}, {other}", at_least=FLOOR)
    memory = {"service_memory_growth_mib": rounded(grown), "at_most": SLACK_MIB, "kept": grown <= SLACK_MIB}
    print_document(comparison.document("transfer", memory=memory))


if __name__ == "__main__":
    if sys.argv[1:] == ["--bare"]:
        serve_bare()
    else:
        main()
