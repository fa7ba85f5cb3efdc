"""Mutated calls to every method of a service that holds jobs, models and datasets.

By hand, with a number of calls and a seed: `python -m tests.api.fuzz 100000 7`.
"""

import io
import logging
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc
import numpy as np
from google.protobuf import descriptor_pool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from raydient.server.app import Settings
from raydient.server.training.preparation import check
from raydient.spec.network import Network
from raydient.v1 import dataset_service_pb2, model_service_pb2, training_service_pb2
from raydient.workers.network import Model, Preprocessing, Target, build, save_model
from tests.conftest import FakeRunner

from .conftest import CSV, Client, Served
from .mutation import Mutations, outcome, reveals_internals

BAD = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED}
THREADS = 4
SPARE = 10
LAYERS = [
    {"dense": {"units": 3, "activation": {"relu": {}}}},
    {"dropout": {"rate": 0.5}},
    {"embedding": {"input_dim": 9, "output_dim": 2}},
    {"conv2d": {"filters": 2, "kernel_size": [3, 3]}},
    {"reshape": {"shape": [2, 1]}},
    {"lstm": {"units": 2}},
    {"batch_normalization": {}},
]


@dataclass(frozen=True)
class Known:
    """The content of a service for fuzzing: names and page tokens, names to delete, valid requests by message."""

    names: tuple[str, ...]
    spare: tuple[str, ...]
    seeds: dict[str, list[Message]]


def every_method(channel):
    """Methods of all services that the server lists by reflection."""
    pool = descriptor_pool.Default()
    for service in sorted(ProtoReflectionDescriptorDatabase(channel).get_services()):
        yield from pool.FindServiceByName(service).methods


def furnish(served, runner):
    """Make jobs in several states, models and datasets."""
    client = served.client
    npz = io.BytesIO()
    np.savez(npz, x=np.zeros((4, 2), np.float32), y=np.arange(4))
    datasets = [client.upload().name, client.upload(npz.getvalue(), "digits.npz").name]
    parts = {"labels": {"a": "b"}, "training": {"batch_size": 1}}
    jobs = [client.create(display_name=str(number), **parts).name for number in range(3)]
    spare = [client.create(**parts).name for _ in range(SPARE)]
    spec = Network.model_validate({"layers": [{"dense": {"units": 3}}], "loss": "softmax_cross_entropy"})
    weights = np.arange(build(spec, (2,)).layout.size, dtype=np.float32)
    run = runner.next()
    run.begin()
    run.request.directory.mkdir(exist_ok=True)
    model = Model.plain(spec, Preprocessing((2,), ("a", "b"), is_table=True), weights, Target("y", ()))
    save_model(run.request.directory / "model.safetensors", model)
    run.succeed(model.digest)
    runner.next().begin()
    list_jobs = training_service_pb2.ListTrainingJobsRequest(page_size=1)
    list_datasets = dataset_service_pb2.ListDatasetsRequest(page_size=1)
    tokens = [
        client.training.ListTrainingJobs(list_jobs).next_page_token,
        client.datasets.ListDatasets(list_datasets).next_page_token,
    ]
    return Known((*jobs, *datasets, *tokens), tuple(spare), _seeds(jobs, datasets, tokens))


