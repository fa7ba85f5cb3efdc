"""`raydient predict`: files as training reads them, output under the names of labels and classes."""

import gzip
import json
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydient.client.columns import numbers, own_type
from raydient.client.samples import read_samples
from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Network
from raydient.v1.model_service_pb2 import Model, ModelInput, ModelOutput, PredictRequest, PredictResponse, Tensor
from raydient.v1.model_service_pb2 import Prediction as OutputPrediction
from raydient.workers.data import Budget, csv_file
from raydient.workers.network import Model as NetworkModel
from raydient.workers.network import Preprocessing, Target, build, save_model


def plain(*columns: str, shape: int = 2, label: str = "y") -> Model:
    return Model(
        inputs=[ModelInput(name="input", shape=[len(columns)], columns=columns, is_table=True)],
        outputs=[ModelOutput(name="dense_1", label=label, shape=[shape])],
    )


def answer(request: PredictRequest) -> PredictResponse:
    rows = request.arrays["input"].shape[0]
    output = OutputPrediction(
        outputs=Tensor(shape=[rows, 2], values=[0.25, 0.75] * rows), classes=[1] * rows, class_names=["no", "yes, sir"]
    )
    return PredictResponse(predictions={"dense_1": output})


@pytest.fixture
def job(service):
    """The resource of a job whose model takes the columns a and b."""
    service.described.CopyFrom(plain("a", "b"))
    service.predict = answer
    job = service.add_job()
    job.spec.dataset.label = "y"
    return job


