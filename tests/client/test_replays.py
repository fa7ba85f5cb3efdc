"""`raydient replay` and `Job.replay`: what people see of equal and of other digests."""

import json


def test_equal_digests(run, service, client):
    service.add_job().digest = "c8"
    seen = []
    replayed = client.get("one").replay(lambda *progress: seen.append(progress))
    assert (replayed.steps, replayed.is_equal) == (2, True)
    assert seen == [(1, 2), (2, 2)]
    done = run("replay", "one")
    assert done.stdout.splitlines() == ["steps     2", "digest    c8", "recorded  c8", "equal     yes"]


def test_other_digests_are_a_failure(run, service):
    service.add_job().digest = "ff"
    failed = run("replay", "one", "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout) == {"steps": 2, "digest": "c8", "recorded_digest": "ff", "equal": False}
    assert run("replay", "one").stdout.splitlines()[-1] == "equal     no"
