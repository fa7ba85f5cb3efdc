"""Finds the files of a job on this machine: uploaded files, or data below a data root. No other is opened."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from raydient.server.errors import NotFound, NotPermitted
from raydient.server.training.initial_weights import FIELD, model_of_job
from raydient.spec.dataset import Dataset
from raydient.spec.errors import FieldError, InvalidSpec, collecting
from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath, are_files, data_path, opened_files
from raydient.spec.values import quoted

from .datasets import DatasetStore

STORED = "datasets/"


class Sources:
    """Finds data files and models to start from.

    `roots` are folders whose files jobs may read; links are followed before a path is compared with them. `jobs` is the
    folder of the jobs' folders.
    """

    def __init__(self, datasets: DatasetStore, roots: Sequence[Path], jobs: Path) -> None:
        self._datasets, self._jobs = datasets, jobs
        self._roots = tuple(root.resolve() for root in roots)

    def find_all(self, spec: JobSpec) -> tuple[DataPath, DataPath | None, Path | None]:
        """Return `find_files` and `find_start`. Raises their errors; both are tried before InvalidSpec."""
        errors: list[FieldError] = []
        data = validation = start = None
        with collecting(errors):
            data, validation = self.find_files(spec.dataset)
        with collecting(errors):
            start = self.find_start(spec)
        if errors or data is None:
            raise InvalidSpec(errors)
        return data, validation, start

    def find_start(self, spec: JobSpec) -> Path | None:
        """Path of the model that a job starts from, an uploaded one or another job's, which need not exist.

        None if it names none, or another file, which no job of a service reads. Raises NotFound, InvalidSpec.
        """
        name = spec.training.initial_weights.from_ if spec.training.initial_weights else ""
        if not name.startswith(STORED):
            return model_of_job(name, self._jobs)
        uploaded = self._datasets.get(name.removeprefix(STORED))
        if not uploaded.is_model:
            text = f"{name} is a file of data, {uploaded.name!r}, and not of a model"
            raise _invalid(FIELD, f"{text}: name a .safetensors file that `raydient train` or `download` wrote")
        return self._datasets.path(uploaded.id)

    def find_files(self, dataset: Dataset) -> tuple[DataPath, DataPath | None]:
        """Paths of the data and of held-out data of their own; None if there are none. Raises the errors of `find`."""
        data, own = (self._find_all(uris) for uris in (dataset.training_uris, dataset.validation_uris))
        return data_path(data), data_path(own) if own else None

    def with_names(self, invalid: InvalidSpec, dataset: Dataset) -> InvalidSpec:
        """Return errors with the names that stored files had before their upload, in place of those on this disk."""
        names = {}
        for uri in dataset.uris.values():
            with suppress(NotFound):  # deleted meanwhile
                if uri.startswith(STORED):
                    stored = self._datasets.get(uri.removeprefix(STORED))
                    names[quoted(f"{stored.id}{stored.suffix}")] = quoted(stored.name)
        if not names:
            return invalid
        shown = re.compile("|".join(map(re.escape, names)))
        return InvalidSpec(
            replace(error, message=shown.sub(lambda match: names[match[0]], error.message)) for error in invalid.errors
        )

    def _find_all(self, uris: Mapping[str, str]) -> list[Path]:
        return [self.find(uri, field) for field, uri in uris.items()]

    def find(self, uri: str, field: str = "dataset.uri") -> Path:
        """Path of the file that the setting `field` names, or of files by wildcards, see `files_of`.

        Raises NotFound (of a stored dataset), NotPermitted, InvalidSpec.
        """
        if uri.startswith(STORED):
            uploaded = self._datasets.get(uri.removeprefix(STORED))
            if uploaded.is_model:
                text = f"{uri} is a model, {uploaded.name!r}, and no data"
                raise _invalid(field, f"{text}: upload a file of data; a job starts from a model by {FIELD}")
            return self._datasets.path(uploaded.id)
        if "://" in uri:
            raise _invalid(
                field, f"{uri[:200]!r} is a URL, which no job reads; upload the file and use datasets/{{id}}"
            )
        path = Path(uri)
        if "\0" in uri or not path.is_absolute():
            raise _invalid(
                field,
                f"{uri[:200]!r} is neither datasets/{{id}} nor an absolute path on the server; `raydient submit` "
                "uploads a local file by itself",
            )
        path = self._inside(path, uri, field)
        for file in _files(path):
            self._inside(file, uri, field)
        if not are_files(path):
            raise _invalid(field, f"there is no file {uri[:200]!r} on the server")
        return path

    def _inside(self, path: Path, uri: str, field: str) -> Path:
        """Return a path without links. Raises NotPermitted if it is not below a root."""
        try:
            path = path.resolve()
        except (OSError, RuntimeError):
            raise self._outside(uri, field) from None
        if not any(path.is_relative_to(root) for root in self._roots):
            raise self._outside(uri, field)
        return path

    @staticmethod
    def _outside(uri: str, field: str) -> NotPermitted:
        return NotPermitted(
            f"{field}: {uri[:200]!r} is outside the server's data roots; upload the file (`raydient submit` does) or "
            "start the server with a data root above it",
            reason="FILE_OUTSIDE_DATA_ROOTS",
            metadata={"field": field},
        )


def _files(path: Path) -> list[Path]:
    try:
        return opened_files(path)
    except OSError:
        return []


def _invalid(field: str, message: str) -> InvalidSpec:
    return InvalidSpec([FieldError(field, message)])
