"""A job that is updated while it trains, and whose service is killed after that, has the bits of a naive loop."""

from raydient.spec.amending import amended_training

from .naive import Update, naive
from .serving import notices, serving, wait_for_notices, wait_for_step

SETTINGS = {"training.optimizer.adam.learning_rate": 0.02, "training.clipping.global_norm.limit": 0.05}


def test_an_update_holds_from_its_step_on_after_a_kill_of_the_service(spec, job, tmp_path):
    state, prepared = tmp_path / "state", job(2, epochs=300)
    with serving(state, "--slots", "2") as (server, client):
        running = client.submit(spec(2, 1000.0, epochs=300))
        wait_for_step(running, 20)
        running.update(SETTINGS)
        wait_for_notices(running, "UPDATED", 1)
        server.kill()
        server.wait()
    with serving(state, "--slots", "2") as (_, client):
        again = client.get(running.name).wait()
        (update,) = again.resource.updates
        assert notices(again).count("UPDATED") == 1

    class Updated(Update):
        def __call__(self, step, gradient):
            if step == update.step:
                self.retrain(amended_training(prepared.spec.training, SETTINGS), prepared.schedule)
            super().__call__(step, gradient)

    assert 20 <= update.step < prepared.schedule.steps
    assert again.digest == naive(prepared, Updated).digest
