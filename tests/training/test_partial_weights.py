"""Initial weights in part: the parameters that patterns choose, under new names, and what is compared with the data."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from raydient.server.training.preparation import prepare
from raydient.server.training.storage import beginning
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.workers.network import Model, save_model

TENSORS = {
    "a.kernel": np.arange(8, dtype=np.float32).reshape(2, 4),
    "a.bias": np.full(4, 7, np.float32),
    "b.kernel": np.full((4, 5), 8, np.float32),
    "b.bias": np.full(5, 9, np.float32),
}
TABLE = "x,y,kind\n1,2,p\n2,1,q\n4,6,r\n"


def prepared_on(folder, weights, text=TABLE, **dataset):
    """Return a prepared job of the layers `a` and `head`; `weights` is the setting."""
    (folder / "data.csv").write_text(text)
    layers = [{"dense": {"name": "a", "units": 4}}, {"dense": {"name": "head", "units": 3}}]
    data = {
        "dataset": {"uri": "data.csv", "label": "kind", "split": {"test": 0.0}, **dataset},
        "network": {"layers": layers, "loss": "softmax_cross_entropy"},
        "training": {"batch_size": 2, "seed": 5, **({"initial_weights": weights} if weights else {})},
    }
    return prepare(validate_job(data), folder / "data.csv", files=folder)


def first_weights(prepared):
    vector = beginning(prepared).arrays["weights"]
    return {name: view.tolist() for name, view in prepared.network.layout.views(vector).items()}


@pytest.fixture
def start(tmp_path):
    """Return a function that prepares a job with weights taken in part from TENSORS, or from others."""

    def make(tensors=TENSORS, **choice):
        save_file(tensors, tmp_path / "w.safetensors")
        return prepared_on(tmp_path, {"from": "w.safetensors", **choice})

    return make


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        ({"exclude": ["head.*"]}, {"a.kernel": "a.kernel", "a.bias": "a.bias"}),
        ({"include": ["a.*"]}, {"a.kernel": "a.kernel", "a.bias": "a.bias"}),
        ({"include": ["*"], "exclude": ["*bias", "head*"]}, {"a.kernel": "a.kernel"}),
        ({"include": ["?.bias"]}, {"a.bias": "a.bias"}),
        ({"include": ["a.bias"], "rename": {"a.bias": "old", "b.bias": "c"}}, None),
    ],
)
def test_patterns_choose_and_the_others_begin_as_always(start, tmp_path, choice, taken):
    if taken is None:
        with pytest.raises(InvalidSpec, match=r"has no a\.bias, which the network needs: leave it out by `exclude`"):
            start(**choice)
        return
    prepared = start(**choice)
    assert prepared.taken == taken
    always, now = first_weights(prepared_on(tmp_path, None)), first_weights(prepared)
    assert now == {**always, **{name: TENSORS[old].tolist() for name, old in taken.items()}}


def test_layers_and_parameters_have_new_names(start):
    old = {"encoder.kernel": TENSORS["a.kernel"], "offset": TENSORS["a.bias"], "encoder.other": TENSORS["b.bias"]}
    prepared = start(old, include=["a.*"], rename={"encoder": "a", "offset": "a.bias"})
    assert prepared.taken == {"a.kernel": "encoder.kernel", "a.bias": "offset"}
    head = {"c.kernel": np.ones((4, 3), np.float32), "c.bias": np.ones(3, np.float32)}
    whole = start({**TENSORS, **head} | {}, include=["*"], rename={"b": "other", "c": "head"})
    assert whole.taken["head.kernel"] == "c.kernel"
    parameters = {name: array for name, array in TENSORS.items() if name.startswith("a.")} | head
    assert len(start(parameters, rename={"c": "head"}).taken) == 4, "without patterns all are needed"
    with pytest.raises(InvalidSpec, match=r"has b\.bias and 1 more, which the network does not have"):
        start({**TENSORS, **head}, rename={"c": "head"})


@pytest.mark.parametrize(
    ("choice", "path", "message"),
    [
        (
            {"include": ["a.*", "z*"]},
            "include[1]",
            "no parameter of the network matches \"z*\", these are 'a.kernel', ",
        ),
        ({"exclude": ["b.*"]}, "exclude[0]", 'no parameter of the network matches "b.*"'),
        ({"exclude": ["*"]}, "exclude", "matches every parameter that would be taken: leave `initial_weights` out"),
        ({"exclude": ["head*"], "rename": {"z": "a"}}, "rename.z", 'w.safetensors has no parameter or layer "z", only'),
        ({"include": ["a*"], "rename": {"b": "a"}}, "rename", "has a.bias and b.bias, which would both be a.bias"),
        ({"rename": {"a": "c", "b": "c"}}, "rename", '"a" and "b" would both be "c": give them distinct names'),
        (
            {"include": ["head.*"], "rename": {"b": "head"}},
            "",
            "has head.kernel (as b.kernel) as F32 [4, 5], but the network needs F32 [4, 3]: leave it out by `exclude`",
        ),
        ({"exclude": ["a.bias"]}, "", "has no head.kernel and 1 more, which the network needs: leave it out by"),
        ({"includes": ["a"]}, "includes", "unknown key; did you mean include?"),
        ({"form": "w"}, "form", "unknown key; did you mean from?"),
    ],
)
def test_what_hits_nothing_or_does_not_fit_is_refused(start, choice, path, message):
    with pytest.raises(InvalidSpec) as caught:
        start(**choice)
    (error,) = caught.value.errors
    assert error.path == ".".join(filter(None, ("training.initial_weights", path)))
    assert message in error.message


def test_only_ends_whose_parameters_are_taken_are_compared(tmp_path):
    """Other classes need another last layer, other columns another first one."""
    was = prepared_on(tmp_path, None, standardize=True)
    weights = np.ones(was.network.layout.size, np.float32)
    save_model(tmp_path / "w.safetensors", Model(was.spec.network, was.dataset.inputs, weights, was.dataset.targets))

    def prepared(text=TABLE, standardize=True, **choice):
        return prepared_on(tmp_path, {"from": "w.safetensors", **choice}, text, standardize=standardize)

    others = TABLE.replace("q", "z")
    now = prepared(others, exclude=["head.*"])
    assert now.dataset.input.scaling.mean.tolist() == was.dataset.input.scaling.mean.tolist()
    with pytest.raises(
        InvalidSpec, match="has for the output head the classes 'p', 'q', 'r', the data of this job 'p', 'r'"
    ):
        prepared(others, exclude=["a.*"])
    assert len(prepared(TABLE.replace("x,y", "x,u"), exclude=["a.*"]).taken) == 2
    with pytest.raises(InvalidSpec, match="was trained on the columns 'x', 'y', this job has 'x', 'u'"):
        prepared(TABLE.replace("x,y", "x,u"), exclude=["head.*"])
    with pytest.raises(InvalidSpec, match="was trained with standardization"):
        prepared(exclude=["head.*"], standardize=False)


@pytest.mark.parametrize("setting", ["jobs/one", {"from": "jobs/one"}, {"from": "jobs/one", "include": ["a*"]}, ""])
def test_both_forms_survive_json(setting):
    network = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
    training = {"initial_weights": setting}
    job = validate_job({"dataset": {"uri": "a.csv"}, "network": network, "training": training})
    canonical = job.canonical()
    assert validate_job(canonical) == job
    if not setting:
        assert job.training.initial_weights is None
        assert "initial_weights" not in canonical["training"]
    else:
        assert canonical["training"]["initial_weights"]["from"] == "jobs/one"
