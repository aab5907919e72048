"""Batches, the loss and the score of a classifier in training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from classify_rows import reviews, topics
from torch.nn import functional

from statewise.nn.backbone import BackboneConfig
from statewise.tasks.classify import Classify
from statewise.tasks.classify_problem import (
    BatchConfig,
    ClassifyProblem,
    Examples,
    LossConfig,
    batch_of,
    calibrated_loss,
    logits_of,
    loss_of,
)

NOTHING = Examples([], np.zeros(0))


def problem(task: Classify, data: dict, loss: LossConfig, batch: BatchConfig) -> ClassifyProblem:
    torch.manual_seed(0)
    rows = task.rows(data)
    codec = task.codec(rows)
    examples = Examples(codec.encode(rows), codec.target(rows))
    return ClassifyProblem(task.network(codec, BackboneConfig("gru", 4, 1)), examples, NOTHING, batch, loss)


def one_label(batch: BatchConfig | None = None, **loss) -> ClassifyProblem:
    config = LossConfig(**{"weights": (1.0, 1.0), **loss})
    return problem(Classify(subwords=20), reviews(50), config, batch or BatchConfig(8))


def test_an_epoch_holds_every_row_once_and_its_order_comes_from_the_generator():
    found = one_label()
    chunks = list(found.epoch(np.random.default_rng(0)))
    again = list(found.epoch(np.random.default_rng(0)))
    assert sum(len(chunk.target) for chunk in chunks) == 50
    assert all(chunk.fresh for chunk in chunks)
    for a, b in zip(chunks, again, strict=True):
        assert a.target.tolist() == b.target.tolist()
    other = list(found.epoch(np.random.default_rng(1)))
    assert [c.target.tolist() for c in chunks] != [c.target.tolist() for c in other]


def test_a_batch_keeps_to_its_budget_of_steps():
    for chunk in one_label(BatchConfig(8, steps=24)).epoch(np.random.default_rng(0)):
        (ids, _), _ = chunk.inputs
        assert ids.numel() <= 24 or len(ids) == 1


def test_the_loss_is_the_weighted_cross_entropy():
    found = one_label(weights=(1.0, 3.0), label_smoothing=0.1)
    chunk = next(found.epoch(np.random.default_rng(0)))
    network = found.network.eval()
    loss, _ = found.loss(network, chunk, ())
    logits = network.logits(*chunk.inputs)
    each = functional.cross_entropy(logits, chunk.target, reduction="none", label_smoothing=0.1)
    weight = torch.tensor([1.0, 3.0])[chunk.target]
    torch.testing.assert_close(loss, (each * weight).sum() / weight.sum())


def test_the_focal_loss_forgets_what_is_right_already():
    logits, target = torch.tensor([[4.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0])
    plain, focal = (loss_of(logits, target, LossConfig((1.0, 1.0), focal=focal)) for focal in (0.0, 2.0))
    p = math.exp(4) / (1 + math.exp(4))
    assert float(focal) == pytest.approx((-math.log(p) * (1 - p) ** 2 + math.log(2) * 0.25) / 2, rel=1e-4)
    assert focal < plain


def test_several_labels():
    config = LossConfig((1.0, 2.0), multi_label=True)
    found = problem(Classify(label="tags", multi_label=True, subwords=20), topics(30), config, BatchConfig(8))
    chunk = next(found.epoch(np.random.default_rng(0)))
    loss, _ = found.loss(found.network.eval(), chunk, ())
    logits = found.network.logits(*chunk.inputs)
    weights = torch.tensor([1.0, 2.0]).expand_as(logits)
    torch.testing.assert_close(
        loss, functional.binary_cross_entropy_with_logits(logits, chunk.target, weights)
    )


def test_logits_come_back_in_the_order_of_the_rows():
    found = one_label()
    network = found.network.eval()
    arrays = found.training.arrays
    with torch.no_grad():
        alone = torch.cat([network.logits(*batch_of([one])) for one in arrays[:5]])
    np.testing.assert_allclose(logits_of(network, arrays)[:5], alone.numpy(), atol=1e-5)


def test_the_score_does_not_depend_on_the_scale_of_the_logits():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(200, 3))
    target = (logits + rng.normal(size=(200, 3))).argmax(axis=1)
    assert calibrated_loss(logits, target) == pytest.approx(calibrated_loss(3 * logits, target), abs=1e-6)
    yes = (logits + rng.normal(size=(200, 3)) > 0).astype(np.float32)
    assert calibrated_loss(logits, yes) == pytest.approx(calibrated_loss(3 * logits, yes), abs=1e-6)
