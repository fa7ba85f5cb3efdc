"""`raydient checkpoints`, and what --checkpoint takes."""

import json

import pytest


def test_checkpoints_are_listed_with_their_steps(run, service) -> None:
    service.add_job()
    service.checkpoints["jobs/one"] = [240, 120]
    lines = run("checkpoints", "one").stdout.splitlines()
    assert lines == [
        "STEP  CREATED                  BYTES",
        "240   2027-01-15 08:00:00 UTC  240,000",
        "120   2027-01-15 08:00:00 UTC  120,000",
    ]
    checkpoints = json.loads(run("checkpoints", "one", "--json").stdout)["checkpoints"]
    assert [(checkpoint["step"], checkpoint["size_bytes"]) for checkpoint in checkpoints] == [
        (240, 240_000),
        (120, 120_000),
    ]


def test_a_job_without_checkpoints_has_an_empty_list(run, service) -> None:
    service.add_job()
    assert run("checkpoints", "one").stdout.split() == ["STEP", "CREATED", "BYTES"]
    assert json.loads(run("checkpoints", "one", "--json").stdout) == {"checkpoints": []}


@pytest.mark.parametrize("checkpoint", ["best", "last", "7"])
def test_a_download_takes_a_step_or_a_name(run, service, tmp_path, checkpoint) -> None:
    service.add_job()
    run("download", "one", "-o", str(tmp_path / "model.npz"), "--checkpoint", checkpoint)
    (request,) = service.requests["DownloadModel"]
    assert request.name == f"jobs/one/checkpoints/{checkpoint}"


@pytest.mark.parametrize("checkpoint", ["worst", "-1", "\N{SUPERSCRIPT TWO}"])
def test_another_word_is_refused(run, service, checkpoint) -> None:
    service.add_job()
    refused = run("download", "one", "--checkpoint", checkpoint)
    assert refused.exit_code == 2
    assert "is neither a step nor `best` or `last`" in refused.stderr
