"""Downloads of models: whole, verified, in the format of the suffix."""

from pathlib import Path

import grpc
import pytest

from raydient.client import Client, NotSupported, RequestRefused, TransferBroken
from raydient.v1.model_service_pb2 import ModelFormat


@pytest.mark.parametrize("breaks", [[], [0], [3], [2, 2, 1]])
def test_an_interrupted_download_is_completed(client: Client, service, tmp_path: Path, breaks: list[int]) -> None:
    service.add_job()
    service.breaks.extend(breaks)
    done = client.get("one").download(tmp_path / "model.safetensors", checkpoint=7)
    assert done.path.read_bytes() == service.model
    assert done.digest == "d" * 64
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    offsets = [request.offset for request in service.requests["DownloadModel"]]
    assert offsets == [1000 * sum(breaks[:n]) for n in range(len(breaks) + 1)]
    assert {request.name for request in service.requests["DownloadModel"]} == {"jobs/one/checkpoints/7"}


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "npz"])
def test_the_suffix_selects_the_format(client: Client, service, tmp_path: Path, suffix: str) -> None:
    service.add_job()
    client.get("one").download(tmp_path / f"model.{suffix}")
    (request,) = service.requests["DownloadModel"]
    assert ModelFormat.Name(request.format) == f"MODEL_FORMAT_{suffix.upper()}"


def test_a_download_with_a_wrong_checksum_leaves_no_file(client: Client, service, tmp_path: Path) -> None:
    service.add_job()
    (tmp_path / "model.npz").write_bytes(b"older")
    service.model_sha256 = "0" * 64
    with pytest.raises(TransferBroken, match="checksum"):
        client.get("one").download(tmp_path / "model.npz")
    service.fail("DownloadModel", grpc.StatusCode.UNIMPLEMENTED, "not yet")
    with pytest.raises(NotSupported, match="not yet"):
        client.get("one").download(tmp_path / "model.npz")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model.npz", b"older")]


def test_a_model_has_a_known_format(client: Client, service, tmp_path: Path) -> None:
    service.add_job()
    with pytest.raises(RequestRefused, match=r"\.safetensors, \.onnx, \.npz"):
        client.get("one").download(tmp_path / "model.pickle")


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_a_checkpoint_may_have_a_name(client: Client, service, tmp_path: Path, checkpoint: str) -> None:
    service.add_job()
    client.get("one").download(tmp_path / "model.safetensors", checkpoint=checkpoint)
    (request,) = service.requests["DownloadModel"]
    assert request.name == f"jobs/one/checkpoints/{checkpoint}"
