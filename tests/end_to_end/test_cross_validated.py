"""Cross-validation trains each fold to the bits of a job with that fold."""

import numpy as np
import pandas as pd
import pytest

from raydient.client import cross_validate, train


def test_each_fold_is_the_job_with_that_fold():
    chance = np.random.default_rng(3)
    table = pd.DataFrame({"a": chance.normal(size=40), "y": np.arange(40) % 2})
    job = {
        "dataset": {"split": {"method": {"stratified": {}}}},
        "network": {"layers": [{"dense": {"units": 1}}], "loss": "binary_cross_entropy"},
        "training": {"epochs": 2, "batch_size": 8},
        "resources": {"workers": 1},
    }
    result = cross_validate(job, table, folds=2, progress=False)
    held_out = [fold.result.held_out for fold in result.folds]
    assert sorted(np.concatenate(held_out)) == list(range(40))
    assert [table.y[rows].sum() for rows in held_out] == [10, 10]
    method = {"folds": {"number": 2, "fold": 2, "stratified": {}}}
    alone = train({**job, "dataset": {"split": {"method": method}}}, table, progress=False)
    assert (alone.digest, alone.held_out.tolist()) == (result.folds[1].digest, held_out[1].tolist())
    for fold in result.folds:
        evaluated = fold.result.model.evaluate(table.iloc[fold.result.held_out]).metrics
        assert fold.metrics["accuracy"] == evaluated["accuracy"]
        assert fold.metrics["loss"] == pytest.approx(evaluated["loss"], rel=1e-6)
