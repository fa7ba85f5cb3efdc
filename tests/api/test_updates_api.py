"""Updates of a job's specification over gRPC: what may change, when it takes effect, and that none is lost."""

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict

from raydient.server.training.reports import Amended, Progress
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.steps.amendments import Amendment
from raydient.steps.measurements import Measurements
from raydient.v1 import training_job_pb2 as jobs_pb
from raydient.v1 import training_service_pb2 as pb

StatusCode = grpc.StatusCode
RATE = "spec.training.optimizer.sgd.learning_rate"


def request(name, training, *paths):
    job = ParseDict({"name": name, "spec": {"training": training}}, jobs_pb.TrainingJob())
    return pb.UpdateTrainingJobRequest(training_job=job, update_mask=FieldMask(paths=paths))


@pytest.fixture
def change(client):
    return lambda *arguments: client.training.UpdateTrainingJob(request(*arguments))


@pytest.fixture
def running(client, runner):
    """A job that has made 5 steps, 1 epoch, and its run."""
    job = client.create(training={"epochs": 3, "batch_size": 2, "optimizer": {"sgd": {"learning_rate": 0.5}}})
    run = runner.next()
    run.begin()
    run.say(Progress(5, 15, 1, 3, 10, 1.0, 1, 1, Measurements(0.5, 0.5)))
    return job.name, run


def notices(client, name):
    events = []
    for response in client.watch(name):
        if response.event.HasField("notice"):
            events.append((response.event.notice.reason, response.event.notice.message))
        if response.event.HasField("state_changed") and response.event.state_changed.state >= 6:
            return events
    return events


def test_an_update_is_sent_to_the_run_and_shown_with_its_step_once_it_is_in_force(client, runner, running, change):
    name, run = running
    training = {"epochs": 9, "optimizer": {"sgd": {"learning_rate": 0.25}}}
    changed = change(name, training, "spec.training.epochs", RATE)
    assert (changed.spec.training.epochs, changed.spec.training.optimizer.sgd.learning_rate) == (9, 0.25)
    settings = {"training.epochs": 9, "training.optimizer.sgd.learning_rate": 0.25}
    assert runner.calls[-1] == ("amend", name.removeprefix("jobs/"), Amendment(1, settings, step=5))
    (update,) = changed.updates
    assert [(f.path, f.before, f.after) for f in update.fields] == [
        ("spec.training.epochs", "3", "9"), (RATE, "0.5", "0.25"),
    ]  # fmt: skip
    assert not update.HasField("step")
    run.say(Amended(Amendment(1, settings, 8, 7)))
    (update,) = client.get(name).updates
    assert update.step == 7
    run.succeed()
    text = "training.epochs 3 -> 9, training.optimizer.sgd.learning_rate 0.5 -> 0.25"
    assert notices(client, name) == [
        ("UPDATE_ACCEPTED", f"{text}; it takes effect before the next step"),
        ("UPDATED", f"{text} from step 7 on"),
    ]


def test_an_update_that_changes_nothing_is_not_counted(client, runner, running, change):
    name, _ = running
    change(name, {"epochs": 9}, "spec.training.epochs")
    again = change(name, {"epochs": 9}, "spec.training.epochs")
    assert len(again.updates) == 1
    assert [call for call in runner.calls if call[0] == "amend"] == runner.calls[-1:]


def test_settings_are_removed_by_a_mask_without_a_value(running, change):
    name, _ = running
    limited = {"clipping": {"global_norm": {"limit": 2}}, "max_minutes": 4}
    changed = change(name, limited, "spec.training.clipping", "spec.training.max_minutes")
    assert changed.spec.training.clipping.global_norm.limit == 2
    changed = change(name, {}, "spec.training.clipping", "spec.training.max_minutes")
    assert not changed.spec.training.HasField("clipping")
    assert not changed.spec.training.HasField("max_minutes")


