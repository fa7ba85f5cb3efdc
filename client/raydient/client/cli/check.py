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
    data = prepared.dataset
    gradients = check_gradients(prepared.network, data.train_x[:ROWS], data.train_y[:ROWS], file.spec.training.seed)
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
        "train_samples": len(prepared.dataset.train_x),
        "test_samples": len(prepared.dataset.test_x),
        "input_shape": list(prepared.dataset.input_shape),
        "layers": layers,
        "parameters": sum(layer["parameters"] for layer in layers),
        "gradient_check": {"passed": gradients.passed, "largest_relative_error": gradients.largest_error},
    }


def _show(found: dict[str, Any]) -> None:
    click.echo(f"{found['train_samples']} samples to train on, {found['test_samples']} held out\n")
    rows = [["input", "", _shape(found["input_shape"]), ""]]
    rows += [[x["name"], x["kind"], _shape(x["output_shape"]), f"{x['parameters']:,}"] for x in found["layers"]]
    print_table(["layer", "kind", "output", "parameters"], [*rows, ["total", "", "", f"{found['parameters']:,}"]])
    error = found["gradient_check"]["largest_relative_error"]
    click.echo(f"\ngradient check: largest relative error {error:.1e}")


def _shape(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
