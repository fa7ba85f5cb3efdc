import errno
import hashlib
import io

import grpc
import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load

from raydient.server.jobs import models
from raydient.v1 import model_service_pb2 as pb
from raydient.workers.network import ModelTooLargeError

from .models import MANIFEST, WEIGHTS, folder_name, make_checkpoint, make_model

StatusCode = grpc.StatusCode


def download(client, name, **fields):
    header, *chunks = client.models.DownloadModel(pb.DownloadModelRequest(name=name, **fields))
    assert header.WhichOneof("part") == "header"
    return header.header, b"".join(response.chunk for response in chunks)


def test_a_downloaded_model_matches_its_checksum(client, trained):
    name, model = trained()
    header, content = download(client, name)
    assert header.format == pb.MODEL_FORMAT_SAFETENSORS
    assert header.size_bytes == len(content)
    assert header.sha256 == hashlib.sha256(content).hexdigest()
    assert header.digest == model.digest
    assert header.file_name == "my-digits-1.safetensors"
    assert sum(tensor.size for tensor in load(content).values()) == model.weights.size


def test_an_interrupted_download_is_resumed(client, trained, refused):
    name, _ = trained()
    whole_header, whole = download(client, name)
    for offset in (0, 1, len(whole) // 2, len(whole)):
        header, rest = download(client, name, offset=offset, format=pb.MODEL_FORMAT_SAFETENSORS)
        assert header == whole_header
        assert whole[:offset] + rest == whole
    for offset in (-1, len(whole) + 1):
        error = refused(client.models.DownloadModel, pb.DownloadModelRequest(name=name, offset=offset))
        assert (error.code, error.reason) == (StatusCode.OUT_OF_RANGE, "OFFSET_BEYOND_END")


def test_large_models_come_in_chunks_under_the_limit(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    content = bytes(range(256)) * 20_000
    (run.request.directory / "model.safetensors").write_bytes(content)
    run.succeed()
    _, *chunks = client.models.DownloadModel(pb.DownloadModelRequest(name=name))
    assert max(len(response.chunk) for response in chunks) == 1 << 20
    assert b"".join(response.chunk for response in chunks) == content


def test_onnx_computes_what_the_model_predicts(client, trained):
    name, model = trained(classes=("cat", "dog", "owl"))
    header, content = download(client, name, format=pb.MODEL_FORMAT_ONNX)
    assert (header.format, header.file_name) == (pb.MODEL_FORMAT_ONNX, "my-digits-1.onnx")
    assert (header.size_bytes, header.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert header.digest == model.digest
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {"input": np.array(ROWS, np.float32)})
    np.testing.assert_allclose(outputs, model.predict(np.array(ROWS, np.float32)), atol=1e-6)


def test_npz_holds_the_arrays(client, trained):
    name, model = trained()
    header, content = download(client, name, format=pb.MODEL_FORMAT_NPZ)
    assert (header.format, header.file_name) == (pb.MODEL_FORMAT_NPZ, "my-digits-1.npz")
    assert (header.size_bytes, header.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["dense_1.kernel"].ravel(), model.weights[:6])


@pytest.mark.parametrize("wanted", [pb.MODEL_FORMAT_ONNX, pb.MODEL_FORMAT_NPZ])
def test_an_interrupted_converted_download_is_resumed_and_leaves_no_file(client, trained, tmp_path, wanted):
    name, _ = trained()
    files = sorted(tmp_path.rglob("*"))
    header, whole = download(client, name, format=wanted)
    again, rest = download(client, name, format=wanted, offset=100)
    assert (again, whole[:100] + rest) == (header, whole)
    assert sorted(tmp_path.rglob("*")) == files


def test_an_unknown_format_is_refused(client, trained, refused):
    name, _ = trained()
    error = refused(client.models.DownloadModel, pb.DownloadModelRequest(name=name, format=99))
    assert (error.code, error.reason) == (StatusCode.UNIMPLEMENTED, "FORMAT_NOT_IMPLEMENTED")


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (ModelTooLargeError("too large"), StatusCode.FAILED_PRECONDITION, "MODEL_TOO_LARGE"),
        (OSError(errno.ENOSPC, "no space"), StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL"),
    ],
)
def test_a_failed_conversion_leaves_no_file(client, trained, tmp_path, refused, monkeypatch, error, code, reason):
    name, _ = trained()
    files = sorted(tmp_path.rglob("*"))

    def fail(*_):
        raise error

    monkeypatch.setattr(models, "export_model", fail)
    failure = refused(client.models.DownloadModel, pb.DownloadModelRequest(name=name, format=pb.MODEL_FORMAT_ONNX))
    assert (failure.code, failure.reason) == (code, reason)
    assert sorted(tmp_path.rglob("*")) == files


def test_damaged_weights_are_refused(client, trained, tmp_path, refused):
    name, _ = trained()
    (path,) = tmp_path.rglob("model.safetensors")
    path.write_bytes(b"damaged")
    for call, request in (
        (client.models.DownloadModel, pb.DownloadModelRequest(name=name, format=pb.MODEL_FORMAT_NPZ)),
        (client.models.Predict, pb.PredictRequest(name=name, inputs=pb.Tensor(shape=[1, 2], values=[1, 2]))),
        (client.models.GetModel, pb.GetModelRequest(name=name)),
    ):
        error = refused(call, request)
        assert (error.code, error.reason) == (StatusCode.DATA_LOSS, "MODEL_UNREADABLE")


def test_an_unfinished_job_has_no_model(client, runner, refused):
    name = client.create().name
    runner.next().begin()
    for call, request in (
        (client.models.DownloadModel, pb.DownloadModelRequest(name=name)),
        (client.models.Predict, pb.PredictRequest(name=name)),
        (client.models.GetModel, pb.GetModelRequest(name=name)),
    ):
        error = refused(call, request)
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "NO_MODEL")
        assert error.metadata == {"state": "RUNNING"}


