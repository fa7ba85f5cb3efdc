"""Downloads of models: whole, verified, in the format of the suffix."""

import fcntl
import hashlib
import os
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


@pytest.fixture
def interrupted(client: Client, service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The target of a download of which 3000 bytes have arrived."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    service.add_job()
    service.breaks.append(3)
    (tmp_path / "model.npz").write_bytes(b"older")
    with monkeypatch.context() as patch:
        patch.setattr("raydient.client.download.Attempts.pause_after", interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.get("one").download(tmp_path / "model.npz")
    assert contents(tmp_path) == {".model.npz.part": service.model[:3000], "model.npz": b"older"}
    service.requests.clear()
    return tmp_path / "model.npz"


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def offsets(service) -> list[int]:
    """Return the offsets from which a model was asked for."""
    return [request.offset for request in service.requests["DownloadModel"]]


def test_another_call_goes_on_where_one_was_interrupted(client: Client, service, interrupted: Path) -> None:
    done = client.get("one").download(interrupted)
    assert contents(interrupted.parent) == {"model.npz": service.model}
    assert (offsets(service), done.size_bytes) == ([3000], len(service.model))


@pytest.mark.parametrize("size", [4000, 2000])
def test_a_part_of_another_model_is_not_used(client: Client, service, interrupted: Path, size: int) -> None:
    service.model = bytes(reversed(service.model))[:size]
    service.model_sha256 = hashlib.sha256(service.model).hexdigest()
    if size < 3000:
        service.fail("DownloadModel", grpc.StatusCode.OUT_OF_RANGE, reason="OFFSET_BEYOND_END")
    client.get("one").download(interrupted)
    assert contents(interrupted.parent) == {"model.npz": service.model}
    assert offsets(service) == [3000, 0]


def test_a_part_that_another_process_writes_is_left_alone(client: Client, service, interrupted: Path) -> None:
    part = interrupted.with_name(".model.npz.part")
    with part.open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        client.get("one").download(interrupted)
    assert contents(interrupted.parent) == {".model.npz.part": service.model[:3000], "model.npz": service.model}
    assert offsets(service) == [0]


def link(part: Path, victim: Path, patch: pytest.MonkeyPatch) -> None:
    part.symlink_to(victim)


def second_name(part: Path, victim: Path, patch: pytest.MonkeyPatch) -> None:
    part.hardlink_to(victim)


def pipe(part: Path, victim: Path, patch: pytest.MonkeyPatch) -> None:
    os.mkfifo(part)


def file_of_another_user(part: Path, victim: Path, patch: pytest.MonkeyPatch) -> None:
    part.write_bytes(b"planted")
    own = os.geteuid()
    patch.setattr(os, "geteuid", lambda: own + 1)


@pytest.mark.parametrize("plant", [link, second_name, pipe, file_of_another_user])
def test_a_part_that_another_user_has_left_is_not_touched(
    client: Client, service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant
) -> None:
    service.add_job()
    victim, part = tmp_path / "victim", tmp_path / ".model.npz.part"
    victim.write_bytes(b"precious")
    plant(part, victim, monkeypatch)
    before = os.lstat(part)
    client.get("one").download(tmp_path / "model.npz")
    assert os.path.samestat(before, os.lstat(part))
    assert os.lstat(part).st_size == before.st_size
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "model.npz").read_bytes() == service.model
    assert not (tmp_path / "model.npz").is_symlink()


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
