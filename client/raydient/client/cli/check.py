"""`raydient check`: is the job file right, what does the network look like, are its derivatives right."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .failures import FAILED, Failure, reading
from .options import debug_option, job_file, json_option, need_server
from .output import print_json, print_table

if TYPE_CHECKING:
    from raydient.server.training.preparation import Prepared
    from raydient.workers.network import GradientReport

ROWS = 8
"""Samples of the training part that the gradient check runs on."""


@click.command()
@job_file
@json_option
@debug_option
def check(*, job: Path, as_json: bool) -> None:
    """Validate a job, print its layer table and check its gradients.

    Reads the data too. The gradient check compares backpropagation with the difference quotient in float64, on a few
    of the job's own samples.
    """
    with reading(job) as file:
        need_server("Checking network and data")
        from raydient.client.data_file import data_here
        from raydient.server.training.preparation import prepare
        from raydient.workers.network import check_gradients

        prepared = prepare(file.spec, data_here(file.spec, job.parent))
    data = prepared.dataset.train
    xs = {name: x[:ROWS] for name, x in data.xs.items()}
    ys = {name: y[:ROWS] for name, y in data.ys.items()}
    gradients = check_gradients(prepared.network, xs, ys, file.spec.training.seed)
    found = _found(prepared, gradients)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not gradients.passed:
        wrong = ", ".join(p.name for p in gradients.parameters if not p.passed)
        raise Failure(f"backpropagation is wrong for {wrong}", FAILED, "WRONG_GRADIENT")


def _found(prepared: "Prepared", gradients: "GradientReport") -> dict[str, Any]:
    from raydient.workers.network import describe

    rows = -(-prepared.schedule.batch_size // prepared.schedule.microbatches)
    layers = [
        {"name": row.name, "kind": row.kind, "output_shape": list(row.output_shape), "parameters": row.parameters}
        for row in describe(prepared.network, rows)
    ]
    return {
        "train_samples": prepared.dataset.train.rows,
        "test_samples": prepared.dataset.test.rows,
        "inputs": {name: list(shape) for name, shape in prepared.dataset.input_shapes.items()},
        "layers": layers,
        "parameters": sum(layer["parameters"] for layer in layers),
        "gradient_check": {"passed": gradients.passed, "largest_relative_error": gradients.largest_error},
    }


def _show(found: dict[str, Any]) -> None:
    click.echo(f"{found['train_samples']} samples to train on, {found['test_samples']} held out\n")
    rows = [[name, "", _shape(shape), ""] for name, shape in found["inputs"].items()]
    rows += [[x["name"], x["kind"], _shape(x["output_shape"]), f"{x['parameters']:,}"] for x in found["layers"]]
    print_table(["layer", "kind", "output", "parameters"], [*rows, ["total", "", "", f"{found['parameters']:,}"]])
    error = found["gradient_check"]["largest_relative_error"]
    click.echo(f"\ngradient check: largest relative error {error:.1e}")


def _shape(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
