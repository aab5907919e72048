"""Embeddings, their dropouts and the tied readout, held against torch and against plain forms."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.gru import GRU
from statewise.core.errors import ConfigError, ShapeError
from statewise.nn.embedding import LockedDropout, TokenEmbedding, TokenReadout, token_loss
from statewise.recurrence import Recurrence, zero_padding
from statewise.state import State
from statewise.testing import check_recurrence

V, E = 12, 6


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def ids(*shape: int) -> Tensor:
    return torch.randint(0, V, shape)


def test_equals_torch_with_its_padding_id() -> None:
    ours = TokenEmbedding(V, E)
    theirs = nn.Embedding.from_pretrained(ours.weight.detach().clone(), freeze=False, padding_idx=0)
    x = ids(4, 7)
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_padding_is_zero_even_where_its_row_is_not() -> None:
    embedding = TokenEmbedding(V, E)
    with torch.no_grad():
        embedding.weight[0] = 7.0
    assert (embedding(torch.tensor([[0, 3, 0]]))[0, [0, 2]] == 0).all()


def test_evaluation_drops_nothing_and_steps_equal_the_whole() -> None:
    embedding = TokenEmbedding(V, E, embedding_dropout=0.5, word_dropout=0.5, locked_dropout=0.5).eval()
    x = ids(3, 5)
    whole = embedding(x)
    torch.testing.assert_close(whole, torch.stack([embedding(x[:, t]) for t in range(5)], dim=1))
    torch.testing.assert_close(whole, torch.cat([embedding(x[:, :2]), embedding(x[:, 2:])], dim=1))
    torch.testing.assert_close(whole, functional.embedding(x, embedding.weight))


def test_embedding_dropout_drops_kinds_everywhere() -> None:
    rate = 0.4
    embedding = TokenEmbedding(V, E, embedding_dropout=rate)
    x = ids(40, 5)
    ratio = (embedding(x) / functional.embedding(x, embedding.weight)).nan_to_num()
    for kind in range(1, V):
        factors = ratio[x == kind]
        assert (
            torch.isclose(factors, torch.zeros(())).all()
            or torch.isclose(factors, torch.tensor(1 / (1 - rate))).all()
        )
    drops = [bool((embedding(torch.tensor([5])) == 0).all()) for _ in range(400)]
    assert abs(sum(drops) / 400 - rate) < 0.1


def test_word_dropout_makes_words_unknown_but_no_special_item() -> None:
    embedding = TokenEmbedding(V, E, word_dropout=0.5)
    embedding.weight.data = torch.arange(V).float().unsqueeze(1).expand(V, E).clone()
    x = torch.arange(V).expand(1000, V)
    seen = embedding(x)[..., 0]
    torch.testing.assert_close(seen[:, :4], x[:, :4].float())
    assert ((seen[:, 4:] == 1) | (seen[:, 4:] == x[:, 4:])).all()
    assert abs(float((seen[:, 4:] == 1).float().mean()) - 0.5) < 0.05


def test_locked_dropout_has_one_mask_per_sequence_and_keeps_the_mean() -> None:
    dropout = LockedDropout(0.25)
    x = torch.ones(200, 9, 50)
    mask = dropout(x)
    assert (mask == mask[:, :1]).all()
    torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 4 / 3]))
    assert not (mask[0] == mask[1]).all()
    assert abs(float(mask.mean()) - 1.0) < 0.02
    torch.testing.assert_close(dropout(torch.ones(5, 50)).unique(), torch.tensor([0.0, 4 / 3]))
    assert dropout.eval()(x) is x


def test_draws_repeat_with_the_seed() -> None:
    embedding = TokenEmbedding(V, E, embedding_dropout=0.3, word_dropout=0.3, locked_dropout=0.3)
    x = ids(4, 6)
    torch.manual_seed(1)
    first = embedding(x)
    torch.manual_seed(1)
    torch.testing.assert_close(embedding(x), first)


@pytest.mark.parametrize(
    ("input_size", "projected", "parameters"), [(E, False, 1), (E, True, 2), (4, False, 2)]
)
def test_a_tied_readout_shares_the_weight(input_size: int, projected: bool, parameters: int) -> None:
    embedding = TokenEmbedding(V, E)
    readout = TokenReadout(input_size, embedding, projected=projected)
    assert len(list(readout.parameters())) == parameters
    x = torch.randn(3, 5, input_size)
    inner = x if readout.project is None else x @ readout.project.weight.T
    torch.testing.assert_close(readout(x), inner @ embedding.weight.T + readout.bias)
    readout(x).sum().backward()
    assert embedding.weight.grad is not None
    assert (embedding.weight.grad != 0).all()


def test_a_copy_is_tied_to_its_own_embedding() -> None:
    embedding = TokenEmbedding(V, E)
    network = nn.ModuleDict({"embedding": embedding, "readout": TokenReadout(E, embedding)})
    assert set(network.state_dict()) == {"embedding.weight", "readout.bias"}
    copied = copy.deepcopy(network)
    x = torch.randn(2, E)
    before = network["readout"](x)
    with torch.no_grad():
        copied["embedding"].weight.mul_(2)
    torch.testing.assert_close(network["readout"](x), before)
    torch.testing.assert_close(copied["readout"](x), 2 * before)


def test_an_untied_readout_has_its_own_weight() -> None:
    readout = TokenReadout(4, TokenEmbedding(V, E), tied=False)
    assert [tuple(p.shape) for p in readout.parameters()] == [(V, 4), (V,)]
    assert readout.weight is not None
    x = torch.randn(2, 4)
    torch.testing.assert_close(readout(x), functional.linear(x, readout.weight, readout.bias))


def test_the_loss_is_the_smoothed_cross_entropy() -> None:
    logits, target = torch.randn(3, 5, V, dtype=torch.float64), ids(3, 5)
    log_probs = logits.log_softmax(-1)
    plain = -log_probs.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(token_loss(logits, target), plain)
    torch.testing.assert_close(token_loss(logits, target, 0.1), 0.9 * plain - 0.1 * log_probs.mean(-1))
    assert token_loss(logits[0, 0], target[0, 0]).shape == ()


class TokenModel(Recurrence):
    """Embedding, cell and tied readout: the smallest language model."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(V, E, embedding_dropout=0.3, word_dropout=0.3, locked_dropout=0.3)
        self.cell = GRU(E, E)
        self.readout = TokenReadout(E, self.embedding)

    def initial_state(self, batch: int) -> State:
        return self.cell.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.cell.step(self.embedding(x), state)
        return self.readout(y), state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y, state = self.cell(self.embedding(x), state, lengths)
        return zero_padding(self.readout(y), lengths), state


