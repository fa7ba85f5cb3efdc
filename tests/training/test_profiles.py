"""A profile of data that were read once gives the same errors as reading the file again."""

from contextlib import suppress

import numpy as np
import pytest

from raydient.server.training.preparation import check, prepare
from raydient.server.training.profiles import KEPT_READINGS, PROFILE, Profiles, identity, profiles_file
from raydient.spec.errors import InvalidSpec
from raydient.spec.job import JobSpec
from raydient.workers.data import Profile

DENSE = {"dense": {"units": 3}}
FIRST = {"layers": [DENSE], "loss": "softmax_cross_entropy"}
DATASET = {"uri": "data.npz", "features": ["x"], "label": "kind", "split": {"test": 0.3}}


def job(network=FIRST, dataset=DATASET, **training):
    return JobSpec.model_validate({"dataset": dataset, "network": network, "training": {"batch_size": 8, **training}})


@pytest.fixture
def data(tmp_path):
    """30 samples of 2 whole numbers below 8; the class 2 has the weight 0 and there are no classes 3 and 4."""
    path = tmp_path / "data.npz"
    kinds = np.array([0, 1, 2, 5, 6] * 6)
    arrays = {"x": np.arange(60).reshape(30, 2) % 8, "kind": kinds % 3, "gaps": kinds, "two": kinds % 2}
    arrays |= {"number": kinds / 2, "one_hot": np.eye(3)[kinds % 3], "text": np.array(["a", "b", "c"])[kinds % 3]}
    arrays |= {"w": (kinds % 3 != 2).astype(float), "pair": np.ones((30, 2))}
    np.savez(path, **arrays)
    return path


def learned(spec, data, profile=None):
    facts = []
    with suppress(InvalidSpec):
        check(spec, data, profile=profile, learn=facts.append)
    return PROFILE.validate_json(PROFILE.dump_json(facts[0])) if facts else None


def errors(spec, data, **options):
    try:
        check(spec, data, **options)
    except InvalidSpec as invalid:
        return invalid.errors
    return ()


def embedding(dim):
    return [{"embedding": {"input_dim": dim, "output_dim": 2}}, "flatten", DENSE]


NO_WEIGHT = {"softmax_cross_entropy": {"class_weight": [0, 0, 1]}}
JOBS = [
    ({}, FIRST, {}, 0),
    ({}, FIRST, {"batch_size": 22}, 1),
    ({}, FIRST, {"batch_size": 21, "microbatches": 21}, 0),
    ({}, {**FIRST, "layers": [{"dense": {"units": 2}}]}, {"batch_size": 22}, 2),
    ({}, {**FIRST, "layers": [{"dense": {"units": 4}}, "batch_normalization", DENSE]}, {"microbatches": 8}, 1),
    ({}, {**FIRST, "layers": [{"conv2d": {"filters": 1, "kernel_size": 1}}, "flatten", DENSE]}, {}, 1),
    ({}, {**FIRST, "layers": embedding(8)}, {}, 0),
    ({}, {**FIRST, "layers": embedding(7)}, {}, 1),
    ({"standardize": True}, {**FIRST, "layers": embedding(8)}, {}, 1),
    ({}, {**FIRST, "loss": NO_WEIGHT}, {}, 0),
    ({"sample_weight": "w"}, {**FIRST, "loss": NO_WEIGHT}, {}, 2),
    ({"label": "gaps"}, FIRST, {}, 1),
    ({"label": "text"}, {**FIRST, "layers": [{"dense": {"units": 2}}]}, {}, 1),
    ({"label": "text"}, FIRST, {}, 0),
    ({"label": "one_hot"}, {**FIRST, "loss": {"softmax_cross_entropy": {"one_hot": True}}}, {}, 0),
    ({"label": "pair"}, {"layers": [DENSE], "loss": "huber"}, {}, 1),
    ({"label": "number"}, {"layers": [{"dense": {"units": 1}}], "loss": "huber"}, {}, 0),
    ({"label": "two"}, {"layers": [{"dense": {"units": 1}}], "loss": {"hinge": {"class_weight": [0, 1]}}}, {}, 0),
]


@pytest.mark.parametrize(("dataset", "network", "training", "count"), JOBS)
def test_the_facts_give_the_errors_that_reading_gives(data, dataset, network, training, count):
    spec = job(network, {**DATASET, **dataset}, **training)
    profile = learned(spec, data)
    read = errors(spec, data)
    assert len(read) == count
    data.unlink()
    assert errors(spec, data, profile=profile) == read
    if not read:
        (refused,) = errors(spec, data, profile=profile, memory_bytes=1)
        assert refused.path == "resources"


def test_the_memory_is_that_of_the_arrays(data):
    spec = job(
        {"layers": [{"dense": {"units": 1}}], "loss": "huber"}, {**DATASET, "label": "two", "sample_weight": "w"}
    )
    prepared, profile = prepare(spec, data), learned(spec, data)
    assert prepared.memory.data == profile.size_bytes(spec.network.named_outputs)
    assert prepared.memory.data == sum(array.nbytes for array in prepared.dataset.arrays().values())


