"""Invalid jobs are refused before anything starts, with all errors at once."""

import numpy as np
import pytest

from raydient.server.training.preparation import find_errors, prepare
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import valid_parts, validate_job


def job(path, *, units=3, **training):
    return validate_job(
        {
            "dataset": {"uri": path.name},
            "network": {"layers": [{"dense": {"units": units}}], "loss": "softmax_cross_entropy"},
            "training": training,
        }
    )


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x=rng.random((50, 4)), y=np.arange(50) % 3)
    return path


def test_a_job_that_fits_its_data_is_laid_out(data):
    prepared = prepare(job(data, epochs=2, batch_size=16, microbatches=3), data)
    schedule = prepared.schedule
    assert (schedule.train_rows, schedule.test_rows, schedule.microbatches) == (40, 10, 3)
    assert (schedule.steps, schedule.rounds) == (6, 8)
    assert prepared.network.layout.size == 4 * 3 + 3


def test_microbatches_come_from_the_batch_size_alone(data):
    assert prepare(job(data, batch_size=40), data).schedule.microbatches == 1


def test_a_step_of_several_batches_is_one_of_a_larger_batch(data):
    accumulating = prepare(job(data, epochs=2, batch_size=8, microbatches=2, accumulate=3), data)
    assert accumulating.schedule == prepare(job(data, epochs=2, batch_size=24, microbatches=6), data).schedule
    assert accumulating.spec.training.batch_size == 8


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            {"batch_size": 8, "accumulate": 6},
            "6 batches of 8 are more than the 40 rows of the training part: at most 5",
        ),
        (
            {"batch_size": 2, "microbatches": 2, "accumulate": 513},
            "513 batches of 2 are more than the 40 rows of the training part: at most 20",
        ),
    ],
)
def test_more_batches_in_a_step_than_in_an_epoch(data, training, message):
    with pytest.raises(InvalidSpec) as raised:
        prepare(job(data, **training), data)
    assert [(error.path, error.message) for error in raised.value.errors] == [("training.accumulate", message)]


def test_a_round_of_local_steps_has_the_shares_of_a_batch(data):
    local = {"consistency": {"local": {"steps": 3}}}
    prepared = prepare(job(data, epochs=2, batch_size=8, microbatches=2, **local), data)
    assert prepared.schedule == prepare(job(data, epochs=2, batch_size=24, microbatches=2), data).schedule
    assert prepared.memory.worker > 0


def test_more_local_steps_than_batches(data):
    with pytest.raises(InvalidSpec) as raised:
        prepare(job(data, batch_size=8, consistency={"local": {"steps": 6}}), data)
    message = "6 batches of 8 are more than the 40 rows of the training part: at most 5"
    assert [(e.path, e.message) for e in raised.value.errors] == [("training.consistency.local.steps", message)]


@pytest.mark.parametrize(("microbatches", "fits"), [(8, True), (9, False)])
def test_a_variance_needs_two_rows(data, microbatches, fits):
    spec = job(data, batch_size=16, microbatches=microbatches).canonical()
    spec["network"]["layers"].insert(0, {"batch_normalization": {}})
    if fits:
        assert prepare(validate_job(spec), data).schedule.microbatches == microbatches
    else:
        with pytest.raises(InvalidSpec, match=r"training\.microbatches: 9 of 16 samples have 1 row"):
            prepare(validate_job(spec), data)


def test_all_errors_at_once(data):
    with pytest.raises(InvalidSpec) as raised:
        prepare(job(data, units=2, batch_size=41), data)
    assert [e.path for e in raised.value.errors] == ["training.batch_size", "network.layers[0].dense.units"]
    assert "at most 40" in raised.value.errors[0].message


def errors_of(path, network, **parts):
    with pytest.raises(InvalidSpec) as raised:
        prepare(validate_job({"dataset": {"uri": path.name}, "network": network, **parts}), path)
    return [error.path for error in raised.value.errors]


DENSE = {"dense": {"units": 3}}
WRONG_METRIC = {"layers": [DENSE], "loss": "mean_squared_error", "metrics": ["auc"]}
WRONG_ACTIVATION = {"layers": [{"dense": {"units": 3, "activation": "hard_step"}}], "loss": "softmax_cross_entropy"}


