"""The real server as a process: accepted jobs and data survive its end."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import closing
from urllib.request import urlopen

import grpc
import numpy as np
import onnxruntime
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.parser import text_string_to_metric_families
from safetensors.numpy import save_file

from raydient.client import InvalidSpec, JobNotSucceeded
from raydient.server.embedded import train
from raydient.spec.validation import validate_job
from raydient.workers.network import load_model

from .serving import descendants, ending, events_so_far, messages, notices, serving, wait_for_step

LONG = {"epochs": 250}
"""1,500 steps: some seconds."""


def test_served_and_embedded_are_one(spec, job, undisturbed, tmp_path):
    with serving(tmp_path / "state") as (server, client):
        submitted = client.submit(spec(3, **LONG))
        assert submitted.wait().digest == undisturbed(job(2, **LONG))
        assert submitted.history().curve("loss", "test")[0] == list(range(1, 251))
        submitted.download(tmp_path / "model.safetensors")
        assert (tmp_path / "model.safetensors").stat().st_size > 1000
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0


def test_a_checkpoint_is_a_model_in_every_format(spec, data, tmp_path):
    """ONNX Runtime and NumPy compute from the downloads the same as the service predicts."""
    with np.load(data) as arrays:
        x = arrays["x"][:20]
    with serving(tmp_path / "state") as (_, client):
        job = client.submit(spec(2)).wait()
        last, before = (checkpoint.step for checkpoint in job.checkpoints())
        predicted = job.predict(x, checkpoint=before).outputs
        assert not np.array_equal(predicted, job.predict(x).outputs)
        np.testing.assert_array_equal(job.predict(x).outputs, job.predict(x, checkpoint=last).outputs)
        files = {suffix: tmp_path / f"model{suffix}" for suffix in (".onnx", ".npz", ".safetensors")}
        digests = {job.download(path, checkpoint=before).digest for path in files.values()}
    session = onnxruntime.InferenceSession(files[".onnx"], providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"input": np.float64(x)})[0], predicted, atol=1e-6)
    model = load_model(files[".safetensors"])
    np.testing.assert_array_equal(model.predict(x), predicted)
    with np.load(files[".npz"], allow_pickle=False) as arrays:
        scaled = (x - arrays["scaling_mean"]) / arrays["scaling_scale"]
        hidden = np.tanh(scaled @ arrays["dense_1.kernel"] + arrays["dense_1.bias"])
        outputs = hidden @ arrays["dense_2.kernel"] + arrays["dense_2.bias"]
        np.testing.assert_array_equal(outputs.argmax(axis=1), predicted.argmax(axis=1))
        assert digests == {model.digest, str(arrays["digest"])}


def test_a_killed_server_lists_every_job_and_goes_on_with_them(spec, job, undisturbed, tmp_path):
    state = tmp_path / "state"
    with serving(state, "--slots", "2") as (server, client):
        running, queued = client.submit(spec(2, **LONG)), client.submit(spec(1, epochs=2))
        wait_for_step(running, 300)
        assert queued.refresh().state == "QUEUED", "the cluster is full"
        server.kill()
        server.wait()
    with serving(state, "--slots", "2") as (server, client):
        assert [j.name for j in client.list()] == [queued.name, running.name]
        again = client.get(running.name)
        assert again.wait().digest == undisturbed(job(2, **LONG))
        reasons = [e.notice.reason for e in messages(again) if e.WhichOneof("event") == "notice"]
        assert "RESUMED" in reasons
        assert again.history().curve("loss", "test")[0] == list(range(1, 251))
        assert client.get(queued.name).wait().state == "SUCCEEDED"


def test_a_lost_database_is_rebuilt_and_the_jobs_go_on_to_the_same_weights(spec, job, undisturbed, tmp_path):
    state = tmp_path / "state"
    with serving(state) as (server, client):
        done, running = client.submit(spec(2, epochs=2)).wait(), client.submit(spec(2, **LONG))
        points = done.history().points
        wait_for_step(running, 300)
        server.kill()
        server.wait()
    for file in state.glob("raydient.db*"):
        file.unlink()
    cli = [sys.executable, "-m", "raydient.client.cli"]
    refused = subprocess.run([*cli, "serve", "--state", state], check=False, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "holds 2 jobs and 1 dataset, but its database raydient.db is missing: " in refused.stderr
    command = [*cli, "rebuild", "--state", state, "--json"]
    rebuilt = subprocess.run(command, check=False, capture_output=True, text=True)
    rebuilding = json.loads(rebuilt.stdout)
    assert (rebuilt.returncode, rebuilt.stderr, rebuilding["problems"]) == (0, "", [])
    assert [(j["name"], j["state"]) for j in rebuilding["jobs"]] == [(done.name, "SUCCEEDED"), (running.name, "PAUSED")]
    with serving(state) as (server, client):
        assert [j.name for j in client.list()] == [running.name, done.name]
        assert client.get(done.name).digest == done.digest
        assert client.get(done.name).history().points == points
        again = client.get(running.name)
        assert again.resource.state_reason == "REBUILT"
        assert again.resume().wait().digest == undisturbed(job(2, **LONG))
        assert "RESUMED" in [e.notice.reason for e in messages(again) if e.WhichOneof("event") == "notice"]
        assert again.history().curve("loss", "test")[0] == list(range(1, 251))


def test_a_stopped_server_takes_a_checkpoint_first(spec, job, undisturbed, tmp_path):
    state = tmp_path / "state"
    with serving(state) as (server, client):
        running = client.submit(spec(2, checkpoint_seconds=1000.0, **LONG))
        wait_for_step(running, 300)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    (checkpoint,) = (state / "jobs").glob("*/checkpoints/step-*")
    assert int(checkpoint.name.removeprefix("step-")) >= 300
    with serving(state) as (server, client):
        assert client.get(running.name).wait().digest == undisturbed(job(2, **LONG))


def test_a_job_goes_on_without_the_one_whose_weights_it_began_with(spec, data, tmp_path):
    def begun_with(weights):
        plain = spec(2, **LONG)
        return {**plain, "training": {**plain["training"], "initial_weights": weights}}

    state = tmp_path / "state"
    with serving(state) as (server, client):
        first = client.submit(spec(2)).wait()
        first.download(tmp_path / "first.safetensors")
        second = client.submit(begun_with(first.name))
        wait_for_step(second, 300)
        first.delete()
        server.kill()
        server.wait()
    with serving(state) as (server, client):
        digest = client.get(second.name).wait().digest
    prepared_spec = validate_job(begun_with("first.safetensors"))
    finished = train(prepared_spec, data, directory=tmp_path / "again", report=lambda report: None, files=tmp_path)
    assert digest == finished.digest


def test_an_uploaded_model_is_the_start_that_it_is_locally(spec, job, data, tmp_path):
    layout = job().network.layout
    save_file(layout.views(np.linspace(-0.5, 0.5, layout.size, dtype=np.float32)), tmp_path / "first.safetensors")
    plain = spec(2, epochs=2)
    begun = {**plain, "training": {**plain["training"], "initial_weights": "first.safetensors"}}
    with serving(tmp_path / "state") as (_, client):
        submitted = client.submit(begun, directory=tmp_path)
        client.delete_dataset(submitted.spec.training.initial_weights.from_)
        digest = submitted.wait().digest
        damaged = tmp_path / "damaged.safetensors"
        damaged.write_bytes((tmp_path / "first.safetensors").read_bytes()[:-4])
        with pytest.raises(InvalidSpec, match=r"training\.initial_weights: datasets/.* is no safetensors file"):
            client.submit(
                begun | {"training": {**begun["training"], "initial_weights": damaged.name}}, directory=tmp_path
            )
    again = tmp_path / "again"
    assert digest == train(validate_job(begun), data, directory=again, report=lambda _: None, files=tmp_path).digest


def test_cancel_ends_every_process_of_the_job(spec, tmp_path):
    with serving(tmp_path / "state") as (server, client):
        running = client.submit(spec(2, epochs=100_000))
        wait_for_step(running, 10)
        assert len(descendants(server.pid)) >= 4, "coordinator, parameter server, two workers"
        running.cancel()
        with pytest.raises(JobNotSucceeded) as ended:
            running.wait()
        assert ended.value.state == "CANCELLED"
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
        assert descendants(server.pid) == []


def test_processes_end_with_a_killed_server(spec, tmp_path):
    with serving(tmp_path / "state") as (server, client):
        wait_for_step(client.submit(spec(2, epochs=100_000)), 10)
        with ending(descendants(server.pid)):
            server.kill()


def test_health_reflection_and_metrics_answer(tmp_path):
    with serving(tmp_path / "state") as (server, _):
        channel = grpc.insecure_channel(server.address)
        with closing(channel):
            health = health_pb2_grpc.HealthStub(channel)
            for service in ("", "raydient.v1.TrainingService"):
                answer = health.Check(health_pb2.HealthCheckRequest(service=service))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert {"raydient.v1.TrainingService", "raydient.v1.DatasetService", "raydient.v1.ModelService"} <= {*services}
        with urlopen(server.metrics) as answer:
            families = {family.name for family in text_string_to_metric_families(answer.read().decode())}
        assert {"raydient_jobs", "raydient_rpc_seconds", "raydient_build_info"} <= families


def test_a_scrape_and_a_client_see_how_each_layer_learns(spec, tmp_path):
    with serving(tmp_path / "state") as (server, client):
        job = client.submit(spec(2)).wait()
        progress = client.get(job.name).resource.progress
        with urlopen(server.metrics) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    samples = {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}
    name, health = job.name.removeprefix("jobs/"), progress.gradient_health
    assert [layer.layer for layer in health.layers] == ["dense_1", "dense_2"]
    for layer in health.layers:
        assert samples["raydient_job_gradient_norm", *sorted((name, layer.layer))] == layer.gradient_norm > 0
        assert samples["raydient_job_update_ratio", *sorted((name, layer.layer))] == layer.update_ratio > 0
        assert samples["raydient_job_non_finite_values", *sorted((name, layer.layer))] == layer.non_finite_values == 0
    assert samples["raydient_job_health_step", name] == health.step == progress.steps
    assert samples["raydient_job_state", *sorted((name, "succeeded"))] == 1
    assert samples["raydient_queue_wait_seconds_count",] == 1
    assert samples["raydient_worker_slots", "total"] >= 4


def test_a_metrics_port_in_use_is_one_line_and_status_2(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "raydient.client.cli", "serve", "--state", str(tmp_path / "state")]
        options = ["--address", "127.0.0.1:0", "--metrics-address", address]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"cannot serve metrics on {address}: address already in use\n"


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_on_a_joined_ray_does_not_notice_that_its_server_ended(spec, tmp_path, number):
    state, options = tmp_path / "state", ["--cluster", "ray", "--ray-address", ray_address()]
    with serving(state, *options) as (server, client):
        running = client.submit(spec(2, checkpoint_seconds=1000.0, epochs=2000))
        wait_for_step(running, 300)
        server.send_signal(number)
        assert server.wait(timeout=60) == (0 if number == signal.SIGTERM else -number)
    with serving(state, *options) as (server, client):
        again = client.get(running.name)
        wait_for_step(again, 1000)
        events = events_so_far(again)
        states = [e.state_changed.state for e in events if e.WhichOneof("event") == "state_changed"]
        notices = [e.notice.reason for e in events if e.WhichOneof("event") == "notice"]
        assert len(states) == 3, "queued, starting, running, and never again"
        assert "RESUMED" not in notices
        again.cancel()
        with pytest.raises(JobNotSucceeded):
            again.wait()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_stop_jobs_pauses_a_job_on_a_joined_ray(spec, tmp_path):
    state, options = tmp_path / "state", ["--cluster", "ray", "--ray-address", ray_address(), "--stop-jobs"]
    with serving(state, *options) as (server, client):
        running = client.submit(spec(2, checkpoint_seconds=1000.0, epochs=2000))
        wait_for_step(running, 300)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    with serving(state, *options) as (server, client):
        again = client.get(running.name)
        wait_for_step(again, 600)
        again.cancel()
        with pytest.raises(JobNotSucceeded):
            again.wait()
        assert "RESUMED" in notices(again)


def ray_address():
    """The address of the Ray of this process."""
    import ray

    return ray.get_runtime_context().gcs_address
