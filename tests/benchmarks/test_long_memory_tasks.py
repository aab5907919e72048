"""The made-up tasks of long memory and state tracking: what they ask is what they say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from benchmarks.made_up_tasks import Tagger, losses, right, tagger
from benchmarks.quality import (
    jsb_chorales,
    long_memory,
    sequential_mnist,
    state_tracking,
    synthetic_gradients,
)

import statewise as sw
from statewise.nn.backbone import BackboneConfig


@pytest.mark.parametrize(("task", "size"), [("parity", 2), ("S3", 6), ("A5", 60)])
def test_products_form_the_group(task: str, size: int) -> None:
    table = state_tracking.group(task)
    assert table.shape == (size, size)
    assert all(sorted(row) == list(range(size)) for row in (*table, *table.T))  # every element once
    rng = np.random.default_rng(0)
    for a, b, c in rng.integers(size, size=(50, 3)):
        assert table[table[a, b], c] == table[a, table[b, c]]
    assert (table == table.T).all() == (task == "parity")


def test_a5_is_made_of_even_permutations() -> None:
    even = [p for p in itertools.permutations(range(5)) if np.linalg.det(np.eye(5)[list(p)]) > 0]
    assert len(even) == len(state_tracking.group("A5"))


def test_answers_are_products_so_far() -> None:
    batch = state_tracking.sequences("S3", 12, np.random.default_rng(0), 5)
    elements = list(itertools.permutations(range(3)))
    for row in range(5):
        places = [0, 1, 2]  # where each of three things stands
        for t, drawn in enumerate(batch.inputs[row].argmax(dim=-1).tolist()):
            places = [elements[drawn][place] for place in places]
            assert elements[int(batch.target[row, t])] == tuple(places)


def test_copies_are_of_the_letters() -> None:
    batch = long_memory.copying(np.random.default_rng(0), 3)
    line = batch.inputs.argmax(dim=-1)
    assert line.shape == (3, long_memory.GAP + 2 * long_memory.SYMBOLS)
    asked = batch.target[batch.weight == 1].view(3, -1)
    assert torch.equal(asked, line[:, : long_memory.SYMBOLS])
    assert (line[:, -long_memory.SYMBOLS - 1] == long_memory.GO).all()
    assert (batch.target[batch.weight < 1] == long_memory.BLANK).all()


def test_sums_are_of_the_marked_numbers() -> None:
    batch = long_memory.adding(np.random.default_rng(0), 4, 40)
    assert (batch.inputs[..., 1].sum(dim=1) == 2).all()
    want = (batch.inputs[..., 0] * batch.inputs[..., 1]).sum(dim=1)
    torch.testing.assert_close(batch.target[batch.weight == 1].flatten(), want)
    guess = float(((batch.target[:, -1] - 1) ** 2).mean())
    assert 0 < guess < 1


def test_copying_that_grows() -> None:
    batch = synthetic_gradients.sequences(np.random.default_rng(0), 2, 3)
    line = batch.inputs.argmax(dim=-1)
    assert line[0, 3] == synthetic_gradients.LETTERS + 1
    assert torch.equal(batch.target[:, 4:], line[:, :3])
    assert batch.weight.sum() == 6


def test_chords_become_rows_of_notes() -> None:
    pieces = jsb_chorales.roll([[[60, 64], []], [[21]]])
    assert pieces.frames.shape == (2, 2, 88)
    assert pieces.lengths.tolist() == [2, 1]
    assert pieces.frames[0, 0].nonzero().flatten().tolist() == [60 - 21, 64 - 21]
    assert pieces.frames.sum() == 3


def test_networks_keep_the_law() -> None:
    sw.testing.check_recurrence(lambda: tagger(3, 2, {"cell": "gru", "hidden_size": 4}, 0), 3)
    chorale = BackboneConfig("lstm", hidden_size=4, recurrent_dropout=0.3)
    sw.testing.check_recurrence(lambda: jsb_chorales.Choir(chorale, 0.0), 88)
    for cell, mean in (("s5", True), ("lmu", False)):
        config = BackboneConfig(cell, hidden_size=4, residual=mean, options={"state_size": 4})
        sw.testing.check_recurrence(lambda config=config, mean=mean: sequential_mnist.Reader(config, mean), 1)


def test_answer_is_the_last_of_forward() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 9, 1)
    for mean in (True, False):
        reader = sequential_mnist.Reader(BackboneConfig("s5", hidden_size=4, options={"state_size": 4}), mean)
        torch.testing.assert_close(reader.answer(x), reader(x)[0][:, -1])


def test_memory_before_the_last_pixel_is_that_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential_mnist, "PIXELS", 30)
    reader = sequential_mnist.reader("permuted")
    images = sequential_mnist.Images(torch.randn(3, sequential_mnist.PIXELS), torch.zeros(3).long())
    problem = sequential_mnist.LastPixels(reader, images, images, 3)
    (chunk,) = problem.epoch(np.random.default_rng(0))
    found, _ = problem.loss(reader, chunk, None)
    want = torch.nn.functional.cross_entropy(reader.answer(images.pixels.unsqueeze(-1)), images.labels)
    torch.testing.assert_close(found, want, atol=1e-4, rtol=1e-4)


def test_scores() -> None:
    network = Tagger(2, 3, BackboneConfig("gru", hidden_size=4))
    y = torch.tensor([[[9.0, 0, 0], [0, 9.0, 0]]])
    assert losses(y, torch.tensor([[0, 2]]))[0].tolist() == pytest.approx([0.00025, 9.0], abs=1e-3)
    assert losses(y, y + 2)[0].tolist() == [4.0, 4.0]
    batch = state_tracking.Batch(torch.randn(1, 2, 2), torch.tensor([[0, 0]]), torch.tensor([[1.0, 0.0]]))
    assert right(network, batch) in (0.0, 1.0)