def test_checkpoints_newest_first_by_pages_and_their_weights(client, runner, refused):
    name = client.create().name
    assert list(client.models.ListCheckpoints(pb.ListCheckpointsRequest(parent=name)).checkpoints) == []
    run = runner.next()
    run.begin()
    for step in (10, 20, 30):
        folder = make_checkpoint(run.request, step)
    (run.request.directory / "checkpoints" / ".partial-step-000000040").mkdir()
    (run.request.directory / "checkpoints" / "step-000000050").mkdir()
    first = client.models.ListCheckpoints(pb.ListCheckpointsRequest(parent=name, page_size=2))
    assert [checkpoint.name for checkpoint in first.checkpoints] == [f"{name}/checkpoints/{n}" for n in (30, 20)]
    assert first.checkpoints[0].create_time.ToJsonString() == "2026-01-02T03:04:05.678Z"
    assert first.checkpoints[0].size_bytes == sum(file.stat().st_size for file in folder.iterdir())
    request = pb.ListCheckpointsRequest(parent=name, page_token=first.next_page_token)
    rest = client.models.ListCheckpoints(request)
    assert ([checkpoint.step for checkpoint in rest.checkpoints], rest.next_page_token) == ([10], "")
    header, content = download(client, f"{name}/checkpoints/20")
    assert (content, header.digest) == (b"weights of 20", "d")
    error = refused(client.models.DownloadModel, pb.DownloadModelRequest(name=f"{name}/checkpoints/21"))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND")


def test_damaged_checkpoints_are_neither_listed_nor_served(client, runner, refused):
    name = client.create().name
    run = runner.next()
    run.begin()
    folders = {step: make_checkpoint(run.request, step) for step in (10, 20, 30, 40)}
    manifest = folders[40] / MANIFEST
    manifest.write_text(manifest.read_text().replace('"step": 40', '"step": 41'))
    folders[30].rename(folders[30].with_name(folder_name(31)))
    (folders[30].parent / "step-12.bak").write_text("")
    (folders[20] / WEIGHTS).write_bytes(b"weights of 10")
    listed = client.models.ListCheckpoints(pb.ListCheckpointsRequest(parent=name)).checkpoints
    assert [checkpoint.step for checkpoint in listed] == [20, 10], "arrays are read when they are asked for"
    for call, request in (
        (client.models.DownloadModel, pb.DownloadModelRequest(name=f"{name}/checkpoints/20")),
        (client.models.Predict, pb.PredictRequest(name=f"{name}/checkpoints/20")),
    ):
        error = refused(call, request)
        assert (error.code, error.reason) == (StatusCode.DATA_LOSS, "CHECKPOINT_DAMAGED")