def test_columns_are_selected_by_name_and_unknown_ones_are_listed_once(run, service, job, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("b,kind,a,y,mark\n2,red,1,0,1\n4,blue,3,nan,nan\n")
    done = run("predict", "one", data)
    assert done.stdout == 'class,no,"yes, sir"\n"yes, sir",0.25,0.75\n"yes, sir",0.25,0.75\n'
    assert done.stderr.splitlines() == [f"{data}: not used, since the network was not trained on it: kind, mark"]
    assert list(service.requests["Predict"][0].arrays["input"].doubles) == [1, 2, 3, 4]
    job.spec.dataset.features[:] = ["a", "b"]
    assert run("predict", "one", data).stderr == "", "the training data may have had such columns"
    data.write_text("b,a,y\n2,1,cat\n")
    del job.spec.dataset.features[:]
    assert run("predict", "one", data).stderr == "", "a label is no news"


def test_unused_columns_may_hold_anything(run, service, job, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(b"note,a,b,note,\n" + b"x" * 200_000 + b",1,2,\xff,\n")
    assert run("predict", "one", data).exit_code == 0
    np.savez(tmp_path / "data.npz", a=np.ones(1), b=np.ones(1), note=np.array([{}], object))
    assert run("predict", "one", tmp_path / "data.npz").exit_code == 0
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 damaged")
    done = run("predict", "one", tmp_path / "data.npz")
    assert (done.exit_code, "not an NPZ file" in done.stderr) == (2, True)
    service.described.inputs[0].CopyFrom(
        ModelInput(name="input", shape=[1], columns=["t"], is_table=True, has_categories=True)
    )
    data.write_bytes(b"t\nUlm\nK\xf6ln\n")
    assert "t, row 2 (line 3): the text is not UTF-8" in run("predict", "one", data).stderr


def test_arrays_of_an_npz_file(run, service, job, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.ones((1, 2)), y=np.ones(1))
    printed = json.loads(run("predict", "one", tmp_path / "data.npz", "--json").stdout)
    assert printed == {"classes": ["yes, sir"], "class_names": ["no", "yes, sir"], "outputs": [[0.25, 0.75]]}
    np.savez(tmp_path / "data.npz", b=np.ones(1), a=np.array([2**53 + 1]))
    assert run("predict", "one", tmp_path / "data.npz").exit_code == 0
    service.described.inputs[0].CopyFrom(ModelInput(name="input", shape=[1], columns=["t"]))
    np.savez(tmp_path / "data.npz", t=np.array([2**53 + 1, 3]))
    assert run("predict", "one", tmp_path / "data.npz").exit_code == 0
    assert list(service.requests["Predict"][-1].arrays["input"].integers) == [2**53 + 1, 3]
    assert list(service.requests["Predict"][-1].arrays["input"].shape) == [2, 1]


SEVERAL = Model(
    inputs=[
        ModelInput(name="image", shape=[3, 2], columns=["pixels"]),
        ModelInput(name="town", shape=[1], columns=["place"], has_categories=True),
    ],
    outputs=[ModelOutput(name="kind", label="k", shape=[2]), ModelOutput(name="dense_2", label="price", shape=[1])],
)


def named_answer(request: PredictRequest) -> PredictResponse:
    (rows,) = {tensor.shape[0] for tensor in request.arrays.values()}
    kind = OutputPrediction(
        outputs=Tensor(shape=[rows, 2], values=[0.25, 0.75] * rows), classes=[1] * rows, class_names=["no", "yes"]
    )
    price = OutputPrediction(outputs=Tensor(shape=[rows, 1], values=range(rows)))
    return PredictResponse(predictions={"dense_2": price, "kind": kind})


def test_several_outputs_from_columns_or_arrays(run, service, job, tmp_path: Path) -> None:
    service.described.CopyFrom(SEVERAL)
    service.predict = named_answer
    np.savez(tmp_path / "data.npz", pixels=np.ones((1, 3, 2), np.float32), place=np.array(["Ulm"]), k=np.ones(1))
    done = run("predict", "one", tmp_path / "data.npz")
    assert (done.stdout, done.stderr) == ("kind.class,kind.no,kind.yes,price\nyes,0.25,0.75,0\n", "")
    printed = json.loads(run("predict", "one", tmp_path / "data.npz", "--json").stdout)
    assert printed == {
        "kind": {"classes": ["yes"], "class_names": ["no", "yes"], "outputs": [[0.25, 0.75]]},
        "dense_2": {"classes": [], "class_names": [], "outputs": [[0.0]]},
    }
    sent = service.requests["Predict"][1].arrays
    assert (list(sent["image"].shape), list(sent["town"].texts)) == ([1, 3, 2], ["Ulm"])
    assert set(sent) == {"image", "town"}, "labels stay here"
    service.described.inputs.pop(0)
    (tmp_path / "data.csv").write_text("size,place\n1,Ulm\n3,NA\n")
    done = run("predict", "one", tmp_path / "data.csv")
    assert done.stdout.splitlines()[1:] == ["yes,0.25,0.75,0", "yes,0.25,0.75,1"]
    assert list(service.requests["Predict"][2].arrays["town"].texts) == ["Ulm", "NA"]


@pytest.mark.parametrize(
    ("output", "header"),
    [
        (OutputPrediction(outputs=Tensor(shape=[2, 1], values=[1, 2])), "price"),
        (OutputPrediction(outputs=Tensor(shape=[2, 2], values=[1, 2, 3, 4])), "price_0,price_1"),
        (OutputPrediction(outputs=Tensor(shape=[2, 1], values=[1, 2]), classes=[1, 1]), "class,output"),
        (
            OutputPrediction(outputs=Tensor(shape=[2, 1], values=[1, 2]), classes=[1, 1], class_names=["no", "yes"]),
            "class,output",
        ),
        (
            OutputPrediction(outputs=Tensor(shape=[2, 2], values=[1, 2, 3, 4]), classes=[1, 1]),
            "class,output_0,output_1",
        ),
    ],
)
def test_names_of_an_only_output(run, service, job, tmp_path: Path, output: OutputPrediction, header: str) -> None:
    service.described.CopyFrom(plain("a", "b", shape=output.outputs.shape[1], label="price"))
    service.predict = lambda _: PredictResponse(predictions={"dense_1": output})
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    assert run("predict", "one", tmp_path / "data.csv").stdout.splitlines()[0] == header
    assert "outputs" in json.loads(run("predict", "one", tmp_path / "data.csv", "--json").stdout)


def test_unused_columns_and_arrays_may_hold_anything(run, service, job, tmp_path: Path) -> None:
    service.described.CopyFrom(plain("a", "b", shape=1, label="price"))
    service.predict = lambda _: PredictResponse(
        predictions={"dense_1": OutputPrediction(outputs=Tensor(shape=[1, 1], values=[7]))}
    )
    (tmp_path / "data.csv").write_bytes(b"z,z,,a,b,y\n?,\xff,0,1,2,0\n")
    done = run("predict", "one", tmp_path / "data.csv")
    assert (done.exit_code, done.stdout.splitlines()[1:]) == (0, ["7"]), done.stderr
    unused = {"names": np.array([None, "a"], object), "y": np.zeros(1)}
    np.savez(tmp_path / "data.npz", a=np.ones(1), b=np.ones(1), **unused)
    done = run("predict", "one", tmp_path / "data.npz")
    assert (done.exit_code, done.stdout.splitlines()[1:]) == (0, ["7"]), done.stderr
    np.savez(tmp_path / "data.npz", a=unused["names"], b=np.ones(1))
    done = run("predict", "one", tmp_path / "data.npz")
    assert done.exit_code == 2
    assert "not an NPZ file: Object arrays cannot be loaded" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("data.csv", b"", "data.csv: not a CSV file with a header: it is empty"),
        ("data.csv", b"a,b\n", "data.csv: there are no samples"),
        ("data.csv", b"a,b\n1,2\n\n3\n", "data.csv:4: 1 cells, the header has 2"),
        ("data.csv", b"a,bb\n1,2\n", "missing: b; unknown: bb; did you mean 'b' by 'bb'?"),
        ("data.csv", b"a,b,a\n1,2,3\n", "data.csv: there is more than one column named 'a'"),
        ("data.csv", b'a,b\n\n"1","2"\n3,x\n', "data.csv: b, row 2 (line 4): 'x' is not a number"),
        ("data.csv", b"a,b\n1,\n", "data.csv: b, row 1 (line 2): there is no value"),
        ("data.csv", b"a,b\n1,inf\n", "data.csv: b, row 1 (line 2): inf is not a finite number"),
        ("data.csv", b"\xff\xfe", "data.csv: not UTF-8 text: save it with that encoding, or name its own"),
        ("data.csv", b'"a;b"\n1\n', "missing: a, b; unknown: a;b"),
        ("data.csv", b"a" * 200_000 + b"\n1\n", "missing: a, b; unknown: aaa"),
        ("data.npz", b"nothing", "data.npz: not an NPZ file"),
        ("data.text", b"1", "read from .csv, .csv.gz, .npz, .parquet, "),
    ],
)
def test_unusable_files_are_refused(run, service, job, tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    done = run("predict", "one", tmp_path / name)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Predict" not in service.calls


def test_a_sample_that_the_server_refuses_has_its_line(run, service, job, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n\n1,2\n\n3,4\n")
    service.fail(
        "Predict", grpc.StatusCode.INVALID_ARGUMENT, "no", "INVALID_INPUTS", **{"arrays__input[1]": "too large"}
    )
    done = run("predict", "one", tmp_path / "data.csv", "--json")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"{tmp_path / 'data.csv'}: input: row 2 (line 5): too large"
    assert json.loads(done.stdout)["error"]["reason"] == "INVALID_INPUTS"


CELL = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5),
    st.sampled_from(["1e5", " 2 ", "NA", "", "1_000", "+1", "0x1", "007", "42.0", "True", "١", "-0", ".5", "5."]),
)
SPACE = st.sampled_from(["", "\n", "\r\n", "\n\n"])


