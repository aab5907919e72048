"""Ids in a step program: embeddings are exact, what is too large or impossible is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.core.errors import ConfigError
from statewise.core.native import extension
from statewise.nn.embedding import TokenEmbedding
from statewise.nn.native_step import step_program, verified
from statewise.recurrence import Recurrence
from statewise.state import State
from statewise.streaming.stepper import Stepper

pytestmark = pytest.mark.skipif(
    extension() is None or not hasattr(extension(), "Steps"), reason="the compiled kernels are not there"
)


class Rows(Recurrence):
    """Whatever `read` makes of ids, added up."""

    def __init__(self, read: Callable[[Tensor], Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.read, self.parts = read, nn.ModuleList(parts)

    def initial_state(self, batch: int) -> State:
        return torch.zeros(batch, 5)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.read(x)
        return y, state + y[..., :5].flatten(1, -2).sum(1) if y.dim() > 2 else state + y[:, :5]

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> Any:
        raise NotImplementedError


def program(network: Recurrence, shape: tuple[int, ...] = ()) -> bytes:
    network.eval()
    return verified(step_program(network, {"item": shape}, ids=["item"]), network, {"item": shape})


def test_a_row_of_a_table_comes_bit_for_bit() -> None:
    torch.manual_seed(0)
    table = TokenEmbedding(40, 7)
    stepper = Stepper(program(Rows(table, table)))
    assert stepper.ids == {"item": [40]}
    x = np.arange(40, dtype=np.float32)[:, None]
    got, _ = stepper(x, stepper.initial(40))
    assert got.tobytes() == table.weight.detach().numpy().tobytes()


def test_a_table_may_be_large_and_hold_anything() -> None:
    """A look-up costs its row, whatever stands in the others."""
    table = nn.Embedding.from_pretrained(torch.arange(1_500_000.0).view(300_000, 5))
    with torch.no_grad():
        table.weight[1] = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0, 0.0])
    stepper = Stepper(step_program(Rows(table, table).eval(), {"item": ()}, ids=["item"]))
    got, _ = stepper(np.array([[1.0], [299_999.0], [0.0]], np.float32), stepper.initial(3))
    assert got.tobytes() == table.weight[[1, 299_999, 0]].numpy().tobytes()


def test_ids_outside_a_table_stay_in_it() -> None:
    """Who checks ids says more (`Stepper.ids`); memory is safe without."""
    table = nn.Embedding.from_pretrained(torch.arange(10.0).view(2, 5))
    stepper = Stepper(program(Rows(table, table)))
    x = np.array([[-3.0], [7.0], [np.nan], [np.inf]], np.float32)
    got, _ = stepper(x, stepper.initial(4))
    assert got[:, 0].tolist() == [0.0, 5.0, 0.0, 5.0]


def test_letters_of_a_word_through_a_convolution() -> None:
    """Every filter at its largest over the word, as `nn.word_front` has it."""
    torch.manual_seed(0)
    letter, filters = nn.Embedding(9, 4), nn.Conv1d(4, 7, 3, padding=2)

    def read(x: Tensor) -> Tensor:
        spelled = letter(x) * (x != 0).unsqueeze(-1)
        return functional.relu(filters(spelled.transpose(1, 2)).amax(2))

    stepper = Stepper(program(Rows(read, letter, filters), (6,)))
    ids = torch.tensor([[3, 8, 1, 0, 0, 0], [0] * 6, [1, 2, 3, 4, 5, 6]])
    got, _ = stepper(ids.numpy().astype(np.float32), stepper.initial(3))
    np.testing.assert_allclose(got, read(ids).detach().numpy(), atol=1e-6)


def test_several_ids_and_offsets() -> None:
    """Features of a word: each in its own part of one table."""
    torch.manual_seed(0)
    word, feature = nn.Embedding(9, 5), nn.Embedding(12, 5)
    offsets = torch.tensor([0, 4])

    def read(x: Tensor) -> Tensor:
        first, rest = x.split((1, 2), dim=-1)
        return word(first.squeeze(-1)) + feature(rest + offsets).sum(1)

    stepper = Stepper(program(Rows(read, word, feature), (3,)))
    assert stepper.ids == {"item": [9, 2, 2]}
    ids = torch.tensor([[8, 3, 7], [0, 0, 0]])
    got, _ = stepper(ids.numpy().astype(np.float32), stepper.initial(2))
    np.testing.assert_allclose(got, read(ids).detach().numpy(), atol=1e-6)


def test_the_place_of_an_id_in_what_changes() -> None:
    """The surprisal of a word is the log-probability that stood at its place."""
    torch.manual_seed(0)
    table = nn.Embedding(6, 5)

    def read(x: Tensor) -> Tensor:
        return table(x[:, 0]).gather(1, x[:, 1:]).repeat(1, 5)

    stepper = Stepper(program(Rows(read, table), (2,)))
    assert stepper.ids == {"item": [6, 5]}
    ids = torch.tensor([[0, 4], [5, 0], [3, 3]])
    got, _ = stepper(ids.numpy().astype(np.float32), stepper.initial(3))
    assert got[:, 0].tolist() == table.weight.detach()[ids[:, 0], ids[:, 1]].tolist()


def test_log_probabilities_are_those_of_torch() -> None:
    table = nn.Embedding.from_pretrained(torch.tensor([[0.0, 90.0, -90.0, 1.0, 2.0], [3.0] * 5]))
    stepper = Stepper(program(Rows(lambda x: functional.log_softmax(table(x), -1), table)))
    got, _ = stepper(np.array([[0.0], [1.0]], np.float32), stepper.initial(2))
    np.testing.assert_allclose(got, functional.log_softmax(table.weight, -1).numpy(), rtol=1e-6)


def test_a_sum_of_what_is_impossible_is_impossible() -> None:
    """The forward recursion of a tagger: minus infinity where no way leads."""
    table = nn.Embedding.from_pretrained(torch.tensor([[-9.0, 1, 2, -9, -9], [-9.0] * 5, [90.0] * 5]))

    def read(x: Tensor) -> Tensor:
        y = table(x)
        return y.masked_fill(y == -9, -torch.inf).logsumexp(-1, keepdim=True).repeat(1, 5)

    stepper = Stepper(program(Rows(read, table)))
    got, _ = stepper(np.array([[0.0], [1.0], [2.0]], np.float32), stepper.initial(3))
    np.testing.assert_allclose(got, read(torch.arange(3)).numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda x: (x % 3).float()[:, None].expand(-1, 5), r"aten\.remainder\.Scalar of whole numbers"),
        (
            lambda x: functional.embedding(x, (x.float() * torch.ones(3, 1)).expand(3, 5)),
            "an embedding whose table changes",
        ),
    ],
)
def test_what_has_no_form_is_named(read: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^native step: no native form of {text}: use another engine\.$"):
        program(Rows(read))


def test_a_step_that_looks_at_values_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        program(Rows(lambda x: functional.one_hot(x % 3, 5).float()))
    assert str(caught.value) == (
        "native step: what it does depends on the values it reads: use another engine."
    )