def test_labels_in_another_encoding_are_read_once(data):
    classes = learned(job(), data)
    numbers = job({"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"})
    both = learned(numbers, data, classes)
    assert both.labels.keys() > classes.labels.keys()
    data.unlink()
    assert errors(numbers, data, profile=classes)[0].message == "there is no such file"
    assert errors(numbers, data, profile=both) == errors(job(), data, profile=both) == ()


def test_initial_weights_are_compared_with_the_data_themselves(data):
    profile = learned(job(), data)
    data.unlink()
    problems = errors(job(initial_weights="jobs/one"), data, profile=profile, jobs=data.parent)
    assert [error.path for error in problems] == ["training.initial_weights", "dataset.uri"]


def test_invalid_values_leave_no_facts(data):
    assert learned(job(dataset={**DATASET, "label": "number"}), data) is None


FACTS = Profile({"input": (2,)}, 3, 1)


@pytest.mark.parametrize("is_stored", [True, False])
def test_profiles_are_found_by_content_and_reading(data, is_stored):
    profiles = Profiles(data.parent if is_stored else None)
    reading = profiles.reading(job(), data)
    assert profiles.find(reading) is None
    profiles.keep(reading, FACTS)
    same = [job(batch_size=4, epochs=3), job({**FIRST, "loss": NO_WEIGHT}), job(dataset={**DATASET, "uri": "b.npz"})]
    same.append(job(dataset={**DATASET, "augment": {"input": {"noise": 1}}}))
    other = [job(seed=2), *(job(dataset={**DATASET, **one}) for one in ({"standardize": True}, {"label": "gaps"}))]
    assert [profiles.find(profiles.reading(spec, data)) for spec in same] == [FACTS] * 4
    assert [profiles.find(profiles.reading(spec, data)) for spec in other] == [None] * 3
    assert profiles_file(data).exists() == is_stored
    data.write_bytes(bytes(data.stat().st_size))
    assert (profiles.find(profiles.reading(job(), data)) == FACTS) == is_stored, "a stored dataset never changes"


def test_profiles_beside_a_dataset_are_bounded_and_survive_only_undamaged(data):
    profiles = Profiles(data.parent)
    readings = [profiles.reading(job(seed=seed), data) for seed in range(KEPT_READINGS + 1)]
    for reading in readings:
        profiles.keep(reading, FACTS)
    assert [Profiles(data.parent).find(reading) for reading in readings] == [None] + [FACTS] * KEPT_READINGS
    profiles_file(data).write_bytes(profiles_file(data).read_bytes()[:-1])
    assert profiles.find(readings[-1]) is None
    profiles.keep(readings[0], FACTS)
    assert profiles.find(readings[0]) == FACTS


def test_a_stored_dataset_that_is_gone_or_cut_off_has_no_profile(data):
    profiles = Profiles(data.parent)
    profiles.keep(profiles.reading(job(), data), FACTS)
    data.write_bytes(data.read_bytes()[:-1])
    assert profiles.find(profiles.reading(job(), data)) is None
    data.unlink()
    reading = profiles.reading(job(), data)
    profiles.keep(reading, FACTS)
    assert profiles.find(reading) is None


def test_no_profile_is_kept_of_a_dataset_that_was_deleted(data):
    profiles = Profiles(data.parent)
    reading = profiles.reading(job(), data)
    data.unlink()
    profiles.keep(reading, FACTS)
    assert list(data.parent.iterdir()) == []


def test_the_profile_depends_on_the_held_out_data(data, tmp_path):
    own, profiles = tmp_path / "own.npz", Profiles()
    own.write_bytes(data.read_bytes())
    spec = job(dataset={**DATASET, "split": {"test": 0.0}, "validation": {"uri": "own.npz"}})
    key = profiles.reading(spec, data, own).key
    assert key == profiles.reading(job(dataset=spec.dataset.canonical(), epochs=3), data, own).key
    assert key != profiles.reading(job(), data).key
    np.savez(own, x=np.ones((2, 2)), kind=np.array([0, 1]))
    assert profiles.reading(spec, data, own).key not in ("", key)
    stored = Profiles(tmp_path)
    assert stored.reading(spec, data, own).key != stored.reading(spec, data, tmp_path / "data.npz").key
    own.unlink()
    assert profiles.reading(spec, data, own).key == stored.reading(spec, data, own).key == ""


def test_the_identity_of_several_files_changes_with_each_of_them(tmp_path):
    pattern, seen = tmp_path / "part-*.csv", set()
    assert identity(pattern) == ""
    for name, content in (("part-1.csv", "a"), ("part-3.csv", "a"), ("part-2.csv", "bb"), ("part-3.csv", "cc")):
        (tmp_path / name).write_text(content)
        seen.add(identity(pattern))
    (tmp_path / "part-2.csv").rename(tmp_path / "part-4.csv")
    seen.add(identity(pattern))
    (tmp_path / "other.csv").write_text("d")
    assert len(seen | {identity(pattern)}) == 5