def _seeds(jobs, datasets, tokens):
    every = [
        training_service_pb2.ListTrainingJobsRequest(page_size=1, page_token=tokens[0]),
        dataset_service_pb2.ListDatasetsRequest(page_size=1, page_token=tokens[1]),
        training_service_pb2.WatchTrainingJobRequest(name=jobs[0], after_sequence=1),
        training_service_pb2.ScaleTrainingJobRequest(name=jobs[1], workers=2),
        ParseDict(
            {
                "training_job": {"name": jobs[1], "spec": {"training": {"epochs": 9}}},
                "update_mask": "spec.training.epochs",
            },
            training_service_pb2.UpdateTrainingJobRequest(),
        ),
        training_service_pb2.ListMetricsRequest(parent=jobs[0], page_size=3),
        model_service_pb2.ListCheckpointsRequest(parent=jobs[0]),
        model_service_pb2.DownloadModelRequest(name=jobs[0], offset=5),
    ]
    inputs = {"shape": [2, 2], "values": [1, 2, 3, 4]}
    for predict in [{"inputs": inputs}, {"inputs": inputs, "columns": ["b", "a"]}, {"arrays": {"input": inputs}}]:
        every.append(ParseDict({"name": jobs[0], **predict}, model_service_pb2.PredictRequest()))
    for dataset in datasets:
        for layer in LAYERS:
            spec = {
                "dataset": {"uri": dataset, "label": "y", "split": {"test": 0.2}},
                "network": {"layers": [layer, {"dense": {"units": 3}}], "loss": {"softmax_cross_entropy": {}}},
                "training": {"epochs": 1, "batch_size": 2, "optimizer": {"adam": {"learning_rate": 0.1}}},
            }
            request = {"spec": spec, "validate_only": True}
            every.append(ParseDict(request, training_service_pb2.CreateTrainingJobRequest()))
    content = {"size_bytes": len(CSV), "sha256": "0" * 64}
    header = dataset_service_pb2.UploadDatasetHeader(file_name="d.csv", **content, offset=0)
    every.append(dataset_service_pb2.GetDatasetUploadRequest(**content))
    every.append(dataset_service_pb2.UploadDatasetRequest(header=header))
    every.append(dataset_service_pb2.UploadDatasetRequest(chunk=CSV))
    seeds = {}
    for message in every:
        seeds.setdefault(message.DESCRIPTOR.full_name, []).append(message)
    return seeds


def fuzz(address, methods, known, calls, seed):
    """Make mutated calls, the methods in turn. Returns the counts by method and code, and the wrong answers."""

    def hammer(worker):
        random = Random(f"{seed}/{worker}")
        gentle = Mutations(random, (*known.names, *known.spare), known.seeds)
        harsh = Mutations(random, known.spare)
        codes, wrong = Counter(), []
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            for number in range(worker, calls, THREADS):
                method = methods[number // THREADS % len(methods)]
                ends = method.name.startswith(("Delete", "Cancel"))
                requests = (harsh if ends else gentle).requests(method)
                code, text = outcome(channel, method, requests)
                codes[method.full_name, code.name] += 1
                if code in BAD or reveals_internals(text):
                    wrong.append((method.full_name, code.name, text, requests))
        return codes, wrong

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(hammer, range(THREADS)))
    return sum((codes for codes, _ in results), Counter()), [one for _, wrong in results for one in wrong]


def main(calls, seed):
    """Print the counts by method and code, and the wrong answers. Returns the exit status."""
    logged = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: logged.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")
    logging.getLogger().addHandler(handler)
    with tempfile.TemporaryDirectory() as folder:
        runner = FakeRunner(obedient=False)
        settings = Settings("127.0.0.1:0", "127.0.0.1:0", Path(folder) / "state")
        served = Served(
            settings,
            runner,
            lambda spec, dataset, call, validation, kept: check(
                spec, dataset, validation=validation, jobs=Path(folder) / "state" / "jobs", kept=kept
            ),
        )
        with closing(served), grpc.insecure_channel(served.running.address) as channel:
            served.client = Client(channel)
            methods = list(every_method(channel))
            begin = time.monotonic()
            codes, wrong = fuzz(served.running.address, methods, furnish(served, runner), calls, seed)
            seconds = time.monotonic() - begin
    for (method, code), count in sorted(codes.items()):
        sys.stdout.write(f"{count:7} {code:20} {method}\n")
    for method, code, text, requests in wrong[:20]:
        sys.stdout.write(f"WRONG {method} {code} {text}\n      {[request[:200] for request in requests]}\n")
    for line in logged[:20]:
        sys.stdout.write(f"LOG {line[:600]}\n")
    sys.stdout.write(f"{codes.total()} calls, {len(wrong)} wrong, {len(logged)} warnings, {seconds:.0f} s\n")
    return 1 if wrong or logged else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