@pytest.mark.parametrize(
    ("training", "path", "rule"),
    [
        ({"batch_size": 9}, "training.batch_size", "cannot be changed once the job exists"),
        ({"max_steps": 9}, "training.max_step", "did you mean training.max_steps?"),
        ({"optimizer": {"adam": {"learning_rate": 1}}}, "training.optimizer.adam.learning_rate", "is another one"),
        ({"early_stopping": {"patience": 3}}, "training.early_stopping.patience", "has no training.early_stopping"),
        ({}, "training.epochs", "a value is needed"),
        ({"epochs": 0}, "training.epochs", "0 is too small"),
        ({"epochs": 1}, "training.epochs", "1 is not above the 1 epoch that the job has made"),
        ({"max_steps": 5}, "training.max_steps", "5 is not above the 5 steps that the job has made"),
        ({"clipping": {"values": {"limit": -1}}}, "training.clipping.values.limit", "-1"),
    ],
)
def test_what_may_not_change_or_breaks_a_rule_is_refused(running, runner, change, refused, training, path, rule):
    name, _ = running
    error = refused(change, name, training, f"spec.{path}")
    assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_SPEC")
    ((field, text),) = error.violations
    assert field == f"spec.{path}"
    assert rule in text
    assert all(call[0] != "amend" for call in runner.calls)


@pytest.mark.parametrize("paths", [[], ["state"], ["*"], [RATE] * 21])
def test_a_mask_names_fields_of_the_specification(running, change, refused, paths):
    error = refused(change, running[0], {"epochs": 9}, *paths)
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_MASK", ["update_mask"])


def test_the_specification_is_compared_with_the_data_again(start, runner, refused):
    def check(spec, dataset, call, validation, kept):
        if spec.training.epochs == 9:
            raise InvalidSpec([FieldError("training.schedule.cosine.decay_steps", "does not fit")])

    client = start(runner, check).client
    name = client.create().name
    error = refused(client.training.UpdateTrainingJob, request(name, {"epochs": 9}, "spec.training.epochs"))
    assert error.violations == [("spec.training.schedule.cosine.decay_steps", "does not fit")]


def test_jobs_that_have_ended_and_jobs_that_are_absent_cannot_be_updated(client, running, change, refused):
    name, run = running
    run.succeed()
    error = refused(change, name, {"epochs": 9}, "spec.training.epochs")
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "JOB_ENDED")
    error = refused(change, "jobs/none", {"epochs": 9}, "spec.training.epochs")
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "JOB_NOT_FOUND")


def test_a_waiting_job_begins_with_its_updates(client, runner, change):
    client.create(resources={"workers": {"min": 4, "max": 4}})
    waiting = client.create(resources={"workers": {"min": 4, "max": 4}})
    change(waiting.name, {"max_steps": 9}, "spec.training.max_steps")
    first = runner.next()
    first.begin()
    first.succeed()
    assert runner.next().request.amendments == [Amendment(1, {"training.max_steps": 9})]


def test_an_accepted_update_survives_the_service(start, fake_runner):
    before = fake_runner(obedient=False, detaches=True)
    served = start(before)
    name = served.client.create().name
    run = before.next()
    run.begin()
    served.client.training.UpdateTrainingJob(request(name, {"epochs": 9}, "spec.training.epochs"))
    served.stop()
    after = fake_runner(detaches=True)
    after.alive.add(run.attachment)
    restarted = start(after)
    following = after.next()
    assert ("amend", name.removeprefix("jobs/"), Amendment(1, {"training.epochs": 9})) in after.calls
    following.say(Amended(Amendment(1, {"training.epochs": 9}, 8, 7)))
    assert restarted.client.get(name).updates[0].step == 7


def test_an_update_that_only_a_checkpoint_has_is_taken_over(client, running):
    """The database was lost and rebuilt without it."""
    name, run = running
    run.say(Amended(Amendment(1, {"training.epochs": 9}, 8, 7)))
    job = client.get(name)
    assert [(f.before, f.after) for f in job.updates[0].fields] == [("3", "9")]
    assert (job.spec.training.epochs, job.updates[0].step) == (9, 7)
