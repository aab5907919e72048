"""The decoder keeps the law, whatever it looks at and whatever its cells; beams share its source."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.cells.table import CELLS
from statewise.nn.backbone import BackboneConfig
from statewise.nn.decoder import SEES, Decoder, DecoderState
from statewise.recurrence import Input, Recurrence
from statewise.state import State
from statewise.testing.recurrence import check_recurrence

SOURCE_LENGTHS = torch.tensor([6, 1, 2, 4, 3])


class Begun(Recurrence):
    """A decoder that has read sources of its own, of 5 different lengths."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.annotations = nn.Parameter(torch.randn(5, 6, decoder.source_size))

    def initial_state(self, batch: int) -> DecoderState:
        rows = torch.arange(batch) % 5
        return self.decoder.begin(self.annotations[rows], SOURCE_LENGTHS[rows])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.decoder.step(x, state)

    def forward(
        self, x: Input, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        after: tuple[Tensor, State] = self.decoder(x, state, lengths)
        return after


def decoder(sees: str, cell: str = "gru", **settings: object) -> Decoder:
    config = BackboneConfig(cell, 4, **{"num_layers": 2, **settings})  # type: ignore[arg-type]
    return Decoder(3, 4, config, attention=sees).eval()


@pytest.mark.parametrize("sees", SEES)
def test_the_law_with_a_source_and_without(sees: str) -> None:
    check_recurrence(lambda: decoder(sees), 3, batch=3, time=4)
    check_recurrence(lambda: Begun(decoder(sees)), 3, batch=5, time=4)


@pytest.mark.parametrize("cell", sorted(set(CELLS) - {"gru"}))
def test_the_law_for_every_cell(cell: str) -> None:
    check_recurrence(lambda: Begun(decoder("additive", cell)), 3, batch=3, time=4)


@pytest.mark.parametrize("settings", [{"num_layers": 1}, {"residual": False}, {"num_layers": 3}])
def test_the_law_for_other_stacks(settings: dict[str, object]) -> None:
    check_recurrence(lambda: Begun(decoder("general", **settings)), 3, batch=3, time=4)


@pytest.mark.parametrize("sees", SEES)
def test_beams_share_a_source_without_a_copy(sees: str) -> None:
    begun = Begun(decoder(sees))
    state, beams = begun.initial_state(2), torch.tensor([0, 0, 0, 1, 1, 1])
    x = torch.randn(6, 3)
    own = states.take(state, beams)
    shared = DecoderState(state.source, states.take(state.layers, beams))
    for _ in range(3):
        want, own = begun.step(x, own)
        got, shared = begun.step(x, shared)
        assert torch.allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("sees", SEES)
def test_the_source_matters(sees: str) -> None:
    begun, x = Begun(decoder(sees)), torch.randn(2, 4, 3)
    y, _ = begun(x)
    begun.annotations.data += 1
    other, _ = begun(x)
    assert (y - other).abs().amax(dim=(0, 2)).min() > 1e-5  # at every step, not at the first alone


def test_attention_weights_stand_beside_the_features() -> None:
    begun, x = Begun(decoder("additive")), torch.randn(3, 5, 3)
    state = begun.initial_state(3)
    _, weights, _ = begun.decoder.look(x, state)
    assert weights.shape == (3, 5, 6)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 5))
    _, once, _ = begun.decoder.look_once(x[:, 0], state)
    assert torch.allclose(once, weights[:, 0], atol=1e-6)


def test_padding_of_a_source_is_not_read() -> None:
    model = decoder("additive")
    annotations, lengths = torch.randn(2, 6, 4), torch.tensor([6, 3])
    poisoned = annotations.clone()
    poisoned[1, 3:] = torch.nan
    x = torch.randn(2, 4, 3)
    y, _ = model(x, model.begin(poisoned, lengths))
    alone, _ = model(x[1:], model.begin(annotations[1:, :3]))
    assert torch.allclose(y[1:], alone, atol=1e-6)