def test_the_law_holds_around_a_cell() -> None:
    check_recurrence(lambda: TokenModel().eval(), lambda batch, time: ids(batch, time))


def test_settings_out_of_range() -> None:
    embedding = TokenEmbedding(V, E)
    cases = [
        (lambda: TokenEmbedding(0, E), "vocabulary_size: got 0, want at least 1."),
        (lambda: TokenEmbedding(V, 0), "embedding_size: got 0, want at least 1."),
        (lambda: TokenEmbedding(V, E, word_dropout=1.0), "word_dropout: got 1.0, want 0 ≤ rate < 1."),
        (
            lambda: TokenEmbedding(V, E, embedding_dropout=-0.1),
            "embedding_dropout: got -0.1, want 0 ≤ rate < 1.",
        ),
        (lambda: LockedDropout(2.0), "dropout: got 2.0, want 0 ≤ rate < 1."),
        (lambda: token_loss(torch.zeros(1, V), ids(1), 1.0), "label_smoothing: got 1.0, want 0 ≤ rate < 1."),
    ]
    for make, text in cases:
        with pytest.raises(ConfigError) as caught:
            make()
        assert str(caught.value) == text
    with pytest.raises(ShapeError, match=r"^readout: got 5 values, want 6\.$"):
        TokenReadout(E, embedding)(torch.zeros(1, 5))
