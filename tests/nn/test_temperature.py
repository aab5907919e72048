"""A temperature is the likeliest one, undoes a known scale, and keeps to its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.metrics.classification import binary_log_loss, expected_calibration_error, log_loss
from statewise.nn import temperature as calibration


def drawn(scale: float, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits `scale` times those that the classes are drawn from."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, 3))
    made = calibration.softmax(logits)
    actual = (made.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
    return scale * logits, actual


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_a_known_scale_is_found(scale):
    logits, actual = drawn(scale)
    assert calibration.temperature(logits, actual) == pytest.approx(scale, rel=0.05)


def test_it_is_the_likeliest_and_lowers_the_calibration_error():
    logits, actual = drawn(4.0)
    found = calibration.temperature(logits, actual)

    def loss(t: float) -> float:
        return log_loss(actual, calibration.softmax(logits / t))

    def error(t: float) -> float:
        made = calibration.softmax(logits / t)
        return expected_calibration_error(made.argmax(axis=1) == actual, made.max(axis=1))

    assert loss(found) < min(loss(found * 1.02), loss(found / 1.02), loss(1.0))
    assert error(found) < 0.02 < error(1.0)


def test_labels_that_stand_alone():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(5000, 4))
    relevant = rng.random((5000, 4)) < calibration.sigmoid(logits)
    found = calibration.label_temperature(2.5 * logits, relevant)
    assert found == pytest.approx(2.5, rel=0.05)
    calibrated = binary_log_loss(relevant, calibration.sigmoid(2.5 * logits / found))
    assert calibrated < binary_log_loss(relevant, calibration.sigmoid(2.5 * logits))


def test_few_rows_that_are_all_right_or_wrong_do_not_ask_for_certainty():
    logits = np.array([[3.0, 0.0], [2.0, 0.0], [2.5, 0.0]])
    sure = calibration.softmax(logits / calibration.temperature(logits, [0, 0, 0]))[:, 0]
    assert 0.8 < sure.mean() < 0.92  # one answer in eight is kept for the other class
    assert calibration.temperature(logits, [1, 1, 1]) == pytest.approx(calibration.HIGHEST)
    labels = calibration.label_temperature(logits, [[1, 0]] * 3)
    assert 0.8 < calibration.sigmoid(logits / labels)[:, 0].mean() < 0.99


def test_without_rows_nothing_changes():
    assert calibration.temperature(np.zeros((0, 2)), np.zeros(0)) == 1.0
    assert calibration.label_temperature(np.zeros((0, 2)), np.zeros((0, 2))) == 1.0


def test_softmax_and_sigmoid_take_large_numbers():
    assert calibration.softmax([1000.0, 0.0]).tolist() == [1.0, 0.0]
    assert calibration.sigmoid([-1000.0, 1000.0]).tolist() == [0.0, 1.0]