@pytest.mark.parametrize("name", ["", "jobs/none", "jobs/x/checkpoints/y", "jobs/../x", "jobs/x/checkpoints/../1"])
def test_a_name_of_no_job_or_checkpoint_is_not_found(client, refused, name):
    for call, request in (
        (client.models.DownloadModel, pb.DownloadModelRequest(name=name)),
        (client.models.Predict, pb.PredictRequest(name=name)),
        (client.models.GetModel, pb.GetModelRequest(name=name)),
        (client.models.ListCheckpoints, pb.ListCheckpointsRequest(parent=name)),
    ):
        assert refused(call, request).code is StatusCode.NOT_FOUND


def predict(client, name, rows, columns=()):
    values = np.asarray(rows, np.float32)
    inputs = pb.Tensor(shape=values.shape, values=values.ravel())
    response = client.models.Predict(pb.PredictRequest(name=name, inputs=inputs, columns=columns))
    outputs = np.array(response.outputs.values, np.float32).reshape(tuple(response.outputs.shape))
    return outputs, list(response.classes), list(response.class_names)


ROWS = [[1, 2], [3, -4], [0, 0]]


def test_predict_returns_the_outputs_of_the_model(client, trained):
    name, model = trained()
    outputs, classes, names = predict(client, name, ROWS)
    np.testing.assert_array_equal(outputs, model.predict(np.array(ROWS, np.float32)))
    assert classes == outputs.argmax(axis=1).tolist()
    assert names == []


def test_columns_are_reordered_and_further_ones_ignored(client, trained):
    name, _ = trained(classes=("cat", "dog", "owl"))
    outputs, _, names = predict(client, name, ROWS)
    table = [[9, b, float("nan"), a] for a, b in ROWS]
    again, _, _ = predict(client, name, table, ["y", "b", "other", "a"])
    np.testing.assert_array_equal(again, outputs)
    assert names == ["cat", "dog", "owl"]


def test_a_logit_has_classes_and_a_regression_has_none(client, trained):
    name, _ = trained(loss="binary_cross_entropy", units=1)
    outputs, classes, _ = predict(client, name, [[1, 2], [-9, -9]])
    assert classes == [1, 0] == (outputs[:, 0] > 0.5).astype(int).tolist()
    name, _ = trained(loss="mean_squared_error")
    assert predict(client, name, ROWS)[1] == []


def test_several_outputs_have_a_class_each(client, trained):
    name, _ = trained(loss="binary_cross_entropy", units=3)
    outputs, classes, _ = predict(client, name, ROWS)
    assert classes == (outputs > 0.5).astype(int).ravel().tolist()


def test_each_position_has_a_class(client, trained):
    name, _ = trained(units=3, before=[{"reshape": {"shape": [2, 1]}}])
    outputs, classes, _ = predict(client, name, ROWS)
    assert outputs.shape == (3, 2, 3)
    assert classes == outputs.argmax(axis=2).ravel().tolist()


