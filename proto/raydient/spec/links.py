"""Rules between the data and the network of a job.

An output predicts every label, every output has a loss, and only labels that are measured are standardized.
"""

from collections.abc import Iterator

from .errors import FieldError
from .job import JobSpec
from .losses import STANDARDIZED


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
        yield from _standardized(job)


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


def _standardized(job: JobSpec) -> Iterator[FieldError]:
    dataset = job.dataset
    setting = "standardize_label" if dataset.standardize_label else "standardize_labels"
    for output in job.network.named_outputs:
        kind = output.loss.kind
        if dataset.standardizes(output.label) and kind not in STANDARDIZED:
            of = f'of the label "{output.label}" ' if dataset.labels else ""
            several = setting == "standardize_label" and len(dataset.labels) > 1
            mend = "name the other labels in `standardize_labels` instead" if several else "leave it out"
            message = f"the loss {of}is {kind}, and only labels of {', '.join(STANDARDIZED)} have a scale: {mend}"
            yield FieldError(f"dataset.{setting}", message)
