"""`raydient update` and `Job.update`: the request that they send, and what people see."""

import json

import grpc
import pytest

from raydient.client.updating import update_request
from raydient.spec.errors import InvalidSpec


def request(settings):
    built = update_request("jobs/one", settings)
    return built.training_job.spec.training, list(built.update_mask.paths)


def test_a_request_has_the_values_and_names_their_fields():
    training, paths = request({
        "training.max_steps": 500,
        "training.optimizer.adam.learning_rate": 0.25,
        "training.clipping": {"global_norm": {"limit": 2}},
        "training.max_minutes": None,
    })  # fmt: skip
    assert (training.max_steps, training.optimizer.adam.learning_rate) == (500, 0.25)
    assert training.clipping.global_norm.limit == 2
    assert not training.HasField("max_minutes")
    assert paths == [
        "spec.training.max_steps",
        "spec.training.optimizer.adam.learning_rate",
        "spec.training.clipping",
        "spec.training.max_minutes",
    ]


def test_an_option_without_settings_may_be_a_bare_name():
    training, paths = request({"training.consistency": "asynchronous"})
    assert training.consistency.WhichOneof("kind") == "asynchronous"
    assert paths == ["spec.training.consistency"]


def test_a_field_that_may_not_change_is_left_to_the_service():
    _, paths = request({"training.batch_size": 3, "no.field": {}})
    assert paths == ["spec.training.batch_size", "spec.no.field"]


@pytest.mark.parametrize(
    ("path", "value"), [("training.max_steps", "many"), ("training.clipping", 3), ("training.consistency", "eventual")]
)
def test_a_value_of_another_type_is_an_error_with_its_path(path, value):
    with pytest.raises(InvalidSpec) as caught:
        request({path: value})
    ((error),) = caught.value.errors
    assert str(error) == f"{path}: {value!r} is no value of this field"


def test_update_and_get_show_the_updates(run, service, client):
    job = service.add_job(state="RUNNING")
    updated = run("update", "one", "training.max_steps=500")
    assert updated.stdout.splitlines() == ["jobs/one RUNNING", "training.max_steps none -> 500, not in force yet"]
    job.updates[0].step = 240
    assert client.get("one").update({"training.epochs": 500}).resource.updates[1].number == 2
    lines = [line.split(maxsplit=1)[1] for line in run("get", "one").stdout.splitlines() if line.startswith("updated")]
    assert lines == [
        "training.max_steps none -> 500, from step 240 on",
        "training.epochs none -> 500, not in force yet",
    ]
    (first, _) = service.requests["UpdateTrainingJob"]
    assert first.training_job.spec.training.max_steps == 500


def test_a_refused_update_has_the_path_of_the_job_file_and_status_2(run, service):
    service.add_job(state="RUNNING")
    code, path = grpc.StatusCode.INVALID_ARGUMENT, "training.batch_size"
    service.fail("UpdateTrainingJob", code, "no", "INVALID_SPEC", **{f"spec.{path}": "cannot be changed"})
    done = run("update", "one", "training.batch_size=3", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"] == {
        "reason": "INVALID_SPEC",
        "message": f"{path}: cannot be changed",
        "violations": [{"path": path, "message": "cannot be changed", "line": None}],
    }


def test_a_value_of_another_type_is_one_line_and_status_2(run, service):
    service.add_job(state="RUNNING")
    done = run("update", "one", "training.max_steps=many")
    assert (done.exit_code, done.stderr) == (2, "training.max_steps: 'many' is no value of this field\n")
    assert "UpdateTrainingJob" not in service.requests
