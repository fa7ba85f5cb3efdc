import hashlib
import threading

import grpc
import pytest

from raydient.v1 import dataset_service_pb2 as pb
from raydient.v1 import training_service_pb2 as training
from tests.waiting import eventually

StatusCode = grpc.StatusCode
CONTENT = b"a,b,y\n1,2,0\n"
LONG = CONTENT * 2000  # longer than the buffer of a file


def part(**fields):
    return pb.UploadDatasetRequest(**fields)


def header(content=CONTENT, **fields):
    place = {"file_name": "a.csv", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return part(header=pb.UploadDatasetHeader(**(place | fields)))


def test_a_file_is_stored_under_its_content(client):
    dataset = client.upload(CONTENT, "digits.csv")
    assert dataset.name == f"datasets/{hashlib.sha256(CONTENT).hexdigest()}"
    assert (dataset.file_name, dataset.format, dataset.size_bytes) == ("digits.csv", pb.DATASET_FORMAT_CSV, 12)
    assert dataset.sha256 == dataset.name.removeprefix("datasets/")
    assert client.datasets.GetDataset(pb.GetDatasetRequest(name=dataset.name)) == dataset
    assert client.upload(b"PK", "x.NPZ").format == pb.DATASET_FORMAT_NPZ


def test_known_content_is_not_uploaded_again(client):
    dataset = client.upload(CONTENT)
    assert client.datasets.UploadDataset(iter([header(file_name="other.csv")])) == dataset


def test_a_large_file_in_large_chunks(client):
    content = bytes(range(256)) * 20_000
    assert client.upload(content, chunk=1 << 20).size_bytes == len(content)


@pytest.mark.parametrize(
    ("parts", "code", "reason"),
    [
        ([], StatusCode.INVALID_ARGUMENT, "INVALID_HEADER"),
        ([part(chunk=b"x")], StatusCode.INVALID_ARGUMENT, "INVALID_HEADER"),
        ([part()], StatusCode.INVALID_ARGUMENT, "INVALID_HEADER"),
        ([header(), header()], StatusCode.INVALID_ARGUMENT, "CHUNK_EXPECTED"),
        ([header(file_name="../a.csv")], StatusCode.INVALID_ARGUMENT, "INVALID_HEADER"),
        ([header(offset=-1)], StatusCode.INVALID_ARGUMENT, "INVALID_HEADER"),
        ([header(offset=3)], StatusCode.OUT_OF_RANGE, "OFFSET_MISMATCH"),
        ([header(size_bytes=-1)], StatusCode.INVALID_ARGUMENT, "INVALID_HEADER"),
        ([header(), part(chunk=CONTENT[:5])], StatusCode.DATA_LOSS, "SIZE_MISMATCH"),
        ([header(), part(chunk=CONTENT + b"x")], StatusCode.DATA_LOSS, "SIZE_MISMATCH"),
        ([header(), part(chunk=CONTENT[::-1])], StatusCode.DATA_LOSS, "CHECKSUM_MISMATCH"),
        ([header(size_bytes=2**62)], StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL"),
    ],
)
def test_a_refused_upload_leaves_nothing(client, refused, tmp_path, parts, code, reason):
    error = refused(client.datasets.UploadDataset, iter(parts))
    assert (error.code, error.reason) == (code, reason)
    assert list((tmp_path / "state" / "datasets").iterdir()) == []
    assert list(client.datasets.ListDatasets(pb.ListDatasetsRequest()).datasets) == []


@pytest.fixture
def break_off():
    """Returns a function that uploads the beginning of LONG, waits until it has arrived, and breaks off."""

    def break_off(datasets, folder, beginning, **options):
        may_end = threading.Event()

        def parts():
            yield header(LONG)
            yield part(chunk=beginning)
            may_end.wait(60)

        call = datasets.UploadDataset.future(parts(), **options)
        eventually(lambda: any(file.stat().st_size for file in folder.iterdir()))
        call.cancel()
        may_end.set()
        eventually(lambda: kept(datasets, **options))

    return break_off


def kept(datasets, content=LONG, **options):
    sha256 = hashlib.sha256(content).hexdigest()
    request = pb.GetDatasetUploadRequest(size_bytes=len(content), sha256=sha256)
    return datasets.GetDatasetUpload(request, **options).committed_bytes


def test_an_upload_that_stops_is_not_listed_and_an_identical_retry_works(client, tmp_path, break_off):
    folder = tmp_path / "state" / "datasets"
    break_off(client.datasets, folder, LONG[:10_000])
    assert list(client.datasets.ListDatasets(pb.ListDatasetsRequest()).datasets) == []
    assert client.upload(LONG).size_bytes == len(LONG)
    assert [path.name for path in folder.iterdir()] == [f"{hashlib.sha256(LONG).hexdigest()}.csv"]
    assert kept(client.datasets) == 0


def test_an_upload_goes_on_where_it_broke(client, refused, tmp_path, break_off):
    break_off(client.datasets, tmp_path / "state" / "datasets", LONG[:10_000])
    assert kept(client.datasets) == 10_000
    assert kept(client.datasets, LONG[::-1]) == 0
    error = refused(client.datasets.UploadDataset, iter([header(LONG, offset=10_001), part(chunk=LONG[10_001:])]))
    assert (error.code, error.reason) == (StatusCode.OUT_OF_RANGE, "OFFSET_MISMATCH")
    rest = [header(LONG, offset=10_000), part(chunk=LONG[10_000:])]
    assert client.datasets.UploadDataset(iter(rest)).size_bytes == len(LONG)


def test_what_is_kept_of_other_bytes_is_removed_when_the_checksum_differs(client, refused, tmp_path, break_off):
    break_off(client.datasets, tmp_path / "state" / "datasets", LONG[1:10_001])
    error = refused(client.datasets.UploadDataset, iter([header(LONG, offset=10_000), part(chunk=LONG[10_000:])]))
    assert (error.code, error.reason) == (StatusCode.DATA_LOSS, "CHECKSUM_MISMATCH")
    assert kept(client.datasets) == 0
    assert client.upload(LONG).size_bytes == len(LONG)


def test_what_is_kept_belongs_to_one_token_and_outlives_the_service(start, tmp_path, break_off):
    (tmp_path / "tokens").write_text(f"{'a' * 43}\n{'b' * 43}")
    (tmp_path / "tokens").chmod(0o600)
    mine, theirs = ({"metadata": (("authorization", f"Bearer {letter * 43}"),)} for letter in "ab")
    served = start(tokens_file=tmp_path / "tokens")
    break_off(served.client.datasets, tmp_path / "state" / "datasets", LONG[:10_000], **mine)
    assert kept(served.client.datasets, **theirs) == 0
    served.stop()
    datasets = start(tokens_file=tmp_path / "tokens").client.datasets
    assert (kept(datasets, **mine), kept(datasets, **theirs)) == (10_000, 0)
    rest = [header(LONG, offset=10_000), part(chunk=LONG[10_000:])]
    assert datasets.UploadDataset(iter(rest), **mine).size_bytes == len(LONG)


@pytest.mark.parametrize(("size", "sha256"), [(0, "0" * 64), (-1, "0" * 64), (5, "0" * 63), (5, "../x")])
def test_a_content_that_no_file_has_is_refused(client, refused, size, sha256):
    error = refused(client.datasets.GetDatasetUpload, pb.GetDatasetUploadRequest(size_bytes=size, sha256=sha256))
    assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_HEADER")


def test_lists_newest_first_by_pages(client, refused):
    names = [client.upload(bytes([65 + n])).name for n in range(3)]
    first = client.datasets.ListDatasets(pb.ListDatasetsRequest(page_size=2))
    assert [dataset.name for dataset in first.datasets] == [names[2], names[1]]
    rest = client.datasets.ListDatasets(pb.ListDatasetsRequest(page_token=first.next_page_token))
    assert [dataset.name for dataset in rest.datasets] == [names[0]]
    assert rest.next_page_token == ""
    error = refused(client.datasets.ListDatasets, pb.ListDatasetsRequest(page_token="!"))
    assert error.reason == "INVALID_PAGE_TOKEN"


def test_a_dataset_that_a_job_needs_is_not_deleted(client, runner, refused):
    delete = client.datasets.DeleteDataset
    job = client.create()
    request = pb.DeleteDatasetRequest(name=job.dataset)
    error = refused(delete, request)
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "DATASET_IN_USE")
    run = runner.next()
    run.begin()
    run.succeed()
    delete(request)
    assert refused(delete, request).reason == "DATASET_NOT_FOUND"
    delete(pb.DeleteDatasetRequest(name=job.dataset, allow_missing=True))


@pytest.mark.parametrize("name", ["", "datasets/", "datasets/x", "datasets/../raydient.db", "jobs/x", "x"])
def test_a_name_of_no_dataset_is_not_found(client, refused, name):
    error = refused(client.datasets.GetDataset, pb.GetDatasetRequest(name=name))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")


def test_registering_is_not_implemented(client, refused):
    error = refused(client.datasets.RegisterDataset, pb.RegisterDatasetRequest(uri="/x"))
    assert error.code is StatusCode.UNIMPLEMENTED


def test_a_job_keeps_the_uploaded_model_that_it_starts_from(start, runner, refused, tmp_path):
    checked = []
    client = start(runner, lambda spec, dataset, call, validation, kept: checked.append(kept)).client
    model = client.upload(b"weights", "digits.safetensors")
    assert (model.format, model.file_name) == (pb.DATASET_FORMAT_SAFETENSORS, "digits.safetensors")
    job = client.create(training={"initial_weights": {"from": model.name}})
    stored = tmp_path / "state" / "datasets" / f"{model.sha256}.safetensors"
    assert checked == [stored]
    client.datasets.DeleteDataset(pb.DeleteDatasetRequest(name=model.name))
    assert not stored.exists()
    assert (tmp_path / "state" / job.name / "initial.safetensors").read_bytes() == b"weights"
    error = refused(client.create, training={"initial_weights": {"from": model.name}})
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    error = refused(client.create, dataset={"uri": client.upload(b"weights", "digits.safetensors").name})
    assert error.fields == ["spec.dataset.uri"]


def test_a_queued_job_keeps_the_model_of_the_job_that_it_starts_from(start, runner, refused, tmp_path):
    meanwhile = []
    client = start(runner, lambda *_: [call() for call in meanwhile]).client
    jobs = tmp_path / "state" / "jobs"

    def trained():
        first = client.create()
        run = runner.next()
        run.begin()
        run.succeed()
        (tmp_path / "state" / first.name / "model.safetensors").write_bytes(b"weights")
        return first.name

    first = trained()
    second = client.create(training={"initial_weights": {"from": first}})
    client.training.DeleteTrainingJob(training.DeleteTrainingJobRequest(name=first))
    assert (tmp_path / "state" / second.name / "initial.safetensors").read_bytes() == b"weights"
    runner.next().succeed()
    first = trained()
    meanwhile.append(lambda: client.training.DeleteTrainingJob(training.DeleteTrainingJobRequest(name=first)))
    error = refused(client.create, training={"initial_weights": {"from": first}})
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["spec.training.initial_weights"])
    assert "the model to start from was deleted meanwhile" in error.text
    assert [path.name for path in jobs.iterdir()] == [second.name.removeprefix("jobs/")], "nothing half-made stays"
