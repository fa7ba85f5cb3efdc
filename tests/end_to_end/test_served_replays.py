"""`raydient replay` against a service: equal digests, and clear answers where there is nothing to replay."""

import pytest

from raydient.client import NotAllowed, RaydientError

from .serving import serving, wait_for_notices, wait_for_step

ASYNCHRONOUS = {"training.consistency": {"asynchronous": {}}}
SYNCHRONOUS = {"training.consistency": {"synchronous": {}}}


def test_a_job_whose_consistency_changes_is_replayed(spec, tmp_path):
    with serving(tmp_path / "state", "--slots", "3") as (_, client):
        job = client.submit(spec(3, 0.1, epochs=200))
        wait_for_step(job, 20)
        job.update(ASYNCHRONOUS)
        wait_for_notices(job, "UPDATED", 1)
        wait_for_step(job, job.resource.updates[0].step + 100)
        job.update(SYNCHRONOUS)
        job.wait()
        assert [update.HasField("step") for update in job.resource.updates] == [True, True]
        seen = []
        replayed = job.replay(lambda *progress: seen.append(progress))
        assert (replayed.digest, replayed.recorded_digest) == (job.digest, job.digest)
        assert seen[-1] == (replayed.steps, replayed.steps)
        synchronous = client.submit(spec(3, 0.1, epochs=200)).wait()
        assert synchronous.digest != job.digest
        folder = tmp_path / "state" / "jobs" / job.name.removeprefix("jobs/") / "arrivals"
        first = sorted(folder.iterdir())[0]
        first.write_bytes(first.read_bytes()[:-16])
        with pytest.raises(RaydientError, match=r"cannot be replayed: the record (has|lacks)"):
            job.replay()


def test_a_job_without_a_checkpoint_cannot_be_replayed(spec, tmp_path):
    with serving(tmp_path / "state", "--slots", "1") as (_, client):
        first = client.submit(spec(1, 1000.0, epochs=1_000_000))
        with pytest.raises(NotAllowed, match="has no checkpoint yet"):
            first.replay()
        first.cancel()
