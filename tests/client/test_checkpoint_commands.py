"""`raydient checkpoints`: the steps that --checkpoint takes."""

import json


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
