"""Initial weights from the file of another model, checked against the network and its data before they are read.

Weights depend on the columns, their preparation, the categories and the classes. A file of raydient records these.
For a file of another program only the names and shapes of the parameters are checked.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from raydient.spec.errors import InvalidSpec
from raydient.spec.initial_weights import InitialWeights
from raydient.spec.layers import INPUT

from .ends import input_number, is_input
from .graph import Network, Node
from .preprocessing import Preprocessing, Target
from .signature import FORMATS, Signature, read_signature


class WeightsError(ValueError):
    """A file that cannot provide the initial weights that a job asks for.

    Attributes:
        setting: path of the setting below `training.initial_weights`; empty if it is the file itself.
    """

    def __init__(self, message: str, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


def weights_to_take(network: Network, path: Path, choice: InitialWeights) -> dict[str, str]:
    """Return the parameters of `network` that a safetensors file provides, with their names in the file.

    Reads only the header.

    Raises:
        WeightsError: the file lacks a parameter that is asked for, or has it in another shape or under two names, or a
            pattern or a name does not occur.
    """
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            tensors = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"is no safetensors file that can be read: {error}") from error
    names = _renamed(tensors, choice)
    shapes = {p.name: p.shape for p in network.layout.parameters}
    wanted = chosen_parameters(network, choice)
    mend = ": leave it out by `exclude`" if choice.is_partial else ""
    if missing := [name for name in wanted if name not in names]:
        raise WeightsError(f"has no {missing[0]}{_more(missing)}, which the network needs{mend}")
    if not choice.is_partial and (unknown := sorted(names.keys() - shapes.keys())):
        raise WeightsError(f"has {unknown[0]}{_more(unknown)}, which the network does not have")
    for name in wanted:
        held, kind = tensors[names[name]]
        if held != shapes[name] or kind != "F32":
            was = f" (as {names[name]})" if names[name] != name else ""
            text = f"has {name}{was} as {kind} {list(held)}, but the network needs F32 {list(shapes[name])}{mend}"
            raise WeightsError(text)
    return {name: names[name] for name in wanted}


def _renamed(tensors: Iterable[str], choice: InitialWeights) -> dict[str, str]:
    """Return the names of tensors in the file by those in the network. Raises WeightsError."""
    there = sorted(tensors)
    for old in choice.rename:
        if not any(old in (name, name.partition(".")[0]) for name in there):
            raise WeightsError(f'has no parameter or layer "{old}", only {_few(there)}', f"rename.{old}")
    names: dict[str, str] = {}
    for old in there:
        new = choice.new_name(old)
        if new in names:
            raise WeightsError(f"has {names[new]} and {old}, which would both be {new}: rename one of them", "rename")
        names[new] = old
    return names


def chosen_parameters(network: Network, choice: InitialWeights) -> list[str]:
    """Return the parameters of the network that are taken from the file.

    Raises:
        WeightsError: a pattern matches no parameter, or no parameter is left.
    """
    names = [parameter.name for parameter in network.layout.parameters]
    for setting in ("include", "exclude"):
        for place, pattern in enumerate(getattr(choice, setting)):
            if not any(fnmatchcase(name, pattern) for name in names):
                text = f'no parameter of the network matches "{pattern}", these are {_few(names)}'
                raise WeightsError(text, f"{setting}[{place}]")
    included = [name for name in names if any(fnmatchcase(name, one) for one in choice.include or ("*",))]
    chosen = [name for name in included if not any(fnmatchcase(name, one) for one in choice.exclude)]
    if not chosen:
        text = "matches every parameter that would be taken: leave `initial_weights` out, or exclude fewer"
        raise WeightsError(text, "exclude")
    return chosen


def read_preprocessing(path: Path) -> Signature | None:
    """Read the inputs and outputs of a model from its file; None if another program wrote the file.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        return read_signature(metadata) if metadata.get("format") in FORMATS else None
    except (OSError, SafetensorError) as error:
        raise ValueError(f"is no safetensors file that can be read: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError, InvalidSpec) as error:
        raise ValueError(f"has damaged metadata: {error}") from error


def preprocessing_problems(
    start: Signature, inputs: Mapping[str, Preprocessing], targets: Mapping[str, Target]
) -> Iterator[str]:
    """Yield the differences between the data of the initial weights and of a job, each with its remedy.

    Args:
        start: inputs and outputs of the file with the weights.
        inputs: inputs of the job, by name; prepared by the figures of the file where both prepare them in the same way.
        targets: targets of outputs of the job, by name.
    """
    for name, preprocessing in inputs.items():
        if name not in start.inputs:
            yield f"has no input {name}, only {_few(list(start.inputs))}"
            continue
        yield from _input_problems(name, start.inputs[name], preprocessing)
    for name, target in targets.items():
        classes = start.targets[name].classes if name in start.targets else ()
        if classes != target.classes:
            yield (
                f"has for the output {name} the classes {_few(classes) or '0, 1, ...'}, the data of this job "
                f"{_few(target.classes) or '0, 1, ...'}: the same texts are needed"
            )
        if name in start.targets:
            yield from _label_problems(name, start.targets[name], target)


def ends_of(network: Network, chosen: Collection[str]) -> tuple[set[str], set[str]]:
    """Return the inputs and the outputs whose data decide about the meaning of these parameters.

    Those are the ends between which and the layer of such a parameter are only layers without parameters.
    """
    inputs, outputs = list(network.input_shapes), set()
    touched: set[str] = set()
    reached: list[set[str]] = []  # by node: the inputs that reach its output unchanged by parameters
    for node in network.nodes:
        sources = set().union(*({inputs[input_number(one)]} if is_input(one) else reached[one] for one in node.sources))
        if _taken(node, chosen):
            touched |= sources
        reached.append(set() if node.layer.parameters else sources)
    for output in network.outputs:
        waiting = [output.place]
        while waiting:
            node = network.nodes[waiting.pop()]
            if _taken(node, chosen):
                outputs.add(output.name)
            elif not node.layer.parameters:
                waiting += [source for source in node.sources if not is_input(source)]
    return touched, outputs


def _taken(node: Node, chosen: Collection[str]) -> bool:
    return any(f"{node.parameters_of}.{p.name}" in chosen for p in node.layer.parameters)


def _label_problems(name: str, start: Target, job: Target) -> Iterator[str]:
    if bool(start.scaling) != bool(job.scaling):
        which, needed = ("with", "true") if start.scaling else ("without", "false")
        setting = f"dataset.standardize_label has to be {needed}, or dataset.standardize_labels to say so"
        yield f"was trained {which} a standardized label for the output {name}: {setting}"


def _input_problems(name: str, start: Preprocessing, job: Preprocessing) -> Iterator[str]:
    if start.is_table != job.is_table:
        what = {True: "the columns of a table", False: "an array without names of columns"}
        kinds = f"was trained on {what[start.is_table]}, this job has {what[job.is_table]}"
        yield f"{kinds}: their order cannot be compared"
    elif start.is_image != job.is_image:
        which = {True: "images", False: "an array that is no image"}
        yield f"was trained on {which[start.is_image]}, this job has {which[job.is_image]}: the same kind is needed"
    elif start.is_table and start.columns != job.columns:
        where = "dataset.features" if name == INPUT else f"dataset.inputs.{name}.columns"
        is_order = set(start.columns) == set(job.columns)
        mend = f"name them in that order in {where}" if is_order else "the same columns are needed"
        yield f"was trained on the columns {_few(start.columns)}, this job has {_few(job.columns)}: {mend}"
    elif start.vocabulary != job.vocabulary:
        new = sorted(set(job.vocabulary) ^ set(start.vocabulary))
        yield f"has other categories than the data of this job; only one of them has {_few(new)}"
    elif start.has_buckets != job.has_buckets:
        which = {True: "with", False: "without"}
        yield (
            f"was trained {which[start.has_buckets]} buckets for missing and unknown categories, this job is "
            f"{which[job.has_buckets]}: the same dataset.inputs.{name}.buckets is needed"
        )
    elif (start.hashing, start.one_hot) != (job.hashing, job.one_hot):
        were, are = _forms(start), _forms(job)
        yield f"was trained with {were}, this job has {are}: the same dataset.inputs.{name} is needed"
    elif start.tokens != job.tokens:
        were, are = (one.tokens.kind if one.tokens else "no" for one in (start, job))
        yield (
            f"was trained with {were} tokens, this job has {are} tokens, or others: the same "
            f"dataset.inputs.{name}.text is needed, with the same vocabulary if it is named"
        )
    elif start.indicators != job.indicators:
        yield (
            f"was trained with indicators of {_few(start.indicators) or 'no column'}, this job has those of "
            f"{_few(job.indicators) or 'no column'}: the same dataset.columns.NAME.indicator are needed"
        )
    else:
        yield from _setting_problems(start, job)


def _forms(preprocessing: Preprocessing) -> str:
    """Describe how the numbers of categories are made."""
    hashing = preprocessing.hashing
    numbers = f"hashing to {hashing.buckets} buckets with the salt {hashing.salt}" if hashing else "no hashing"
    return f"{numbers} and {'one-hot vectors' if preprocessing.one_hot else 'no one-hot vectors'}"


def _setting_problems(start: Preprocessing, job: Preprocessing) -> Iterator[str]:
    """Yield the settings that differ, each with the first column that has this difference."""
    was, asked = start.settings, job.settings
    for name, absent in (
        ("date", "none"),
        ("clip", "none"),
        ("log", "false"),
        ("scale", "none"),
        ("impute", "none"),
    ):
        before, now = was.get(name, {}), asked.get(name, {})
        # a number for missing values may be added or left out: samples without missing values stay the same
        places = before.keys() & now.keys() if name == "impute" else before.keys() | now.keys()
        if not start.is_table:  # all places of an array have the same settings
            places &= {0}
        pairs = {place: (before.get(place, absent), now.get(place, absent)) for place in sorted(places)}
        differences = {
            place if name in ("date", "impute") else start.source((place,))[0]: pair
            for place, pair in reversed(pairs.items())
            if pair[0] != pair[1]
        }
        if differences:
            source, pair = min(differences.items())
            alike = sum(other == pair for other in differences.values())
            columns = () if not start.is_table or alike == len(start.columns) else (start.columns[source],)
            yield _setting_problem(name, pair, columns, alike - 1)
            if name == "date":
                return  # the features differ


def _setting_problem(name: str, pair: tuple[str, str], columns: Sequence[str], more: int) -> str:
    """Describe a setting of the file and of the job that differ, in one column and some more, or in all if none."""
    old, new = pair
    if not columns and name == "scale" and set(pair) == {"none", "standardize"}:
        was, needed = ("with", "true") if old == "standardize" else ("without", "false")
        return f"was trained {was} standardization: dataset.standardize has to be {needed}"
    setting = f"dataset.columns.{columns[0] if columns else 'NAME'}.{name}"
    if not columns and name == "impute":
        setting = "dataset.impute"
    where = f" of {_few(columns)}" if columns else " of all columns"
    where += f" and {more} more" if columns and more else ""
    needed = "left out" if name in ("clip", "date") and old == "none" else old
    return f"was trained with `{name}: {old}`{where}, this job has `{name}: {new}`: {setting} has to be {needed}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:100]) for name in names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def read_weights(network: Network, path: Path, vector: NDArray[np.float32], taken: Mapping[str, str]) -> None:
    """Fill the parameters in `vector` (layout.size,) that `weights_to_take` returned from its file."""
    views = network.layout.views(vector)
    with safe_open(path, framework="np") as file:
        for name, old in taken.items():
            views[name][...] = file.get_tensor(old)


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
