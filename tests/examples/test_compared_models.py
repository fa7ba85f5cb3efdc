"""The comparison of consistency models: its jobs, its slow worker, its table and its picture."""

import json
from itertools import pairwise

import pytest
import yaml

from examples.consistency.compare import ACCURACY, EQUAL, FOLDER, MODELS, Curve, PacedCluster, main, picture, table
from raydient.wire.control import Role

JOBS = sorted(FOLDER.glob("*.yaml"))


def test_the_jobs_differ_in_their_model_alone():
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in JOBS]
    assert [path.stem for path in JOBS] == sorted(model for model in MODELS if not model.endswith(EQUAL))
    for path, job in zip(JOBS, files, strict=True):
        model = job["training"].pop("consistency")
        assert path.stem == (model if isinstance(model, str) else next(iter(model)))
        del job["display_name"]
    assert all(one == other for one, other in pairwise(files))


def test_each_worker_is_started_with_its_time():
    cluster = PacedCluster([5.0, 20.0])
    server, *workers = (cluster.entry(role) for role in (Role.PARAMETER_SERVER, Role.WORKER, Role.WORKER))
    assert server == ("raydient.server.clusters.member", ("parameter_server",))
    assert [arguments for _, arguments in workers] == [("5.0", "worker"), ("20.0", "worker")]


@pytest.fixture
def curves():
    """Made-up curves. The synchronous job with a slow worker does not reach the accuracy."""
    reached, missed = [0.5, ACCURACY], [0.5, ACCURACY - 0.01]
    return [
        Curve("synchronous", False, [1.0, 2.0], reached),
        Curve("synchronous", True, [4.0, 8.0], missed),
        Curve("bounded_staleness", False, [1.0, 2.0], reached, [6, 2, *[0] * 11], 0.25),
        Curve("bounded_staleness", True, [1.5, 3.0], reached, [4, 2, 2, *[0] * 10], 0.75),
    ]


def test_the_table_has_the_times_and_the_staleness(curves):
    *_, synchronous, bounded = table(curves)
    assert synchronous.split() == ["synchronous", "2.0", "–", "0", "0", "96.0%"]
    assert bounded.split() == ["bounded_staleness", "2.0", "3.0", "0.75", "2", "97.0%"]


def test_the_picture_has_a_line_for_each_job_and_bars_for_the_stale_ones(curves):
    above, below = picture(curves).axes[:2], picture(curves).axes[2:]
    assert [[line.get_label() for line in axes.get_lines()[:2]] for axes in above] == [[*MODELS][1:3]] * 2
    assert [[bar.get_height() for bar in axes.patches] for axes in below] == [[0.75, 0.25], [0.5, 0.25, 0.25]]


def test_the_command_trains_and_draws(tmp_path, capsys):
    options = ["asynchronous", "--slow", "--json", "--epochs", "1", "--milliseconds", "0.1"]
    main([*options, "-o", str(tmp_path / "picture.png")])
    curve = json.loads(capsys.readouterr().out)
    assert (curve["model"], curve["slow"], curve["samples"]) == ("asynchronous", True, 1438)
    assert len(curve["seconds"]) == len(curve["accuracy"]) == 1
    assert sum(curve["staleness"]) == 23, "each worker pushes whole batches"
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