def test_a_missing_file_hides_no_error_of_the_network(tmp_path):
    path = tmp_path / "absent.npz"
    assert errors_of(path, WRONG_METRIC) == ["dataset.uri", "network.metrics[0].auc"]
    assert errors_of(path, WRONG_ACTIVATION) == ["dataset.uri", "network.layers[0].dense.activation"]


def test_the_columns_that_a_job_names_give_the_shapes_where_the_file_is_missing(tmp_path):
    path = tmp_path / "absent.csv"
    network = {"layers": [{"conv2d": {"filters": 1, "kernel_size": 1}}, "flatten", DENSE], "loss": "hinge"}
    dataset = {"uri": path.name, "features": ["a", "b"]}
    assert errors_of(path, network, dataset=dataset) == ["dataset.uri", "network.layers[0].conv2d"]


def test_bad_values_hide_no_error_of_batch_labels_and_network(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,b,y\n" + "1,2,7\n" * 9 + "1,tall,0\n")
    network = {"layers": [DENSE], "loss": "softmax_cross_entropy", "metrics": ["root_mean_squared_error"]}
    assert errors_of(path, network, training={"batch_size": 9}) == [
        "dataset.features",
        "training.batch_size",
        "network.metrics[0].root_mean_squared_error",
    ]
    assert errors_of(path, {"layers": [DENSE], "loss": "softmax_cross_entropy"}, training={"batch_size": 9}) == [
        "dataset.features",
        "training.batch_size",
        "network.layers[0].dense.units",
    ]


@pytest.mark.parametrize(
    ("parts", "problems"),
    [
        ({"training": {"epochs": 0, "batch_size": 90}}, ["dataset.features", "network.layers[0].dense.units"]),
        ({"network": {"layers": []}, "training": {"batch_size": 9}}, ["dataset.features"]),
        ({"network": {"layers": [DENSE]}, "training": {"batch_size": 9}}, ["dataset.features"]),
        ({"dataset": {"uri": 3}}, None),
    ],
)
def test_sections_that_are_valid_are_checked_beside_those_that_are_not(tmp_path, parts, problems):
    path = tmp_path / "data.csv"
    path.write_text("a,b,y\n" + "1,2,7\n" * 9 + "1,tall,0\n")
    job = {"dataset": {"uri": path.name}, "network": {"layers": [DENSE], "loss": "softmax_cross_entropy"}, **parts}
    valid = valid_parts(job)
    assert ("dataset" in valid) == (problems is not None)
    assert problems is None or [error.path for error in find_errors(valid, path)] == problems


def test_a_missing_file(tmp_path):
    path = tmp_path / "absent.npz"
    with pytest.raises(InvalidSpec, match=r"dataset\.uri: there is no such file"):
        prepare(job(path), path)


@pytest.mark.parametrize("standardize", [False, True])
def test_numbers_that_an_embedding_cannot_look_up(tmp_path, standardize):
    path = tmp_path / "words.npz"
    np.savez(path, x=np.arange(40).reshape(20, 2), y=np.arange(20) % 3)
    layers = [{"embedding": {"input_dim": 39, "output_dim": 2}}, "flatten", {"dense": {"units": 3}}]
    job = {
        "dataset": {"uri": path.name, "standardize": standardize},
        "network": {"layers": layers, "loss": "softmax_cross_entropy"},
        "training": {"batch_size": 4},
    }
    with pytest.raises(InvalidSpec) as raised:
        prepare(validate_job(job), path)
    ((where, message),) = [(e.path, e.message) for e in raised.value.errors]
    if standardize:
        assert where == "network.layers[0].embedding.inputs"
        assert "not standardized ones" in message
    else:
        assert where == "network.layers[0].embedding.input_dim"
        assert message == "the largest number in the data is 39: 40 vectors are needed, not 39"


@pytest.mark.parametrize(
    ("loss", "y", "layers", "message"),
    [
        ("softmax_cross_entropy", (4,), [], "outputs of shape (4, 3) need labels of shape (4), but there is one label"),
        ("softmax_cross_entropy", (40, 5), [], "need labels of shape (4), but they have shape (5)"),
        (
            "softmax_cross_entropy",
            (40, 4),
            ["flatten"],
            "outputs of shape (3) need one label a row, but they have shape",
        ),
        ("binary_cross_entropy", (40, 2), ["flatten"], "3 outputs, but 2 label values a row: 2 are needed"),
        ("hinge", (40, 4), [], "outputs of shape (4, 3) need labels of shape (4, 3), but they have shape (4)"),
    ],
)
def test_labels_of_another_shape_than_the_outputs(tmp_path, loss, y, layers, message):
    path, y = tmp_path / "data.npz", np.zeros(y if y[0] == 40 else 40, int)
    np.savez(path, x=np.ones((40, 4, 2)), y=y)
    network = {"layers": [*layers, DENSE], "loss": loss}
    with pytest.raises(InvalidSpec) as raised:
        prepare(validate_job({"dataset": {"uri": path.name}, "network": network}), path)
    (error,) = raised.value.errors
    assert error.path.endswith("dense.units")
    assert message in error.message


def test_labels_that_do_not_count_are_no_classes(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.ones((40, 4, 2)), y=np.tile([0, 255, 2, 1], (40, 1)))
    network = {"layers": [DENSE], "loss": {"softmax_cross_entropy": {"ignore_class": 255}}}
    spec = validate_job({"dataset": {"uri": path.name}, "network": network})
    assert prepare(spec, path).network.output.label_shape == (4,)
    network["loss"]["softmax_cross_entropy"]["ignore_class"] = 254
    assert errors_of(path, network) == ["network.layers[0].dense.units"]


MISSPELT = {"early_stopping": {"monitor": "acuracy"}}
WRONG_PART = {"keep": {"best": {"monitor": "train_auc"}}}
PLATEAU = {"schedule": {"plateau": {}}}
PLATEAU_OF_TRAINING = {"schedule": {"plateau": {"monitor": "train_loss"}}}
PLATEAU_MISSPELT = {"schedule": {"plateau": {"monitor": "auc"}}}
BY_TRAINING_PART = {"keep": {"best": {"monitor": "train_loss"}}}


@pytest.mark.parametrize(
    ("test", "training", "error"),
    [
        (
            0.2,
            MISSPELT,
            'training.early_stopping.monitor: "acuracy" is no metric of this job, there are: loss, accuracy',
        ),
        (0.0, PLATEAU, "training.schedule.plateau: needs a held-out part, and there is none"),
        (0.2, PLATEAU_OF_TRAINING, 'training.schedule.plateau.monitor: "train_loss" is of the training part'),
        (0.2, PLATEAU_MISSPELT, 'training.schedule.plateau.monitor: "auc" is no metric of this job'),
        (0.2, WRONG_PART, 'training.keep.best.monitor: "train_auc" is no metric of this job'),
        (
            0,
            {"early_stopping": {}},
            'training.early_stopping.monitor: "loss" is of the held-out part, and there is none',
        ),
        (0, {"keep": "best"}, "training.keep.best: needs a held-out part, and there is none"),
        (0, BY_TRAINING_PART, "training.keep.best: needs a held-out part"),
    ],
)
def test_a_watched_metric_is_one_that_the_job_has(data, test, training, error):
    spec = job(data, **training).canonical()
    spec["dataset"]["split"] = {"test": test}
    with pytest.raises(InvalidSpec) as raised:
        prepare(validate_job(spec), data)
    assert [str(one).startswith(error) for one in raised.value.errors] == [True], raised.value


def test_invalid_data_are_no_reason_to_miss_a_held_out_part(data):
    arrays = dict(np.load(data))
    arrays["x"] = np.where(np.arange(len(arrays["x"]))[:, None] == 0, np.nan, arrays["x"])
    np.savez(data, **arrays)
    spec = job(data, keep="best").canonical()
    spec["dataset"]["split"] = {"test": 0.2}
    with pytest.raises(InvalidSpec) as raised:
        prepare(validate_job(spec), data)
    assert {one.path.split(".")[0] for one in raised.value.errors} == {"dataset"}, raised.value


@pytest.mark.parametrize("monitor", ["accuracy", "test_accuracy", "train_loss"])
def test_metrics_of_both_parts_can_be_watched(data, monitor):
    spec = job(data, early_stopping={"monitor": monitor}, keep={"best": {"monitor": monitor}})
    assert prepare(spec, data).schedule.epochs == 1


@pytest.mark.parametrize(("steps", "epochs", "rounds"), [(1, 1, 2), (3, 1, 4), (4, 2, 6), (6, 2, 8), (100, 2, 8)])
def test_a_job_ends_after_its_steps(data, steps, epochs, rounds):
    schedule = prepare(job(data, epochs=2, batch_size=16, max_steps=steps), data).schedule
    assert (schedule.steps, schedule.epochs, schedule.rounds) == (min(steps, 6), epochs, rounds)
