"""`Client.submit`: data of any form are uploaded, and errors of the job or of its data have lines of the job file."""

import hashlib
import io
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
import pytest

from raydient.client import Client, InvalidSpec, JobSpec, RequestRefused
from raydient.spec.validation import validate_job


def test_data_of_any_form_are_submitted_and_uploaded(client: Client, service, job_yaml: Path) -> None:
    table = pd.DataFrame({"a": [1.5], "b": [2], "y": [0.0]})
    content = b"a,b,y\n1.5,2,0.0\n"
    network = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
    client.submit({"dataset": {}, "network": network}, table)
    client.submit(job_yaml, table)
    client.submit(job_yaml, job_yaml.with_name("points.csv"))
    client.upload_dataset(table.to_dict("list"))
    client.upload_dataset((np.ones((1, 2)), [0.5]))
    assert service.uploads[:2] == [content, b"a,b,y\n1,2,3\n"], "content that the server has is not sent again"
    assert [upload[:2] for upload in service.uploads[2:]] == [b"PK"]
    uris = [request.spec.dataset.uri for request in service.requests["CreateTrainingJob"]]
    assert uris[0] == uris[1] == f"datasets/{hashlib.sha256(content).hexdigest()}"
    with pytest.raises(ValueError, match="more than one column named 'a'"):
        client.submit(job_yaml, pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(InvalidSpec, match="no such file"):
        client.submit(job_yaml, "absent.csv")


def test_held_out_data_are_uploaded_too(client: Client, service, job_yaml: Path) -> None:
    table = pd.DataFrame({"a": [1.5], "b": [2], "y": [0.0]})
    client.submit(job_yaml, validation=table)
    named = {"uri": "points.csv", "validation": {"uri": "own.csv"}}
    job_yaml.with_name("own.csv").write_text("a,b,y\n7,8,9\n")
    network = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
    client.submit({"dataset": named, "network": network}, directory=job_yaml.parent)
    assert service.uploads == [b"a,b,y\n1,2,3\n", b"a,b,y\n1.5,2,0.0\n", b"a,b,y\n7,8,9\n"]
    for request, content in zip(service.requests["CreateTrainingJob"], service.uploads[1:], strict=True):
        assert request.spec.dataset.validation.uri == f"datasets/{hashlib.sha256(content).hexdigest()}"
        assert request.spec.dataset.split.test == 0
    with pytest.raises(InvalidSpec, match=r"dataset\.validation\.uri"):
        client.submit({"dataset": {**named, "validation": {"uri": "no.csv"}}, "network": network})


def test_a_job_file_is_submitted_with_its_data(client: Client, service, job_yaml: Path) -> None:
    job = client.submit(job_yaml)
    content = (job_yaml.parent / "points.csv").read_bytes()
    assert service.uploads == [content]
    assert job.name == "jobs/0"
    assert job.state == "QUEUED"
    assert job.spec.dataset.uri == f"datasets/{hashlib.sha256(content).hexdigest()}"
    assert job.spec.display_name == "points"
    assert repr(job) == "<Job jobs/0 QUEUED>"
    assert repr(client).startswith("<Client of 127.0.0.1:")


def test_the_message_and_the_specification_have_the_same_fields(client: Client, service, job_yaml: Path) -> None:
    data = {
        "dataset": {"uri": f"datasets/{'0' * 64}"},
        "network": {"layers": [{"dense": {"units": 3, "activation": "relu"}}], "loss": "sum_squared_error"},
        "training": {"seed": 0, "optimizer": {"sgd": {"momentum": 0.5, "nesterov": True}}},
    }
    from_data, from_model = client.submit(data), client.submit(validate_job(data))
    assert from_data.spec == from_model.spec == validate_job(data)
    assert isinstance(from_data.spec, JobSpec)
    assert service.calls == ["CreateTrainingJob"] * 2
    ids = [request.request_id for request in service.requests["CreateTrainingJob"]]
    assert len(set(ids)) == 2


def test_a_refused_data_file_is_an_error_of_the_job_file(client: Client, service, job_yaml: Path) -> None:
    service.fail("UploadDataset", grpc.StatusCode.INVALID_ARGUMENT, header__file_name="ends in .txt")
    with pytest.raises(InvalidSpec) as caught:
        client.submit(job_yaml)
    assert [str(e) for e in caught.value.errors] == ["line 3: dataset.uri: ends in .txt"]


def test_several_local_files_are_uploaded_as_one(client: Client, service, tmp_path: Path) -> None:
    network = {"layers": ["flatten"], "loss": "mean_squared_error"}
    for number, rows in enumerate(("1,2", "3,4\n", "5,6\r\n")):
        (tmp_path / f"part-{number}.csv").write_text(f"a,y\n{rows}", newline="")
    job = {"network": network, "dataset": {"uri": "part-*.csv"}}
    client.submit(job, directory=tmp_path)
    client.submit({"network": network, "dataset": {"uri": "/absent/part-*.csv"}})
    assert service.uploads == [b"a,y\n1,2\n3,4\n5,6\r\n"]
    stored, on_server = [request.spec.dataset.uri for request in service.requests["CreateTrainingJob"]]
    assert stored == f"datasets/{hashlib.sha256(service.uploads[0]).hexdigest()}"
    assert on_server == "/absent/part-*.csv"
    (tmp_path / "part-3.csv").write_text("y,a\n1,2\n")
    with pytest.raises(InvalidSpec, match=r"'part-3.csv': its columns are not those of 'part-0.csv': to be uploaded"):
        client.submit(job, directory=tmp_path)


def test_images_and_labels_are_uploaded_as_one(client: Client, service, tmp_path: Path) -> None:
    (tmp_path / "a-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + bytes(range(8)))
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + b"\0\0\0\2" + b"\1\0")
    job = {"network": {"layers": ["flatten"], "loss": "mean_squared_error"}, "dataset": {"uri": "a-images-idx3-ubyte"}}
    client.submit(job, directory=tmp_path)
    assert client.upload_dataset(tmp_path / "a-images-idx3-ubyte").file_name == "a-images-idx3-ubyte.npz"
    (content,) = service.uploads
    with np.load(io.BytesIO(content)) as arrays:
        assert arrays["x"].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
        assert arrays["y"].tolist() == [1, 0]


def test_a_list_of_files(client: Client, service, tmp_path: Path) -> None:
    network, far = {"layers": ["flatten"], "loss": "mean_squared_error"}, "/absent/more.csv"
    for name in ("b.csv", "a.csv", "c.csv", "d.csv"):
        (tmp_path / name).write_text(f"x,y\n{name[0]},2\n")
    job = {"network": network, "dataset": {"uri": ["b.csv", "a.csv", far, "c.csv"], "validation": {"uri": ["d.csv"]}}}
    spec = client.submit(job, directory=tmp_path).spec
    assert service.uploads == [b"x,y\nb,2\na,2\n", b"x,y\nc,2\n", b"x,y\nd,2\n"]
    stored = [f"datasets/{hashlib.sha256(content).hexdigest()}" for content in service.uploads]
    assert list(spec.dataset.training_uris.values()) == [stored[0], far, stored[1]]
    assert list(spec.dataset.validation_uris.values()) == [stored[2]]
    spec = client.submit({"network": network}, [tmp_path / "c.csv", str(tmp_path / "a.csv")]).spec
    assert service.uploads[3:] == [b"x,y\nc,2\na,2\n"]
    assert spec.dataset.further_uris == ()


def test_errors_of_a_list_have_the_lines_of_its_items(client: Client, service, job_yaml: Path) -> None:
    list_of = "[points.csv,\n    'absent.csv',\n    ../{folder}/points.csv,\n    absent-*.csv]"
    text = job_yaml.read_text().replace("points.csv", list_of.format(folder=job_yaml.parent.name))
    job_yaml.write_text(text)
    with pytest.raises(InvalidSpec) as caught:
        client.submit(job_yaml)
    assert [str(error).split(" (looked")[0] for error in caught.value.errors] == [
        'line 4: dataset.uri[1]: "absent.csv": no such file',
        'line 5: dataset.uri[2]: "points.csv" is named twice, so its rows would be read twice: name it once',
        'line 6: dataset.uri[3]: "absent-*.csv": no such file',
    ]
    assert service.calls == []


def test_known_content_is_not_uploaded_again(client: Client, service, job_yaml: Path) -> None:
    client.submit(job_yaml)
    (job_yaml.parent / "points.csv").rename(job_yaml.parent / "same.csv")
    assert client.upload_dataset(job_yaml.parent / "same.csv").file_name == "points.csv"
    assert len(service.uploads) == 1


def test_an_upload_that_cannot_begin_is_repeated(client: Client, service, tmp_path: Path, pauses: list[float]) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,y\n1,2\n")
    service.fail("UploadDataset", grpc.StatusCode.UNAVAILABLE)
    assert client.upload_dataset(tmp_path / "a.csv").size_bytes == 8
    assert service.calls == ["GetDataset", "GetDatasetUpload", "UploadDataset"] * 2
    assert (service.uploads, len(pauses)) == ([b"a,y\n1,2\n"], 1)


def test_an_upload_goes_on_where_it_broke(client: Client, service, tmp_path: Path, pauses: list[float]) -> None:
    content = bytes(range(251)) * 16_000  # just under 4 MiB: four chunks
    (tmp_path / "large.npz").write_bytes(content)
    service.breaks.extend([2, 1, 0, 0])
    assert client.upload_dataset(tmp_path / "large.npz").size_bytes == len(content)
    assert service.uploads == [content]
    offsets = [header.offset >> 20 for header in service.requests["UploadDataset"]]
    assert offsets == [0, 2, 3, 3, 3]
    assert pauses == [0.1, 0.1, 0.1, 0.3], "a transfer that goes on begins with the shortest pause"


def test_an_upload_goes_on_in_a_later_call(client: Client, service, tmp_path: Path) -> None:
    content = bytes(range(251)) * 8_000  # two chunks
    (tmp_path / "large.npz").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    service.partial[sha256] = content[: 1 << 20]
    client.upload_dataset(tmp_path / "large.npz")
    assert [header.offset for header in service.requests["UploadDataset"]] == [1 << 20]
    assert service.uploads == [content]


def test_kept_bytes_that_are_of_no_use_are_sent_again(client: Client, service, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,y\n1,2\n")
    service.partial[hashlib.sha256(b"a,y\n1,2\n").hexdigest()] = b"damaged"[:4]
    client.upload_dataset(tmp_path / "a.csv")
    assert [header.offset for header in service.requests["UploadDataset"]] == [4, 0]
    assert service.uploads == [b"a,y\n1,2\n"]
    service.fail("UploadDataset", grpc.StatusCode.OUT_OF_RANGE, reason="OFFSET_MISMATCH")
    (tmp_path / "b.csv").write_bytes(b"b,y\n1,2\n")
    with pytest.raises(RequestRefused):
        client.upload_dataset(tmp_path / "b.csv")


def test_a_large_file_travels_in_chunks(client: Client, service, tmp_path: Path) -> None:
    content = bytes(range(251)) * 12_000  # just under 3 MiB: three chunks
    (tmp_path / "large.npz").write_bytes(content)
    assert client.upload_dataset(tmp_path / "large.npz").size_bytes == len(content)
    assert service.uploads == [content]


def test_a_missing_data_file_is_reported_before_anything_is_sent(client: Client, service, job_yaml: Path) -> None:
    (job_yaml.parent / "points.csv").unlink()
    with pytest.raises(InvalidSpec, match=r"line 3: dataset\.uri: .*no such file"):
        client.submit(job_yaml)
    (job_yaml.parent / "points.csv").mkdir()
    with pytest.raises(InvalidSpec, match=r"is not a file"):
        client.submit(job_yaml)
    assert service.calls == []


@pytest.mark.parametrize("uri", ["s3://bucket/points.csv", "/nowhere/here/points.csv", f"datasets/{'a' * 64}"])
def test_data_on_the_server_is_not_read(client: Client, service, job_yaml: Path, uri: str) -> None:
    job_yaml.write_text(job_yaml.read_text().replace("points.csv", uri))
    assert client.submit(job_yaml).spec.dataset.uri == uri
    assert service.calls == ["CreateTrainingJob"]


def test_errors_that_the_server_finds_in_the_data_have_lines_of_the_file(
    client: Client, service, job_yaml: Path
) -> None:
    service.fail(
        "CreateTrainingJob",
        grpc.StatusCode.INVALID_ARGUMENT,
        reason="INVALID_SPEC",
        spec__dataset__label="there is no column y",
        spec__training__batch_size="32 is more than 1",
    )
    with pytest.raises(InvalidSpec) as caught:
        client.submit(job_yaml)
    assert [(e.path, e.line) for e in caught.value.errors] == [("training.batch_size", 1), ("dataset.label", 2)]


def test_a_violation_outside_the_specification_is_a_refused_request(client: Client, service, job_yaml: Path) -> None:
    service.fail("CreateTrainingJob", grpc.StatusCode.INVALID_ARGUMENT, request_id="too long")
    with pytest.raises(RequestRefused) as caught:
        client.submit(job_yaml, request_id="x" * 99)
    assert [str(v) for v in caught.value.violations] == ["request_id: too long"]


def test_a_local_model_is_uploaded_as_a_start(client: Client, service, job_yaml: Path) -> None:
    model = job_yaml.with_name("digits.safetensors")
    model.write_bytes(b"weights")
    text = job_yaml.read_text()
    job_yaml.write_text(text + "training: {initial_weights: {from: digits.safetensors, exclude: [b.*]}}\n")
    client.submit(job_yaml)
    client.submit(job_yaml, pd.DataFrame({"a": [1.5], "b": [2], "y": [0.0]}))
    assert service.uploads.count(b"weights") == 1
    for request in service.requests["CreateTrainingJob"]:
        start = request.spec.training.initial_weights
        assert start == type(start)(
            **{"from": f"datasets/{hashlib.sha256(b'weights').hexdigest()}", "exclude": ["b.*"]}
        )
    client.submit(job_yaml, initial_weights=model)
    assert service.requests["CreateTrainingJob"][-1].spec.training.initial_weights == start
    job_yaml.write_text(text)
    for name in ("jobs/one", f"datasets/{'0' * 64}"):
        start = client.submit(job_yaml, initial_weights=name).spec.training.initial_weights
        assert start is not None
        assert start.from_ == name
    for name, problem in (("no.safetensors", "no such file"), ("points.csv", "not a .safetensors file")):
        job_yaml.write_text(text.replace("points.csv", "no.csv") + f"training: {{initial_weights: {name}}}\n")
        with pytest.raises(InvalidSpec, match=problem) as refused:
            client.submit(job_yaml)
        assert [error.path for error in refused.value.errors] == ["dataset.uri", "training.initial_weights"]
