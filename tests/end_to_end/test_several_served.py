"""A network of several inputs and outputs through everything: workers, the service, the model file, predictions."""

import csv
from pathlib import Path

import numpy as np
import pytest

from raydient.client import InvalidSpec, RequestRefused
from raydient.server.training.preparation import prepare
from raydient.spec.reading import read_job_file
from raydient.spec.validation import validate_job
from raydient.workers.network import load_model

from .conftest import execute
from .serving import serving

EXAMPLES = Path(__file__).parents[2] / "examples"
JOB = EXAMPLES / "two_inputs.yaml"


def job(workers, epochs=2):
    data = read_job_file(JOB).canonical()
    data["training"]["epochs"] = epochs
    data["resources"] = {"workers": workers}
    return data


@pytest.fixture(scope="module")
def rows():
    """Return the first flats as they are in the file: every column, as text."""
    with (EXAMPLES / "flats.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    return {name: [line[place] for line in lines[:20]] for place, name in enumerate(header)}


def test_any_number_of_workers_gives_the_same_bits(local, tmp_path):
    digests = set()
    for workers in (1, 3):
        prepared = prepare(validate_job(job(workers)), EXAMPLES / "flats.csv")
        digests.add(execute(prepared, local, tmp_path / str(workers)).digest)
    assert len(digests) == 1
    model = load_model(tmp_path / "3" / "model.safetensors")
    assert digests == {model.digest}
    assert model.inputs["district"].vocabulary[:2] == ("airport", "canal")
    assert model.targets["band"].classes == ("high", "low", "middle")


def test_submitted_watched_and_predicted(rows, tmp_path):
    with serving(tmp_path / "state") as (_, client):
        submitted = client.submit(job(2), directory=EXAMPLES)
        submitted.wait()
        history = submitted.history()
        (_, total), (_, price), (_, band) = (
            history.curve(name, "test") for name in ("loss", "price_loss", "band_loss")
        )
        np.testing.assert_allclose(total, np.array(price) * 0.001 + band, rtol=1e-12)
        for name in ("band_accuracy", "price_r2"):
            assert len(history.curve(name, "train")[0]) == len(history.curve(name, "test")[0]) == 2
        submitted.download(tmp_path / "model.safetensors")
        model = load_model(tmp_path / "model.safetensors")
        numbers = np.array([rows["area"], rows["age"]], np.float32).T
        by_input = {"numbers": numbers, "district": rows["district"], "kind": rows["kind"]}
        texts = {name: np.array(rows[name])[:, np.newaxis] for name in ("district", "kind")}
        expected = model.predict_all({"numbers": numbers, **texts})
        for arrays in (rows, by_input):
            predictions = submitted.predict_all(arrays)
            assert list(predictions) == ["price", "band"]
            for name, outputs in expected.items():
                np.testing.assert_array_equal(predictions[name].outputs, outputs)
            assert predictions["band"].class_names == ("high", "low", "middle")
            assert predictions["band"].classes.tolist() == expected["band"].argmax(axis=1).tolist()
            assert predictions["price"].classes is None
        for wrong, message in (
            ({"numbers": numbers, "kind": rows["kind"]}, "missing: district"),
            ({**rows, "area": ["wide"] * 20}, "area, row 1: 'wide' is not a number"),
            ({**by_input, "numbers": numbers[:, :1]}, r"numbers: at least one sample of shape \(2,\) is needed"),
            ({**by_input, "numbers": numbers * np.nan}, "area, row 1: there is no value"),
        ):
            with pytest.raises(ValueError, match=message):
                submitted.predict_all(wrong)
        with pytest.raises(RequestRefused, match="district: row 20: 'nowhere' is none of the 12 categories"):
            submitted.predict_all({**rows, "district": [*rows["district"][:19], "nowhere"]})
        with pytest.raises(ValueError, match="several outputs, price, band: use predict_all"):
            submitted.predict(numbers)


def test_a_job_that_does_not_fit_its_data_is_refused_at_submission(tmp_path):
    fed, looked_up = job(2), job(2)
    fed["dataset"]["inputs"]["spare"] = {"columns": ["age"]}
    looked_up["network"]["layers"][0]["embedding"]["input_dim"] = 11
    with serving(tmp_path / "state") as (_, client):
        for data, path in ((fed, "dataset.inputs.spare"), (looked_up, "network.layers[0].embedding.input_dim")):
            with pytest.raises(InvalidSpec) as refused:
                client.submit(data, directory=EXAMPLES)
            assert [error.path for error in refused.value.errors] == [path]
