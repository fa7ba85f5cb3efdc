"""Rules between the data and the network of a job: an output predicts every label, and every output has a loss."""

from collections.abc import Iterator

from .errors import FieldError
from .job import JobSpec


def broken_links(job: JobSpec) -> Iterator[FieldError]:
    """Yield the contradictions between the sections of a job that are visible without its data."""
    dataset, network = job.dataset, job.network
    if network.loss is None and not network.outputs:
        yield FieldError("network.loss", "is missing")
    elif network.loss is not None and network.outputs:
        yield FieldError("network.outputs", "stands instead of `loss`, each has its own: leave one of them out")
    elif network.loss is not None and dataset.labels:
        yield FieldError("dataset.labels", "needs `network.outputs`, which say what is compared with each label")
    else:
        yield from _labels(job)


def _labels(job: JobSpec) -> Iterator[FieldError]:
    labels, outputs = job.dataset.named_labels, job.network.named_outputs
    for index, output in enumerate(outputs):
        if output.label not in labels:
            message = f'"{output.label}" is no label of the dataset, there are: {", ".join(labels)}'
            yield FieldError(f"network.outputs[{index}].label", message)
    predicted = {output.label for output in outputs}
    for name in job.dataset.labels:
        if name not in predicted:
            message = "no output predicts it: name it in `network.outputs`, or leave it out"
            yield FieldError(f"dataset.labels.{name}", message)
