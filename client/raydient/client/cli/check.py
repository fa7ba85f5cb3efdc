"""`raydient check`: validates a job file, prints its layers and checks its gradients."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .failures import FAILED, WRONG_USAGE, Failure, reading
from .options import debug_option, job_file, json_option, need_packages, need_writable
from .output import echo, print_json, print_table

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    from raydient.server.training.preparation import Prepared
    from raydient.workers.network import GradientReport, ParameterCheck

HELD_OUT_HELP = "File for the numbers of the rows that are held out, from 1, as CSV."
ROWS = 8
"""Samples of the training part that the gradient check runs on."""


@click.command()
@job_file
@click.option("--held-out", metavar="ROWS.csv", type=click.Path(dir_okay=False, path_type=Path), help=HELD_OUT_HELP)
@json_option
@debug_option
def check(*, job: Path, held_out: Path | None, as_json: bool) -> int:
    """Validate a job, print its layer table and check its gradients.

    Reads the data but starts no process. The gradient check compares backpropagation with difference quotients in
    float64, on a few of the job's own samples. The verdict on a parameter is right, wrong (exit status 1) or not
    resolved.
    """
    if held_out is not None:
        need_writable(held_out)
    with reading(job) as file:
        need_packages("Checking network and data", "local")
        from raydient.client.data_file import data_here
        from raydient.server.training.preparation import prepare
        from raydient.workers.network import Verdict

        data, validation = data_here(file.spec, job.parent)
        prepared = prepare(file.spec, data, validation=validation, files=job.parent)
        if held_out is not None:
            _write_rows(prepared.dataset.held_out, held_out)
        for warning in prepared.warnings:
            echo(f"warning: {warning}", err=True)
    summary = _summary(prepared)
    if not as_json:
        _show(summary)
    gradients = _check_gradients(prepared)
    summary["gradient_check"] = _gradients(gradients, min(ROWS, prepared.dataset.train.rows))
    if as_json:
        print_json(summary)
    else:
        _show_gradients(summary["gradient_check"], gradients)
    wrong = gradients.of(Verdict.WRONG)
    for one in wrong:
        echo(_difference(one), err=True)
    return FAILED if wrong else 0


def _write_rows(held_out: "NDArray[int64] | None", path: Path) -> None:
    from raydient.files import write_durably

    if held_out is None:
        raise Failure("no row of the data is held out: `dataset.validation` names other data", WRONG_USAGE)
    write_durably(path, "".join(f"{row}\n" for row in ["row", *(held_out + 1).tolist()]).encode())


def _check_gradients(prepared: "Prepared") -> "GradientReport":
    """Check the gradients on the first samples of the training part, ordered so that weight 0 comes last."""
    from raydient.workers.network import check_gradients

    data, rows = prepared.dataset.train, slice(ROWS)
    if data.weights is not None:
        rows = (data.weights == 0).argsort(kind="stable")[:ROWS]
    return check_gradients(
        prepared.network,
        {name: x[rows] for name, x in data.xs.items()},
        {name: y[rows] for name, y in data.ys.items()},
        prepared.spec.training.seed,
        weights=None if data.weights is None else data.weights[rows],
    )


def _summary(prepared: "Prepared") -> dict[str, Any]:
    from dataclasses import asdict

    from raydient.workers.network import describe

    rows = -(-prepared.schedule.batch_size // prepared.schedule.microbatches)
    layers = [asdict(row) for row in describe(prepared.network, rows)]
    return {
        "warnings": [{"path": w.path, "message": w.message} for w in prepared.warnings],
        "train_samples": prepared.dataset.train.rows,
        "test_samples": prepared.dataset.test.rows,
        "inputs": {name: list(shape) for name, shape in prepared.dataset.input_shapes.items()},
        "layers": layers,
        **{what: sum(layer[what] for layer in layers) for what in ("parameters", "learned", "operations", "bytes")},
        "microbatch_samples": rows,
        "initial_weights": _initial_weights(prepared),
        "workers": prepared.spec.resources.workers.max,
        "memory_bytes": asdict(prepared.memory),
    }


def _initial_weights(prepared: "Prepared") -> dict[str, Any] | None:
    """The parameters that begin as in another model, each with its name there, and those that do not."""
    choice = prepared.spec.training.initial_weights
    if choice is None:
        return None
    names = [parameter.name for parameter in prepared.network.layout.parameters]
    others = [name for name in names if name not in prepared.taken]
    return {"from": choice.from_, "taken": dict(prepared.taken), "initialized": others}


def _show_initial_weights(initial: dict[str, Any]) -> None:
    taken = [name if name == old else f"{name} ({old} there)" for name, old in initial["taken"].items()]
    echo(f"\nfrom {initial['from']}: {', '.join(taken)}")
    if initial["initialized"]:
        echo(f"by their initializers: {', '.join(initial['initialized'])}")


def _gradients(gradients: "GradientReport", samples: int) -> dict[str, Any]:
    parameters = [
        {
            "name": p.name,
            "result": p.verdict.value,
            "reason": p.reason,
            "values": p.entries,
            "largest_relative_error": _finite(p.largest_error),
        }
        for p in gradients.parameters
    ]
    worst = _worst(gradients)
    return {
        "result": gradients.verdict.value,
        "samples": samples,
        "largest_relative_error": _finite(worst.largest_error) if worst else None,
        "parameters": parameters,
    }


def _worst(gradients: "GradientReport") -> "ParameterCheck | None":
    """The parameter with the largest error; None if nothing was compared."""
    return max((p for p in gradients.parameters if p.entries), key=lambda p: p.largest_error, default=None)


def _finite(value: float) -> float | None:
    """Return a number, or None if it is not finite, which JSON cannot express."""
    return value if math.isfinite(value) else None


def _show(summary: dict[str, Any]) -> None:
    echo(f"{summary['train_samples']} samples to train on, {summary['test_samples']} held out\n")
    layers, inputs = summary["layers"], summary["inputs"]
    before = [tuple(inputs), *((layer["name"],) for layer in layers)]
    is_chain = all(layer["inputs"] == one for layer, one in zip(layers, before, strict=False))
    rows = [["LAYER", "KIND", "INPUTS", "OUTPUT", "PARAMETERS", "OPERATIONS", "BYTES"]]
    rows += [[name, "", "", _shape(shape), "", "", ""] for name, shape in inputs.items()]
    for layer in layers:
        rows.append([layer["name"], _kind(layer), ", ".join(layer["inputs"]), _shape(layer["output_shape"])])
        rows[-1] += _numbers(layer)
    rows.append(["total", "", "", "", *_numbers(summary)])
    header, *table = [row[:2] + row[3:] for row in rows] if is_chain else rows
    print_table(header, table)
    if summary["learned"] < summary["parameters"]:
        echo(f"\n{summary['learned']:,} of the parameters are learned; others are frozen, or running statistics")
    echo(
        "\noperations: additions and multiplications forward, for one sample"
        f"\nbytes: parameters, gradients, and what backward needs, "
        f"for {summary['microbatch_samples']} samples at a time"
    )
    if summary["initial_weights"]:
        _show_initial_weights(summary["initial_weights"])
    echo(f"\nmemory: {_memory(summary['memory_bytes'], summary['workers'])}")


def _memory(memory: dict[str, Any], workers: int) -> str:
    """The estimated memory of a job on one machine, by process."""
    from raydient.server.training.memory import MemoryEstimate, listed
    from raydient.workers.data.limits import size_text

    estimate = MemoryEstimate(**memory)
    total = size_text(estimate.on_one_machine(workers))
    return f"about {total} on one machine: {listed(estimate, workers)}"


def _show_gradients(check: dict[str, Any], gradients: "GradientReport") -> None:
    compared = [p for p in gradients.parameters if p.entries]
    values = sum(p.entries for p in compared)
    text = f"\ngradient check: {gradients.verdict.value.replace('_', ' ')}, on {check['samples']} samples"
    text += f"; compared {values} values of {len(compared)} parameters"
    if worst := _worst(gradients):
        text += f", largest relative error {worst.largest_error:.1e}, {_place(worst)}"
    echo(text)
    for p in gradients.parameters:
        if p.reason:
            echo(f"{p.name} is not resolved: {p.reason}")


def _difference(p: "ParameterCheck") -> str:
    return f"backpropagation is wrong: {_place(p)} is {p.backward:.6g}, the difference quotient {p.quotient:.6g}"


def _place(p: "ParameterCheck") -> str:
    return f"{p.name}[{', '.join(map(str, p.place))}]"


def _kind(layer: dict[str, Any]) -> str:
    if layer["shares"]:
        return f"{layer['kind']} of {layer['shares']}"
    return f"{layer['kind']}, frozen" if layer["frozen"] else str(layer["kind"])


def _numbers(counts: dict[str, Any]) -> list[str]:
    return [f"{counts[what]:,}" for what in ("parameters", "operations", "bytes")]


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
