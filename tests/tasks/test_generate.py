"""The task: its settings, its law, its lanes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from generate_rows import LINES, text

import statewise as sw
from statewise import state as states
from statewise.core.errors import ConfigError, DataError
from statewise.nn.backbone import BackboneConfig
from statewise.rows.generate import Corpus
from statewise.tasks.generate_problem import GenerateProblem, Lanes, Penalties, read_lanes
from statewise.tasks.language_model import LanguageModel, LiveLanguageModel
from statewise.tasks.language_network import LanguageConfig, LanguageNetwork

SMALL = BackboneConfig("gru", 8, 1)


def network(size: int = 12, **settings) -> LanguageNetwork:
    return LanguageNetwork(size, SMALL, LanguageConfig(6, **settings))


def draw(batch: int, time: int) -> torch.Tensor:
    return torch.randint(2, 12, (batch, time))


@pytest.mark.parametrize(
    "make",
    [
        network,
        lambda: network(softmax="adaptive", cutoffs=(5,)),
        lambda: network(softmax="adaptive", cutoffs=(5,), tied=False),
        lambda: network(tied=False, weight_drop=0.5, readout_dropout=0.5, locked_dropout=0.5).eval(),
        lambda: LanguageModel([network(), network()]),
        lambda: LiveLanguageModel(LanguageModel([network()]), start=3),
    ],
    ids=["tied", "adaptive", "groups", "dropouts", "members", "live"],
)
def test_the_law(make):
    sw.testing.check_recurrence(make, draw, time=7)


@pytest.mark.parametrize(
    ("task", "data"),
    [
        (sw.Generate(), {"text": [text(60)]}),
        (sw.Generate(tokenizer="words", documents=True), {"text": list(LINES) * 5}),
        (sw.Generate(items="played"), {"played": [["intro", "verse", "outro"], ["verse", "verse"]] * 4}),
    ],
    ids=["running", "documents", "events"],
)
def test_the_task_holds_what_tasks_hold(task, data):
    sw.testing.check_task(task, data)


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_tied_vectors_do_not_make_an_item_expect_itself(softmax):
    torch.manual_seed(0)
    config = LanguageConfig(32, softmax=softmax, cutoffs=(20,))
    made = LanguageNetwork(60, BackboneConfig("gru", 32, 2), config).eval()
    with torch.no_grad():
        log_probs, _ = made(torch.arange(60).unsqueeze(1))
    again = log_probs[:, 0].diagonal().exp()
    assert again.mean() < 3 / 60


def test_the_live_step_is_surprised_by_what_the_whole_says():
    live = LiveLanguageModel(LanguageModel([network()]), start=3).eval()
    ids = draw(2, 5)
    with torch.no_grad():
        outputs, _ = live(ids)
        begun = torch.cat((torch.full((2, 1), 3), ids), dim=1)
        log_probs, _ = live.model(begun)
    want = -log_probs[:, :-1].gather(2, ids.unsqueeze(2)).squeeze(2)
    assert torch.allclose(outputs[..., 0], want, atol=1e-6)
    assert torch.allclose(outputs[..., 1:], log_probs[:, 1:], atol=1e-6)


def problem(count: int = 1000, **lanes) -> GenerateProblem:
    ids = np.arange(count) % 12
    training, held_out = Corpus((ids,), count), Corpus((ids[:300],), 300)
    return GenerateProblem(network(), training, held_out, 3, Lanes(**{"batch_size": 4, **lanes}))


def test_lanes_are_read_on_and_their_offset_is_drawn():
    made = problem(chunk_length=16)
    first = list(made.epoch(np.random.default_rng(0)))
    assert [chunk.fresh for chunk in first] == [True] + [False] * (len(first) - 1)
    assert first[-1].last
    for before, after in itertools.pairwise(first):
        assert torch.equal(before.target[:, -1], after.inputs[:, 0])
    whole = torch.cat([chunk.inputs for chunk in first], dim=1)
    assert torch.equal(torch.cat([chunk.target for chunk in first], dim=1)[:, :-1], whole[:, 1:])
    again = torch.cat([chunk.inputs for chunk in made.epoch(np.random.default_rng(0))], dim=1)
    assert torch.equal(whole, again)
    starts = {int(next(iter(made.epoch(np.random.default_rng(seed)))).inputs[0, 0]) for seed in range(8)}
    assert len(starts) > 2


def test_chunks_of_varied_length_hold_the_same_items():
    made = problem(chunk_length=16, vary_length=True)
    chunks = list(made.epoch(np.random.default_rng(1)))
    lengths = [chunk.weight.shape[1] for chunk in chunks]
    assert len(set(lengths)) > 3
    assert sum(lengths) in range(1000 // 4 - 5, 1000 // 4 + 1)
    assert chunks[-1].last
    network, chunk = made.network, chunks[0]
    loss, _ = made.loss(network.eval(), chunk, network.initial_state(4))
    plain = GenerateProblem(network, Corpus((np.arange(50),), 50), Corpus((), 0), 3, Lanes(4))
    want, _ = plain.loss(network, chunk, network.initial_state(4))
    assert float(loss.detach()) == pytest.approx(float(want.detach()) * lengths[0] / 16)


def test_documents_begin_anew_and_padding_is_not_trained():
    texts = tuple(np.arange(length) % 12 for length in (3, 9, 5, 7))
    made = GenerateProblem(network(), Corpus(texts, 24), Corpus((), 0), 3, Lanes(2, chunk_length=4))
    chunks = list(made.epoch(np.random.default_rng(0)))
    assert sum(float(chunk.weight.sum()) for chunk in chunks) == 24
    assert sum(chunk.fresh for chunk in chunks) == 2
    assert all(bool((chunk.inputs[:, 0] == 3).all()) for chunk in chunks if chunk.fresh)
    assert not made.validates


@pytest.mark.parametrize("count", [1, 2, 700, 5000, 20_000])
def test_held_out_lanes_count_every_item_once(count):
    ids = torch.arange(count + 1)
    inputs, target, weight = read_lanes(ids)
    counted = target[weight.bool()]
    assert torch.equal(counted.sort().values, torch.arange(1, count + 1))
    assert torch.equal(inputs[weight.bool()] + 1, counted)
    # Each lane reads its warm items just before the counted ones.
    for row, weights in zip(inputs, weight, strict=True):
        real = row[: int(weights.nonzero().max()) + 1]
        assert torch.equal(real, torch.arange(int(real[0]), int(real[0]) + len(real)))


def test_the_validation_score_is_the_mean_surprisal():
    made = problem()
    made.network.eval()
    with torch.no_grad():
        ids = made.held_out[0].unsqueeze(0)
        log_probs, _ = made.network(ids[:, :-1])
        want = -log_probs.gather(2, ids[:, 1:].unsqueeze(2)).mean()
        assert made.validate(made.network) == pytest.approx(float(want), abs=1e-5)


def test_penalties_of_a_worked_case():
    y = torch.tensor([[[1.0, 1.0], [3.0, 1.0]]])
    assert float(Penalties(activation=2.0).of(y)) == pytest.approx(2 * 3.0)
    assert float(Penalties(slowness=0.5).of(y)) == pytest.approx(0.5 * 2.0)
    assert float(Penalties().of(y)) == 0.0


def test_the_state_of_a_chunk_goes_into_the_next():
    made = problem(chunk_length=16)
    one, two, *_ = made.epoch(np.random.default_rng(0))
    network = made.network.eval()
    _, after = made.loss(network, one, network.initial_state(4))
    fresh, _ = made.loss(network, two, network.initial_state(4))
    carried, _ = made.loss(network, two, states.detach(after))
    assert float(fresh.detach()) != float(carried.detach())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"softmax": "ful"}, "softmax: no such softmax 'ful'. Did you mean 'full'?"),
        ({"cutoffs": (10, 5)}, "cutoffs: got [10, 5], want rising whole numbers above 0."),
        ({"weight_drop": 1.5}, "weight_drop: got 1.5, want 0 ≤ rate < 1."),
        ({"embedding_size": -1}, "embedding_size: got -1, want 0 or more."),
        ({"by": "who"}, "by: got 'who' without items, want the column of the events in items."),
        ({"tokenizer": "word"}, "tokenizer: no such tokenizer 'word'. Did you mean 'words'?"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError) as raised:
        sw.Generate(**settings)
    assert str(raised.value) == message


def test_a_cell_without_recurrent_weights_has_none_to_drop():
    codec = sw.Generate().codec(["abc"])
    with pytest.raises(ConfigError) as raised:
        sw.Generate(weight_drop=0.5).network(codec, BackboneConfig("mingru", 8, 1))
    assert str(raised.value) == "weight_drop: none of the cells has recurrent weights; set it to 0."


def test_rows_that_do_not_fit_are_told_before_training():
    with pytest.raises(DataError, match=r"^text: got 5, want text \(row 1\)\.$"):
        sw.fit(sw.Generate(), {"text": ["a", 5]}, progress=False)
    with pytest.raises(DataError, match=r"^played: got None, want one value \(row 1\)\.$"):
        sw.fit(sw.Generate(items="played", by="who"), {"who": ["a", "b"], "played": ["x", None]})
    with pytest.raises(DataError, match=r"^data: the training part has fewer than 2 items"):
        sw.fit(sw.Generate(), {"text": ["a"]}, validation=0, progress=False)
