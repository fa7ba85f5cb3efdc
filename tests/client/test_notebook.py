"""Tables that notebooks show for the objects of the client."""

import numpy as np
import pytest

from raydient.client import Client, History, Prediction
from raydient.client.history import Point


def test_a_job_shows_both_parts_of_its_last_epoch(client: Client, service) -> None:
    job = service.add_job()
    job.spec.display_name = "<b>digits</b>"
    job.progress.epoch, job.progress.epochs = 3, 30
    for split, value in (("train", 0.25), ("test", 0.5)):
        job.last_epoch.metrics.add(name="loss", split=split, value=value)
        job.last_epoch.metrics.add(name="macro_f1", split=split, value=1 - value)
    shown = client.get("one")
    assert repr(shown) == f"<Job jobs/one {shown.state}, epoch 3 of 30, train loss 0.25, test loss 0.5>"
    html = shown._repr_html_()
    for text in ("&lt;b&gt;digits&lt;/b&gt;", "3 of 30", "loss 0.25, macro_f1 0.75", "loss 0.5, macro_f1 0.5"):
        assert text in html
    assert "<b>" not in html


def test_a_client_shows_its_address(client: Client) -> None:
    assert "127.0.0.1:" in client._repr_html_()


def test_a_history_shows_its_last_epochs() -> None:
    points = [Point("loss", split, epoch, epoch, 1 / epoch) for epoch in range(1, 13) for split in ("train", "test")]
    html = History(points)._repr_html_()
    assert html.count("<tr>") == 1 + 10
    assert "<th>train loss</th><th>test loss</th>" in html
    assert "<td>12</td><td>0.08333</td><td>0.08333</td>" in html
    assert "History of 12 epochs" in html
    assert "History of 0 epochs" in History([])._repr_html_()


OUTPUTS = np.arange(24, dtype=np.float32).reshape(8, 3)


def test_a_prediction_shows_its_first_samples_and_is_sliced() -> None:
    prediction = Prediction(OUTPUTS, np.arange(8, dtype=np.int32) % 3, ("a", "<b>", "c"))
    html = prediction._repr_html_()
    assert html.count("<tr>") == 1 + 5
    assert "<td>1</td><td>&lt;b&gt;</td><td>3, 4, 5</td>" in html
    assert len(prediction) == 8
    part = prediction[2:4]
    np.testing.assert_array_equal(part.outputs, OUTPUTS[2:4])
    assert (part.classes.tolist(), part.class_names) == ([2, 0], ("a", "<b>", "c"))
    with pytest.raises(TypeError, match="a prediction takes slices"):
        prediction[0]


def test_a_prediction_of_numbers_or_of_many_places_is_shown() -> None:
    assert "<td>0</td><td>0, 1, 2</td>" in Prediction(OUTPUTS, None)._repr_html_()
    wide = Prediction(np.zeros((1, 4, 3), np.float32), np.zeros((1, 4, 3), np.int32))
    assert "<td>0, 0, 0, 0, 0, ...</td><td>0, 0, 0, 0, 0, ...</td>" in wide._repr_html_()
    assert "<tr><th>sample</th>" in Prediction(OUTPUTS[:0], None)._repr_html_()
