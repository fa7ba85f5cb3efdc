"""Data in an object store: an S3 server and the service as processes, and the same bits as from the files."""

import subprocess
import sys

import fsspec
import pytest

from raydient.client import InvalidSpec, NotPermitted
from raydient.client.data_file import data_here
from raydient.spec.patterns import paths_of
from raydient.spec.validation import validate_job

from .serving import serving

ROWS = [f"{x},{x % 7},{x % 2}" for x in range(40)]
PARTS = {f"part-{number}.csv": "\n".join(["a,b,y", *ROWS[20 * number : 20 * number + 20]]) for number in range(2)}
JOB = {
    "network": {"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"},
    "training": {"epochs": 2, "batch_size": 16},
    "resources": {"workers": 1},
}


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server with the two files of a table below `s3://bucket/data`; the environment has its credentials."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        address = next(line.rpartition(" ")[2].strip() for line in server.stderr if "Running on http://" in line)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = fsspec.filesystem("s3", skip_instance_cache=True)
        store.mkdir("bucket")
        store.pipe({f"bucket/data/{name}": text.encode() for name, text in PARTS.items()})
        yield store
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def test_a_job_reads_an_object_store(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, text in PARTS.items():
        (tmp_path / name).write_text(text)
    url = "s3://bucket/data/part-*.csv"
    spec = validate_job({**JOB, "dataset": {"uri": url}})
    local, _ = data_here(spec, tmp_path)
    assert {path.name: path.read_text() for path in paths_of(local)} == PARTS
    with serving(tmp_path / "state", "--data-url", "s3://bucket/data") as (_, client):
        uploaded, job = client.submit(JOB, tmp_path / "part-*.csv"), client.submit(spec)
        bucket.rm("bucket/data", recursive=True)
        assert job.wait().digest == uploaded.wait().digest
        with pytest.raises(InvalidSpec, match=r"part-\*.csv: there is no such file"):
            client.submit(spec)
        with pytest.raises(NotPermitted, match="--data-url"):
            client.submit({**JOB, "dataset": {"uri": "s3://bucket/private.csv"}})
    assert all(b"hunter2" not in path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
