"""Finds the file of `training.initial_weights`: another job's model, or a path where paths are allowed.

A service keeps the model in the job's folder (`KEPT_FILE`) before the job is accepted.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raydient.files import replacing
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.initial_weights import InitialWeights
from raydient.spec.sources import UPLOADED
from raydient.workers.data import Dataset
from raydient.workers.network import (
    Network,
    Signature,
    WeightsError,
    chosen_parameters,
    ends_of,
    preprocessing_problems,
    read_preprocessing,
    weights_to_take,
)

FIELD = "training.initial_weights"
MODEL_FILE = "model.safetensors"
"""Name of the file in a job's folder that holds the model, once the job has succeeded."""
KEPT_FILE = "initial.safetensors"
"""Name of the file in a job's folder that keeps its initial weights."""
_JOB = re.compile(r"jobs/([a-z0-9][a-z0-9-]*)")


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to start from.

    Attributes:
        choice: the setting in the specification.
        path: their file.
        signature: the inputs and outputs of that model; None if the file does not record them.
    """

    choice: InitialWeights
    path: Path
    signature: Signature | None

    def problems(self, network: Network, data: Dataset | None) -> Iterator[FieldError]:
        """Yield the reasons why these weights do not fit the network or the data that it is trained on."""
        name = self.choice.from_
        try:
            inputs, outputs = ends_of(network, chosen_parameters(network, self.choice))
            problems: list[str] = []
            if data is not None and self.signature is not None:
                compared = {name: one for name, one in data.inputs.items() if name in inputs}
                targets = {name: one for name, one in data.targets.items() if name in outputs}
                problems += preprocessing_problems(self.signature, compared, targets)
            yield from (FieldError(FIELD, f"{name} {problem}") for problem in problems)
            # the shapes of the weights follow from the data: a difference there is the cause of one here
            if not problems:
                self.taken(network)
        except WeightsError as error:
            about = "" if error.setting.startswith(("include", "exclude")) else f"{name} "
            yield FieldError(".".join(filter(None, (FIELD, error.setting))), f"{about}{error}")

    def taken(self, network: Network) -> Mapping[str, str]:
        """Return the parameters that are taken, see `weights_to_take`. Raises WeightsError."""
        return weights_to_take(network, self.path, self.choice)

    def keep(self, kept: Path | None) -> Path:
        """Keep the file at `kept`, if given, and return its path. Raises what `keep_weights` raises."""
        if kept is not None and self.path != kept:
            keep_weights(self.path, kept)
        return kept or self.path


def find_start(
    choice: InitialWeights | None, *, jobs: Path | None, files: Path | None, kept: Path | None
) -> Start | None:
    """Find the weights that a specification names, at `kept` if that file exists; None if it names none.

    Raises:
        InvalidSpec: as `find_weights`, or if the file cannot be read.
    """
    if choice is None:
        return None
    name = choice.from_
    path = kept if kept is not None and kept.is_file() else find_weights(name, jobs=jobs, files=files)
    try:
        signature = read_preprocessing(path)
        if signature is not None:
            targets = {choice.new_name(output): target for output, target in signature.targets.items()}
            signature = replace(signature, targets=targets)
        return Start(choice, path, signature)
    except ValueError as error:
        raise _invalid(f"{name} {error}") from error


def find_weights(name: str, *, jobs: Path | None = None, files: Path | None = None) -> Path:
    """Find the model file for `training.initial_weights`.

    Args:
        name: `jobs/{id}` or a path.
        jobs: the folder of all jobs' folders; None without a service.
        files: base of relative paths; None if paths are refused, because the specification comes from a client.

    Raises:
        InvalidSpec: the file does not exist, or may not be read.
    """
    if _JOB.fullmatch(name):
        if jobs is None:
            raise _invalid(f"{name} is a job of a service, which is not asked here: download its model, name the file")
        path = model_of_job(name, jobs)
        if path is None or not path.is_file():
            raise _invalid(f"there is no model of {name}: the job does not exist, or has not SUCCEEDED")
        return path
    if UPLOADED.fullmatch(name):
        if jobs is not None:
            raise _invalid(f"{name} was deleted meanwhile: upload the model again")
        raise _invalid(f"{name} is a file of a service, which is not asked here: name a file of this machine")
    if files is None:
        text = f"{name[:200]!r} is none of jobs/ID, a job of the service, and datasets/ID, an uploaded model"
        raise _invalid(f"{text}; `raydient submit` uploads a local file by itself")
    path = files / name
    if not path.is_file():
        raise _invalid(f"there is no file {name!r}")
    return path


def model_of_job(name: str, jobs: Path) -> Path | None:
    """Return the path of the model of `jobs/{id}`, which need not exist; None for any other name."""
    job = _JOB.fullmatch(name)
    return jobs / job[1] / MODEL_FILE if job else None


def keep_weights(model: Path, kept: Path) -> None:
    """Link a model to `kept`, so that it survives its deletion elsewhere. Model files never change.

    Raises:
        InvalidSpec: the model was deleted meanwhile.
        OSError: the file system has no hard links, and no room for a copy.
    """
    try:
        os.link(model, kept)
    except FileNotFoundError:
        raise _invalid("the model to start from was deleted meanwhile") from None
    except OSError:
        with model.open("rb") as source, replacing(kept) as target:
            shutil.copyfileobj(source, target)


def _invalid(message: str) -> InvalidSpec:
    return InvalidSpec([FieldError(FIELD, message)])