@pytest.mark.parametrize(
    ("shape", "values", "columns", "field"),
    [
        ([], [], [], "inputs.shape"),
        ([0, 2], [], [], "inputs.shape"),
        ([2, 2], [1, 2, 3], [], "inputs.shape"),
        ([-1, -2], [1, 2], [], "inputs.shape"),
        ([2**31 - 1, 2**31 - 1, 2**31 - 1], [1], [], "inputs.shape"),
        ([1, 3], [1, 2, 3], [], "inputs.shape"),
        ([2], [1, 2], [], "inputs.shape"),
        ([1, 2], [1, float("nan")], [], "inputs[0]"),
        ([2, 2], [1, 2, 3, float("inf")], [], "inputs[1]"),
        ([1, 2], [1, 2], ["a"], "columns"),
        ([1, 2], [1, 2], ["a", "c"], "columns"),
        ([1, 3], [1, 2, 3], ["a", "b", "a"], "columns"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(client, trained, refused, shape, values, columns, field):
    name, _ = trained()
    request = pb.PredictRequest(name=name, inputs=pb.Tensor(shape=shape, values=values), columns=columns)
    error = refused(client.models.Predict, request)
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_INPUTS", [field])


def test_numbers_outside_an_embedding_are_refused(client, trained, refused):
    name, model = trained(before=[{"embedding": {"input_dim": 5, "output_dim": 2}}, "flatten"])
    np.testing.assert_array_equal(predict(client, name, [[0, 4]])[0], model.predict(np.array([[0, 4]], np.float32)))
    for wrong in (5, -1, 0.5):
        inputs = pb.Tensor(shape=[1, 2], values=[0, wrong])
        error = refused(client.models.Predict, pb.PredictRequest(name=name, inputs=inputs))
        assert (error.reason, error.fields) == ("INVALID_INPUTS", ["inputs[0]"])


def test_outputs_beyond_one_message_are_refused(client, trained, refused):
    name, _ = trained(units=5000)
    inputs = pb.Tensor(shape=[205, 2], values=[0.0] * 410)
    error = refused(client.models.Predict, pb.PredictRequest(name=name, inputs=inputs))
    assert error.fields == ["inputs.shape"]
    assert "at most 204" in error.violations[0][1]
    assert predict(client, name, [[0, 0]] * 204)[0].shape == (204, 5000)


def test_column_names_for_a_network_without_columns_are_refused(client, trained, refused):
    name, _ = trained(features=())
    inputs = pb.Tensor(shape=[1, 2], values=[1, 2])
    error = refused(client.models.Predict, pb.PredictRequest(name=name, inputs=inputs, columns=["a", "b"]))
    assert error.fields == ["columns"]


def test_a_checkpoint_is_used_like_a_model(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    models_made = []
    make_checkpoint(run.request, 10, lambda path: models_made.append(make_model(path)))
    (model,) = models_made
    outputs, _, _ = predict(client, f"{name}/checkpoints/10", ROWS)
    np.testing.assert_array_equal(outputs, model.predict(np.array(ROWS, np.float32)))
    header, content = download(client, f"{name}/checkpoints/10", format=pb.MODEL_FORMAT_ONNX)
    assert header.file_name == f"{name.removeprefix('jobs/')}-step-10.onnx"
    assert b"dense_1.kernel" in content


def test_the_best_and_the_last_checkpoint_have_names(client, runner, refused):
    name = client.create(training={"keep": {"best": {}}}).name
    run = runner.next()
    run.begin()
    for which in ("last", "best"):
        error = refused(client.models.GetModel, pb.GetModelRequest(name=f"{name}/checkpoints/{which}"))
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND")
    make_checkpoint(run.request, 20, write_best=lambda path: path.write_bytes(b"best of 20"))
    make_checkpoint(run.request, 30, write_best=lambda path: path.write_bytes(b"best of 30"))
    header, content = download(client, f"{name}/checkpoints/last")
    assert (content, header.digest) == (b"weights of 30", "d")
    assert header.file_name == f"{name.removeprefix('jobs/')}-last.safetensors"
    header, content = download(client, f"{name}/checkpoints/best")
    assert (content, header.digest) == (b"best of 30", "b")
    (run.request.directory / "checkpoints" / folder_name(30) / "best.safetensors").write_bytes(b"damaged")
    error = refused(client.models.GetModel, pb.GetModelRequest(name=f"{name}/checkpoints/best"))
    assert (error.code, error.reason) == (StatusCode.DATA_LOSS, "CHECKPOINT_DAMAGED")


def test_a_checkpoint_with_an_average_gives_the_average(client, runner):
    name = client.create(training={"average": {}}).name
    run = runner.next()
    run.begin()
    make_checkpoint(run.request, 20, write_average=lambda path: path.write_bytes(b"average of 20"))
    for which in ("last", "20"):
        header, content = download(client, f"{name}/checkpoints/{which}")
        assert (content, header.digest) == (b"average of 20", "a")


def test_a_job_that_keeps_the_last_weights_has_no_best_checkpoint(client, runner, refused):
    name = client.create().name
    run = runner.next()
    run.begin()
    make_checkpoint(run.request, 20)
    error = refused(client.models.GetModel, pb.GetModelRequest(name=f"{name}/checkpoints/best"))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND")
    assert "its `training.keep` is not `best`" in error.text
