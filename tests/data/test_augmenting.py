"""Random changes of training samples, against a twin that changes one pixel at a time."""

import numpy as np
import pytest
from pydantic import ValidationError

from raydient.server.training.augmentation_problems import augmentation_problems
from raydient.spec.augmentation import Augmentation
from raydient.spec.dataset import Dataset
from raydient.spec.network import Network
from raydient.workers.data import Augmenter
from raydient.workers.network import build
from raydient.workers.streams import Purpose, philox, philox_words, stream

ROWS = np.array([5, 0, 2**33 + 1, 17, 3, 99])


def changed(settings: Augmentation, x: np.ndarray, rows=ROWS, epoch: int = 2, seed: int = 7) -> np.ndarray:
    """The samples after their augmentation."""
    result = x.copy()
    Augmenter({"image": settings}, seed).apply({"image": result, "other": x}, rows, epoch)
    return result


def twin(settings: Augmentation, x: np.ndarray, epoch: int = 2, seed: int = 7) -> np.ndarray:
    """The same, pixel by pixel."""
    result = np.zeros_like(x)
    for number, row in enumerate(ROWS):
        ((mirror, down, right, _),) = philox_words(ROWS[number : number + 1], Purpose.AUGMENT, seed, epoch, "image")
        image = x[number]
        if settings.horizontal_flip and mirror & 1:
            image = image[:, ::-1]
        if settings.vertical_flip and mirror & 2:
            image = image[::-1]
        spread = 2 * settings.shift + 1
        down, right = (int(word) * spread // 2**32 - settings.shift for word in (down, right))
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                if 0 <= i - down < x.shape[1] and 0 <= j - right < x.shape[2]:
                    result[number, i, j] = image[i - down, j - right]
        if settings.noise:
            noise = stream(Purpose.AUGMENT, seed, epoch, "image", int(row)).standard_normal(x.shape[1:], np.float32)
            result[number] += noise * np.float32(settings.noise)
    return result


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (4, 7, 3)])
@pytest.mark.parametrize(
    "settings",
    [
        {"horizontal_flip": True},
        {"vertical_flip": True},
        {"shift": 2},
        {"noise": 0.5},
        {"horizontal_flip": True, "vertical_flip": True, "shift": 3, "noise": 0.1},
    ],
)
def test_samples_are_changed_as_by_the_twin(shape, settings) -> None:
    x = np.random.default_rng(1).random((len(ROWS), *shape), np.float32)
    one = Augmentation(**settings)
    result = changed(one, x)
    assert np.array_equal(result, twin(one, x))
    assert not np.array_equal(result, x)


def test_a_sample_does_not_depend_on_those_beside_it() -> None:
    settings = Augmentation(horizontal_flip=True, shift=2, noise=0.1)
    x = np.random.default_rng(1).random((len(ROWS), 6, 6, 2), np.float32)
    whole = changed(settings, x)
    for part in (slice(0, 2), slice(2, 6), [4, 1, 3]):
        assert np.array_equal(changed(settings, x[part], ROWS[part]), whole[part])
    assert not np.array_equal(changed(settings, x, epoch=3), whole)
    assert not np.array_equal(changed(settings, x, seed=8), whole)


def test_every_change_is_as_frequent_as_any_other() -> None:
    x = np.zeros((9000, 5, 5), np.float32)
    x[:, 2, 2] = 1
    places = np.argwhere(changed(Augmentation(shift=1), x, np.arange(9000)))[:, 1:]
    counts = np.unique(places, axis=0, return_counts=True)[1]
    assert counts.tolist() == pytest.approx([1000] * 9, abs=120)
    x = np.zeros((4000, 1, 2), np.float32)
    x[:, 0, 0] = 1
    assert changed(Augmentation(horizontal_flip=True), x, np.arange(4000))[:, 0, 1].mean() == pytest.approx(
        0.5, abs=0.03
    )
    noise = changed(Augmentation(noise=2), np.zeros((500, 40), np.float32), np.arange(500))
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(2, abs=0.05)
    assert len(np.unique(noise)) > 19_000


def test_words_are_those_of_the_paper_and_of_numpy_in_blocks() -> None:
    """Known answers of Random123's `kat_vectors`."""
    ((*words,),) = philox(np.array([0]), (0, 0)).tolist()
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert len(np.unique(philox(np.arange(1000), (1, 2)))) > 3990


TEXT = {"tokens": "word", "length": 3}


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ({"augment": {"image": {"noise": 1}}}, '"image" is no input; these are input'),
        ({"inputs": {"a": "b"}, "augment": {"input": {}}}, '"input" is no input; these are a'),
        ({"inputs": {"a": {"columns": "b", "categories": True}}, "augment": {"a": {}}}, '"a" holds categories'),
        ({"inputs": {"a": {"columns": "b", "text": TEXT}}, "augment": {"a": {}}}, '"a" holds texts'),
        ({"augment": {"input": {"noise": -1}}}, "noise"),
    ],
)
def test_only_inputs_of_numbers_are_augmented(dataset, words) -> None:
    with pytest.raises(ValidationError, match=words):
        Dataset.model_validate({"uri": "x", **dataset})


@pytest.mark.parametrize(
    ("settings", "shape", "layers", "path", "words"),
    [
        ({"shift": 4}, (4, 6, 1), ["flatten"], "dataset.augment.input.shift", "less than 4 is needed"),
        ({"horizontal_flip": True}, (8,), [], "dataset.augment.input", "need images, (height, width)"),
        (
            {"noise": 1},
            (3,),
            [{"embedding": {"input_dim": 5, "output_dim": 2}}, "flatten"],
            "dataset.augment.input",
            "an embedding looks the values of this input up",
        ),
    ],
)
def test_what_does_not_fit_the_samples_is_refused(settings, shape, layers, path, words) -> None:
    layers = [*layers, {"dense": {"units": 1}}]
    network = build(Network.model_validate({"layers": layers, "loss": "mean_squared_error"}), {"input": shape})
    dataset = Dataset.model_validate({"uri": "x", "augment": {"input": settings}})
    (error,) = augmentation_problems(dataset, network)
    assert error.path == path
    assert words in error.message
    fine = Dataset.model_validate({"uri": "x", "augment": {"input": {"noise": 0.1}}})
    assert bool(list(augmentation_problems(fine, network))) == ("embedding" in words)
