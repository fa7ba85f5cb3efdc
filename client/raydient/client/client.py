"""The client of the service."""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.json_format import ParseDict

from raydient.spec.dataset import Dataset
from raydient.spec.errors import FieldError, InvalidSpec, collecting
from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath, data_path
from raydient.v1 import dataset_service_pb2 as dataset_api
from raydient.v1 import training_service_pb2 as api
from raydient.v1.training_job_spec_pb2 import TrainingJobSpec

from .connection import CALL_SECONDS, Connection, open_channel
from .cross_validation import CrossValidation, labelled, results_of, with_folds
from .data_file import START, AnyJob, AnyStart, local_files, local_start, with_data, with_job, with_start
from .data_writing import write_data
from .dataset import upload
from .errors import RequestRefused, of_specification
from .job import Job
from .listing import Listing
from .notebook import properties
from .packing import pack
from .ranking import ranked
from .remote_samples import local_samples
from .row_names import naming_rows
from .states import state_label

DEFAULT_ADDRESS = "127.0.0.1:50051"
CHECK_SECONDS = 900.0
"""Deadline of calls in which the service reads a job's data file of any size."""


class Client:
    """A connection to one service. Methods block; they may be called from several threads, and inside a running event
    loop, as in a notebook.

    Every method raises the errors of `raydient.client.errors`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        token: str | None = None,
        tls: bool = False,
        certificate_authority: Path | None = None,
        server_name: str | None = None,
        channel: grpc.Channel | None = None,
        sleep: Callable[[float], None] = time.sleep,
        retry_seconds: float = CALL_SECONDS,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare a connection; nothing is sent before the first call.

        Args:
            address: host:port, or unix:PATH.
            token: sent with every call; needed if the service requires one.
            tls: encrypt, and verify the server by the system's certificate authorities.
            certificate_authority: PEM file of the authority that verifies the server; implies `tls`.
            server_name: the name that the server's certificate must be valid for; the address's host by default.
            channel: an open channel to use; the client closes it.
            sleep: waits before a call is repeated or a broken stream is reopened.
            retry_seconds: time for which idempotent calls are repeated while the service does not answer.
            notice: receives one line, once, when the first call is repeated.

        Raises:
            NotPermitted: the token has characters that cannot be sent.
        """
        channel = channel or open_channel(address, certificate_authority, tls=tls, server_name=server_name)
        self._connection = Connection(channel, address, token, sleep=sleep, retry_seconds=retry_seconds, notice=notice)

    def __repr__(self) -> str:
        return f"<Client of {self._connection.address}>"

    def _repr_html_(self) -> str:
        return properties([("address", self._connection.address)], "raydient")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every call in progress."""
        self._connection.close()

    def submit(
        self,
        job: AnyJob,
        data: Any = None,
        *,
        validation: Any = None,
        initial_weights: "AnyStart | None" = None,
        directory: str | os.PathLike[str] = ".",
        validate_only: bool = False,
        request_id: str | None = None,
    ) -> Job:
        """Submit a job: a specification, the same as plain data, or the path of a job file.

        Local files of data and of initial weights are uploaded first, unless the server has their content; paths are
        relative to the job file, or to `directory` where there is no job file. `data` replaces `dataset.uri`: a
        DataFrame, a mapping of columns or arrays, a pair of samples and labels, or the path of a file; see
        `write_data`. When this returns, the job is durable.

        Args:
            job: what to train.
            validation: the same as `data` for the held-out part; replaces `dataset.validation`, and no row of the data
                is held out.
            initial_weights: replaces `training.initial_weights.from`: a `LocalModel`, the path of a `.safetensors`
                file, `jobs/{id}` or `datasets/{id}`.
            directory: base of a relative path of the data, if `job` is not the path of a file.
            validate_only: validate only and create no job. The data is uploaded nevertheless.
            request_id: calls with the same id create one job. Without it, each call creates a job. Initial weights have
                to be a path or a name then, because a `LocalModel` is written to another file in each call.

        Raises:
            InvalidSpec: the job breaks rules; the errors have line numbers if `job` is a file.
        """

        def submit(spec: JobSpec, directory: Path) -> Job:
            with tempfile.TemporaryDirectory(prefix="raydient-") as folder:
                spec = with_start(with_data(spec, data, validation, Path(folder)), initial_weights, Path(folder))
                uploaded = self._on_server(spec, directory)
                with naming_rows(spec.dataset, directory):
                    return self._submit(uploaded, validate_only, request_id)

        return with_job(job, data, directory, submit)

    def submit_folds(
        self, job: AnyJob, data: Any = None, *, folds: int | None = None, directory: str | os.PathLike[str] = "."
    ) -> list[Job]:
        """Submit a job for each fold of its data, which is held out; see `raydient.client.cross_validate`.

        The jobs have the labels `cross-validation`, a name that they share, and `fold`, the number. All are validated
        before the first is created.

        Args:
            job, data, directory: see `submit`.
            folds: number of folds; by default that of the job's own `folds`, else 5.

        Raises:
            InvalidSpec: the job breaks rules, or it holds out certain rows.
        """

        def submit(spec: JobSpec, directory: Path) -> list[Job]:
            with tempfile.TemporaryDirectory(prefix="raydient-") as folder:
                with_folds(spec, folds)  # before the data are uploaded
                spec = with_data(spec, data, None, Path(folder))
                specs = labelled(with_folds(self._on_server(spec, directory), folds))
                with naming_rows(spec.dataset, directory):
                    for one in specs:
                        self._submit(one, True, None)
                return [self._submit(one, False, None) for one in specs]

        return with_job(job, data, directory, submit)

    def cross_validate(
        self,
        job: AnyJob,
        data: Any = None,
        *,
        folds: int | None = None,
        directory: str | os.PathLike[str] = ".",
        progress: bool = False,
    ) -> CrossValidation:
        """Submit a job for each fold, see `submit_folds`, wait for them and return the metrics on the folds.

        Raises:
            InvalidSpec: the job breaks rules, or it holds out certain rows.
            JobNotSucceeded: a job failed or was cancelled; the others go on.
        """
        return results_of(self.submit_folds(job, data, folds=folds, directory=directory), progress=progress)

    def _on_server(self, spec: JobSpec, directory: Path) -> JobSpec:
        """Upload the local files of a job, and return it with their names on the server. Raises InvalidSpec."""
        errors: list[FieldError] = []
        files, dataset, start = {}, spec.dataset, None
        with collecting(errors):
            files = local_files(dataset, directory)
        with collecting(errors):
            start = local_start(spec, directory)
        if errors:
            raise InvalidSpec(errors)
        if start is not None:
            spec = spec.with_initial_weights(self._upload_file(START, start))
        both = (dataset.training_uris, dataset.validation_uris)
        return spec.with_uris(*(self._stored(uris, files, dataset) for uris in both))

    def _stored(self, uris: Mapping[str, str], files: Mapping[str, Path | None], dataset: Dataset) -> list[str]:
        """Upload the local files of these settings, see `local_files`, and return all files as the server has them.

        Local files of one list are uploaded as one; neighbours only, because the rows of all follow each other.
        """
        stored: list[str] = []
        for is_local, fields in groupby(uris, lambda field: files[field] is not None):
            if is_local:
                local = {field: file for field in fields if (file := files[field])}
                stored.append(self._upload(next(iter(local)), data_path(local.values()), dataset))
            else:
                stored += (uris[field] for field in fields)
        return stored

    def _upload(self, field: str, data: DataPath, dataset: Dataset) -> str:
        """Upload the local file of a setting, or several as one, and return the name on the server."""
        with tempfile.TemporaryDirectory(prefix="raydient-") as folder:
            return self._upload_file(field, pack(data, dataset, field, Path(folder)))

    def _upload_file(self, field: str, path: Path) -> str:
        """Upload the file of a setting and return its name on the server. Raises InvalidSpec."""
        try:
            return upload(self._connection, path).name
        except RequestRefused as error:
            raise InvalidSpec(FieldError(field, v.message) for v in error.violations) from error

    def _submit(self, spec: JobSpec, validate_only: bool, request_id: str | None) -> Job:
        request = api.CreateTrainingJobRequest(
            spec=ParseDict(spec.canonical(), TrainingJobSpec()),
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
        )
        try:
            return Job(
                self._connection,
                self._connection.call(self._connection.training.CreateTrainingJob, request, CHECK_SECONDS),
            )
        except RequestRefused as error:
            raise of_specification(error) from error

    def get(self, name: str) -> Job:
        """One job, by `jobs/{id}` or its id alone."""
        request = api.GetTrainingJobRequest(name=job_name(name))
        return Job(self._connection, self._connection.call(self._connection.training.GetTrainingJob, request))

    def list(
        self,
        states: str | Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        *,
        full: bool = False,
        best: str = "",
    ) -> Listing[Job]:
        """Jobs, newest first: all, or those in one of the states (`RUNNING`, ...) that have all of the labels.

        Without `full` the specifications are not transferred; `Job.spec` then fetches its own. With `best`, the name of
        a metric such as `test_accuracy`, those with the best value of it in their last complete epoch come first;
        losses and errors are better when they are smaller. All jobs are then read at the first access.

        Raises:
            ValueError: a state is unknown; at the first access, no job has the metric.
        """
        request = api.ListTrainingJobsRequest(
            page_size=100,
            states=[state_label(state) for state in ([states] if isinstance(states, str) else states)],
            labels=labels or {},
            view=api.TRAINING_JOB_VIEW_FULL if full else api.TRAINING_JOB_VIEW_BASIC,
        )
        method = self._connection.training.ListTrainingJobs

        def read() -> Iterator[Job]:
            resources = self._connection.pages(method, request, "training_jobs")
            jobs = (Job(self._connection, resource) for resource in resources)
            return iter(ranked(jobs, best)) if best else jobs

        return Listing(read)

    def upload_dataset(self, data: Any) -> dataset_api.Dataset:
        """Store a data file, or data of another form as `submit` takes them, unless the server has the content."""
        with tempfile.TemporaryDirectory(prefix="raydient-") as folder:
            is_named = isinstance(data, str | os.PathLike)
            with local_samples(data if is_named else write_data(data, None, Path(folder))) as path:
                return upload(self._connection, pack(path, None, "data", Path(folder)))

    def get_dataset(self, name: str) -> dataset_api.Dataset:
        """One dataset, by `datasets/{id}` or its id alone."""
        request = dataset_api.GetDatasetRequest(name=dataset_name(name))
        dataset: dataset_api.Dataset = self._connection.call(self._connection.datasets.GetDataset, request)
        return dataset

    def list_datasets(self) -> Listing[dataset_api.Dataset]:
        """Datasets, newest first."""
        request = dataset_api.ListDatasetsRequest(page_size=100)
        method = self._connection.datasets.ListDatasets
        return Listing(lambda: self._connection.pages(method, request, "datasets"))

    def delete_dataset(self, name: str) -> None:
        """Remove a dataset that no unfinished job trains on."""
        request = dataset_api.DeleteDatasetRequest(name=dataset_name(name))
        self._connection.call(self._connection.datasets.DeleteDataset, request)


def job_name(name: str) -> str:
    """`jobs/{id}`, from that or the id alone."""
    return name if name.startswith("jobs/") else f"jobs/{name}"


def dataset_name(name: str) -> str:
    """`datasets/{id}`, from that or the id alone."""
    return name if name.startswith("datasets/") else f"datasets/{name}"