@settings(derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5), blank=SPACE, quoted=st.booleans())
def test_samples_are_read_as_training_reads_them(tmp_path: Path, rows, blank: str, quoted: bool) -> None:
    """Numbers are equal to the bit and texts to the character, with blank lines and quotes."""

    def written(cell: str) -> str:
        return f'"{cell.replace(chr(34), chr(34) * 2)}"' if quoted or not cell or set(cell) & set('",\n') else cell

    lines = ["number,text,y", *(f"{written(a)},{written(b)},1" for a, b in rows)]
    path = tmp_path / "data.csv"
    path.write_bytes((blank + f"\n{blank}".join(lines) + "\n" + blank).encode())
    mine = next(read_samples(path)).arrays
    inputs = {"n": "number", "t": {"columns": "text", "categories": True}}
    for name, key in (("number", "n"), ("text", "t")):
        spec = Dataset.model_validate({"uri": "data.csv", "inputs": {key: inputs[key]}, "label": "y"})
        try:
            table = csv_file.read([path], spec, (), Budget())
        except InvalidSpec:
            continue
        if table.inputs is None:
            continue
        expected = table.inputs[key].values[:, 0]
        array = own_type(name, mine[name])
        if key == "n":
            assert numbers(name, array).astype(np.float64).tobytes() == expected.tobytes()
        else:
            assert array.tolist() == expected.tolist()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The file of a model of the columns a and b with the classes `no` and `yes`."""
    specification = Network.model_validate({"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"})
    weights = np.linspace(-1, 1, build(specification, (2,)).layout.size, dtype=np.float32)
    preprocessing = Preprocessing((2,), ("a", "b"), is_table=True)
    path = tmp_path / "model.safetensors"
    save_model(path, NetworkModel.plain(specification, preprocessing, weights, Target("kind", ("no", "yes"))))
    return path


def test_a_model_file_predicts_without_a_service(
    run, service, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydient.client.samples.PART_ROWS", 1)
    data, out = tmp_path / "data.csv", tmp_path / "out.csv"
    data.write_text("b,id,kind,a\n1,7,no,2\n-4,8,yes,3\n")
    done = run("predict", model, data)
    assert done.stdout.splitlines()[0] == "class,no,yes"
    assert [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == ["yes", "no"]
    assert done.stderr == f"{data}: not used, since the network was not trained on it: id\n"
    assert run("predict", model, data, "-o", out).stdout == ""
    assert out.read_text() == done.stdout
    assert json.loads(run("predict", model, data, "-o", out, "--json").stdout) == {"path": str(out), "rows": 2}
    assert json.loads(run("predict", model, data, "--json").stdout)["classes"] == ["yes", "no"]
    assert not service.calls


@pytest.mark.parametrize(
    ("content", "options", "name"),
    [
        ("b;kind;a\n1,5;größer;2\n-4;no;,5\n".encode("latin-1"), ("--decimal", ",", "--encoding", "latin-1"), "d.csv"),
        ("b|kind|a\n1.5|größer|2\n-4|no|.5\n".encode("utf-16"), ("--delimiter", "|", "--encoding", "utf-16"), "d.csv"),
        (gzip.compress(b"b\tkind\ta\n1.5\tno\t2\n-4\tno\t.5\n", mtime=0), (), "d.csv.gz"),
    ],
)
def test_a_file_may_be_of_another_dialect(run, model: Path, tmp_path: Path, content: bytes, options, name: str) -> None:
    plain, other = tmp_path / "data.csv", tmp_path / name
    plain.write_text("b,kind,a\n1.5,no,2\n-4,no,.5\n")
    other.write_bytes(content)
    assert run("predict", model, other, *options).stdout == run("predict", model, plain).stdout


def test_a_file_of_another_dialect_than_the_named_one_is_refused(run, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    for content, options, words in (
        (b"b;a\n1.500;2\n", ("--decimal", ","), "b, row 1 (line 2): '1,500' is not a number"),
        (b"b,a\n1,2\n", ("--delimiter", ";"), "separated by ',' instead of ';'"),
        (b"b,a\n1", ("--encoding", "utf-16"), "not utf-16 text"),
    ):
        data.write_bytes(content)
        done = run("predict", model, data, *options)
        assert (done.exit_code, words in done.stderr) == (2, True)
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(b"b,a\n1,2\n")[:-4])
    assert "not a compressed file that is whole" in run("predict", model, tmp_path / "data.csv.gz").stderr


def test_predictions_are_written_whole_or_not_at_all(run, model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("raydient.client.samples.PART_ROWS", 1)
    data, out = tmp_path / "data.csv", tmp_path / "out.csv"
    data.write_text("b,a\n1,2\n3,x\n")
    done = run("predict", model, data, "-o", out)
    assert (done.exit_code, done.stderr) == (2, f"{data}: a, row 2 (line 3): 'x' is not a number\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "model.safetensors"]
    for arguments, words in (
        ([model, data, "-o", tmp_path / "out.txt"], "give a name that ends in .csv"),
        ([model, data, "-o", tmp_path / "absent" / "out.csv"], "there is no folder"),
        ([model, data, "--checkpoint", "last"], "a model file has no checkpoints"),
    ):
        done = run("predict", *arguments)
        assert (done.exit_code, words in done.stderr) == (2, True)
    model.write_bytes(b"onnx")
    done = run("predict", model, data)
    assert (done.exit_code, "is not a safetensors file" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["predict", "evaluate", "report"])
def test_a_model_that_cannot_be_read_is_wrong_usage(run, tmp_path: Path, command: str) -> None:
    (tmp_path / "data.csv").write_text("x,y\n1,2\n")
    (tmp_path / "folder.safetensors").mkdir()
    for name, problem in (("none", "No such file or directory"), ("folder", "Is a directory")):
        path = tmp_path / f"{name}.safetensors"
        done = run(command, path, tmp_path / "data.csv", "--json")
        assert (done.exit_code, done.stderr) == (2, f"{path}: cannot be read: {problem}\n")
        assert json.loads(done.stdout)["error"]["reason"] == "MODEL_UNREADABLE"


def test_the_name_of_a_download_is_checked_before_the_service_is_asked(run, service, tmp_path: Path) -> None:
    for name, problem in (("a.txt", "a.txt: the name has to end in"), ("none/a.npz", "there is no folder")):
        done = run("download", "one", "-o", tmp_path / name, "--json")
        assert (done.exit_code, problem in done.stderr, service.calls) == (2, True, [])
        assert json.loads(done.stdout)["error"]["reason"] in ("USAGE", "REQUEST_REFUSED")
