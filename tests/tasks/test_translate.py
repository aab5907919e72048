"""The translation task: its settings and errors, its network under the law, what it trains on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from translate_rows import SHORT, numerals

from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import ConfigError
from statewise.nn.backbone import BackboneConfig
from statewise.rows.text.vocabulary import BOS, EOS
from statewise.tasks.translate import Translate
from statewise.tasks.translate_network import TranslateNetwork
from statewise.tasks.translate_problem import Lesson, Pairs, TranslateProblem
from statewise.testing.recurrence import check_recurrence
from statewise.training.loop import train

SMALL = BackboneConfig("gru", 6, 2, dropout=0.1)


def made(rows: int = 20, **settings: object) -> tuple[TranslateNetwork, Pairs]:
    task = Translate(**{"embedding_size": 5, "max_length": 20, **settings})  # type: ignore[arg-type]
    found = task.rows(numerals(rows))
    codec = task.codec(found)
    return task.member(codec, SMALL), Pairs.of(codec, found)


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru"])
def test_the_writer_keeps_the_law(cell: str) -> None:
    _, pairs = made()
    size = pairs.codec.target.size
    task = Translate(embedding_size=5)
    config = replace(SMALL, cell=cell)
    check_recurrence(
        lambda: task.member(pairs.codec, config).writer.eval(),
        lambda batch, time: torch.randint(2, size, (batch, time)),
        batch=3,
        time=4,
    )


def test_a_pair_in_a_batch_has_the_loss_it_has_alone() -> None:
    network, pairs = made()
    network.eval()
    problem = TranslateProblem(network, pairs, pairs, Lesson(8, 0))
    rows = np.array([0, 3, 5])
    together, _ = problem.loss(network, pairs.chunk(rows), ())
    alone, tokens = 0.0, 0
    for row in rows:
        loss, _ = problem.loss(network, pairs.chunk(np.array([row])), ())
        alone += float(loss.detach()) * (len(pairs.targets[row]) + 1)
        tokens += len(pairs.targets[row]) + 1
    assert float(together.detach()) == pytest.approx(alone / tokens, abs=1e-5)


def test_the_loss_is_smoothed_cross_entropy_of_the_next_token() -> None:
    network, pairs = made()
    network.eval()
    problem = TranslateProblem(network, pairs, None, Lesson(8, 0, label_smoothing=0.2))
    (source, lengths, tokens), target, weight, *_ = pairs.chunk(np.array([2]))
    assert tokens[0, 0] == BOS
    assert target[0, -1] == EOS
    assert torch.equal(tokens[0, 1:], target[0, :-1])
    logits, _ = network.writer(tokens, network.read(source, lengths.squeeze(1)))
    want = functional.cross_entropy(logits[0], target[0], label_smoothing=0.2)
    got, _ = problem.loss(network, pairs.chunk(np.array([2])), ())
    assert torch.allclose(got, want, atol=1e-6)
    assert weight.sum() == target.shape[1]


def test_an_epoch_holds_every_pair_once_within_the_budget() -> None:
    network, pairs = made(50)
    problem = TranslateProblem(network, pairs, None, Lesson(0, 40))
    chunks = list(problem.epoch(np.random.default_rng(0)))
    assert sum(len(chunk.weight) for chunk in chunks) == 50
    assert max(chunk.weight.numel() for chunk in chunks) <= 40
    assert sum(float(chunk.weight.sum()) for chunk in chunks) == pairs.lengths[:, 1].sum()


def test_scheduled_sampling_replaces_words_but_never_the_beginning() -> None:
    network, pairs = made()
    network.eval()
    (source, lengths, tokens), _, weight, *_ = pairs.chunk(np.arange(8))
    given = source, lengths.squeeze(1), tokens, weight.sum(1).long()
    assert torch.equal(network.with_own_guesses(*given, 0.0), tokens)
    every = network.with_own_guesses(*given, 1.0)
    assert (every[:, 0] == BOS).all()
    logits, _ = network.writer(tokens, network.read(source, lengths.squeeze(1)), given[3])
    assert torch.equal(every[:, 1:], logits.argmax(-1)[:, :-1])


def test_byte_pairs_are_cut_anew_in_every_epoch() -> None:
    pytest.importorskip("tokenizers")
    network, pairs = made(tokenizer="bpe", max_size=290, shared=True, bpe_dropout=0.5)
    rng = np.random.default_rng(0)
    first, second = (pairs.chunk(np.arange(10), 0.5, rng) for _ in range(2))
    assert first.inputs[0].shape != second.inputs[0].shape or not torch.equal(
        first.inputs[0], second.inputs[0]
    )
    again = pairs.chunk(np.arange(10), 0.5, np.random.default_rng(0))
    assert torch.equal(again.inputs[0], first.inputs[0])
    for row, line in enumerate(pairs.texts[1][:10]):
        ids = first.target[row][: int(first.weight[row].sum()) - 1]
        assert pairs.codec.target.decode(ids.tolist()) == line
    assert network.source is None


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: object) -> None:
    def run(path: str, stop: int) -> list[float]:
        torch.manual_seed(0)
        network, pairs = made(scheduled_sampling=0.3)
        problem = TranslateProblem(network, pairs, pairs, Lesson(4, 0, 0.1, 0.3))
        config = replace(SHORT, epochs=None, steps=8, batch_tokens=0, validate_every=4)
        losses = []
        for progress in train(problem, config, path):
            losses.append(progress.loss)
            if progress.step == stop:
                break
        return losses

    whole = run(f"{tmp_path}/whole", 8)
    assert run(f"{tmp_path}/cut", 3) + run(f"{tmp_path}/cut", 8) == whole


def test_settings_survive_as_plain_values() -> None:
    task = Translate(source="de", target="en", attention="dot", bpe_dropout=0.1, tokenizer="bpe")
    assert from_mapping(Translate, to_mapping(task), "task") == task


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"target": "source"}, "target: got 'source', which is the source: want two columns."),
        ({"attention": "aditive"}, "attention: no such attention 'aditive'. Did you mean 'additive'?"),
        ({"bpe_dropout": 0.1}, "bpe_dropout: for tokenizer 'bpe', got 'words'."),
        ({"label_smoothing": 1.0}, "label_smoothing: got 1.0, want 0 ≤ rate < 1."),
        ({"encoder_layers": 0}, "encoder_layers: got 0, want 1 or more."),
        ({"tokenizer": "word"}, "tokenizer: no such tokenizer 'word'. Did you mean 'words'?"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        Translate(**settings)  # type: ignore[arg-type]
    assert str(error.value) == text
