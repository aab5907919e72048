"""Forecasting as training: no peek at the tail, every position once, the state handed over."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.core.errors import DataError
from statewise.data.chunks import Chunk
from statewise.nn.backbone import BackboneConfig
from statewise.rows.layout import ForecastArrays, Layout
from statewise.tasks.forecast_network import ForecastNetwork, Memory
from statewise.tasks.forecast_problem import ForecastProblem, Lanes
from statewise.tasks.segment_network import SegmentNetwork, Segments

HORIZON = 3
LANES = Lanes(warm=5, span=20, batch_size=2, chunk_length=None)


def arrays(time: int, series: int = 0) -> ForecastArrays:
    """Rows that say where they are: now[t] = (1000 series + t, t, series, noise), future[t] = t."""
    clock = np.arange(time + HORIZON, dtype=np.float32)
    noise = np.random.default_rng(series).normal(size=time).astype(np.float32)
    now = np.stack((1000 * series + clock[:time], clock[:time], np.full(time, series), noise), axis=1)
    return ForecastArrays(now.astype(np.float32), clock[:, None])


class Nothing(nn.Module):
    """A network whose loss of each forecast is its target; its state counts steps."""

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 1)

    def losses(
        self, x: tuple[Tensor, Tensor], target: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return target.nan_to_num(), ~target.isnan(), state + x[0].shape[1]


def problem(
    *sizes: int, validation: float = 0.2, lanes: Lanes = LANES, gaps: bool = False
) -> ForecastProblem[Nothing]:
    parts = [arrays(size, number) for number, size in enumerate(sizes)]
    if gaps:
        for part in parts:
            part.now[::3, 0] = np.nan
    return ForecastProblem(Nothing(), parts, 1, lanes, validation)


class Position(NamedTuple):
    series: int
    time: int


def trained(chunks: list[Chunk]) -> Counter[Position]:
    """How often each position has weight."""
    found: Counter[Position] = Counter()
    for chunk in chunks:
        now = chunk.inputs[0]
        for lane, step in chunk.weight.nonzero().tolist():
            found[Position(int(now[lane, step, 2]), int(now[lane, step, 1]))] += 1
    return found


@pytest.mark.parametrize("sizes", [(100,), (37, 100, 64), (20, 21, 22)])
@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_trains_every_position_once_and_none_that_sees_the_tail(
    sizes: tuple[int, ...], seed: int
) -> None:
    made = problem(*sizes)
    found = trained(list(made.epoch(np.random.default_rng(seed))))
    want = {
        Position(number, time)
        for number, size in enumerate(sizes)
        for time in range(size - max(2 * HORIZON, round(0.2 * size)) - HORIZON)
    }
    assert set(found) == want
    assert set(found.values()) == {1}


def test_every_part_of_a_chunk_belongs_to_its_position() -> None:
    for chunk in problem(60, 33, lanes=Lanes(5, 20, 3, 8)).epoch(np.random.default_rng(1)):
        now, future = chunk.inputs
        for lane, step in chunk.weight.nonzero().tolist():
            series, time = int(now[lane, step, 2]), int(now[lane, step, 1])
            assert chunk.target[lane, step].tolist() == [
                [1000 * series + time + k for k in range(1, HORIZON + 1)]
            ]
            assert future[lane, step].tolist() == [[time + k] for k in range(1, HORIZON + 1)]


def same(one: list[Chunk], other: list[Chunk]) -> bool:
    if len(one) != len(other):
        return False
    pairs = zip(one, other, strict=True)
    return all(
        a.fresh == b.fresh
        and all(
            np.array_equal(x.numpy(), y.numpy(), equal_nan=True)
            for x, y in zip(states.tensors(tuple(a[:3])), states.tensors(tuple(b[:3])), strict=True)
        )
        for a, b in pairs
    )


@pytest.mark.parametrize("seed", range(3))
def test_nothing_in_the_held_out_tail_reaches_a_training_chunk(seed: int) -> None:
    clean = [arrays(80, 0), arrays(50, 1)]
    spoiled = [arrays(80, 0), arrays(50, 1)]
    for part, tail in zip(spoiled, (16, 10), strict=True):
        part.now[-tail:] = 1e9
        part.future[-tail - HORIZON :] = 1e9
    chunks = [
        list(ForecastProblem(Nothing(), parts, 1, Lanes(5, 20, 2, 7), 0.2).epoch(np.random.default_rng(seed)))
        for parts in (clean, spoiled)
    ]
    assert same(*chunks)
    spoiled[0].now[40, 0] = 1e9  # the check itself sees what it should
    parts = ForecastProblem(Nothing(), spoiled, 1, Lanes(5, 20, 2, 7), 0.2)
    assert not same(chunks[0], list(parts.epoch(np.random.default_rng(seed))))


def test_the_epoch_follows_its_generator() -> None:
    made = problem(100, 70)
    one, again = (list(made.epoch(np.random.default_rng(3))) for _ in range(2))
    assert same(one, again)
    rng = np.random.default_rng(3)
    assert same(one, list(made.epoch(rng)))
    assert not same(one, list(made.epoch(rng)))


def test_a_lane_warms_up_unless_it_begins_with_its_series() -> None:
    for chunk in problem(200, lanes=Lanes(5, 20, 4, None)).epoch(np.random.default_rng(0)):
        now = chunk.inputs[0]
        for lane in range(len(now)):
            weights = chunk.weight[lane]
            first, begin = int(weights.nonzero()[0]), int(now[lane, 0, 1])
            start = begin + first
            assert begin == max(0, start - 5)
            real = int((~now[lane, :, 1].isnan()).sum())
            assert weights[first:real].tolist() == [1] * (real - first)
            assert weights[real:].sum() == 0
            assert now[lane, real:].isnan().all()


def test_offsets_move_from_epoch_to_epoch() -> None:
    made = problem(200, lanes=Lanes(5, 20, 1, None))
    rng = np.random.default_rng(0)

    def first(chunk: Chunk) -> int:
        return int(chunk.inputs[0][0, 0, 1] + chunk.weight[0].nonzero()[0])

    starts = [sorted(map(first, made.epoch(rng))) for _ in range(4)]
    assert len({tuple(each) for each in starts}) == 4
    assert all(each[0] == 0 for each in starts)


@pytest.mark.parametrize("length", [1, 7, 25, 1000])
def test_chunks_cut_lanes_and_the_carried_state_makes_them_whole(length: int) -> None:
    layout, memory = Layout(1, 1, 0, 1, 1), Memory(4, (2,), 1, 3.0)
    torch.manual_seed(0)
    network = ForecastNetwork(layout, HORIZON, memory, (0.1, 0.5, 0.9), BackboneConfig("gru", 4)).double()
    parts = [arrays(60, number) for number in range(3)]
    losses = []
    for chunk_length in (length, None):
        made = ForecastProblem(network, parts, 1, Lanes(5, 20, 3, chunk_length), 0.2)
        total, state = 0.0, None
        with torch.no_grad():
            for chunk in made.epoch(np.random.default_rng(0)):
                chunk = Chunk(*states.map_state(Tensor.double, tuple(chunk[:3])), chunk.fresh)
                if chunk.fresh:
                    state = network.initial_state(len(chunk.weight))
                loss, state = made.loss(network, chunk, state)
                total += float(loss) * float((chunk.weight[..., None, None] * ~chunk.target.isnan()).sum())
        losses.append(total)
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_only_the_first_chunk_of_lanes_is_fresh() -> None:
    chunks = list(problem(100, 100, lanes=Lanes(5, 20, 2, 10)).epoch(np.random.default_rng(0)))
    runs = "".join("F" if chunk.fresh else "." for chunk in chunks).split("F")[1:]
    assert all(len(chunk.weight[0]) <= 10 for chunk in chunks)
    assert len(runs) > 1
    assert max(map(len, runs)) == 2  # 25 steps: three chunks of at most ten


def test_the_loss_is_the_mean_over_what_is_trained_and_observed() -> None:
    made = problem(40, gaps=True)
    for chunk in made.epoch(np.random.default_rng(0)):
        there = (chunk.weight[..., None, None] > 0) & ~chunk.target.isnan()
        loss, after = made.loss(made.network, chunk, made.network.initial_state(2))
        assert float(loss) == pytest.approx(float(chunk.target[there].double().mean()), rel=1e-5)
        assert after[0, 0] == chunk.weight.shape[1]


@pytest.mark.parametrize("warm", [1, 5, 1000])
def test_validation_scores_the_tail_and_nothing_else(warm: int) -> None:
    made = problem(100, 60, lanes=Lanes(warm, 20, 2, None), gaps=True)
    want = []
    for number, size in enumerate((100, 60)):
        tail = round(0.2 * size)
        for time in range(size - tail - 1, size):
            ahead = range(time + 1, min(time + 1 + HORIZON, size))
            want += [1000 * number + k for k in ahead if k % 3 and k >= size - tail]
    assert made.validate(made.network) == pytest.approx(np.mean(want), rel=1e-5)


def test_without_validation_every_position_is_trained_on_what_is_there() -> None:
    made = problem(30, validation=0.0)
    assert made.held_out == []
    found = trained(list(made.epoch(np.random.default_rng(0))))
    assert found == Counter({Position(0, time): 1 for time in range(30)})


@pytest.mark.parametrize(("size", "tail"), [(12, 0), (13, 6), (100, 20)])
def test_a_series_too_short_for_a_tail_is_trained_whole(size: int, tail: int) -> None:
    (part,) = problem(size, validation=0.2).series
    assert part.time - part.train_end == tail
    assert int(part.trained.sum()) == size - (tail + HORIZON if tail else 0)
    assert part.examples == (size - tail - HORIZON if tail else size - 1)


@pytest.mark.parametrize("missing", [slice(75, None), slice(1, 80)])
def test_a_tail_or_a_training_part_without_values_is_no_reason_to_split(missing: slice) -> None:
    part = arrays(100)
    part.now[missing, 0] = np.nan
    made = ForecastProblem(Nothing(), [part], 1, Lanes(5, 20, 2, None), 0.2)
    assert made.held_out == []


def test_rows_without_anything_to_learn_are_refused() -> None:
    empty = arrays(40)
    empty.now[1:, 0] = np.nan
    for part, length in ((arrays(1), 1), (empty, 40)):
        with pytest.raises(DataError) as caught:
            ForecastProblem(Nothing(), [part], 1, Lanes(5, 20, 2, None), 0.1)
        assert str(caught.value) == (
            f"data: no row has a value after it to learn from (the longest series has {length}): "
            "give more rows."
        )


def test_the_closed_form_start_sees_no_weight_on_the_tail_or_the_first_rows() -> None:
    weights = [weight[0] for _, _, weight in problem(100, 40).batches()]
    assert [int(weight.nonzero()[0]) for weight in weights] == [5, 5]
    assert [int(weight.nonzero()[-1]) for weight in weights] == [100 - 20 - HORIZON - 1, 40 - 8 - HORIZON - 1]


def test_a_loss_that_is_nan_is_never_taken_for_a_missing_target() -> None:
    class Broken(Nothing):
        def losses(
            self, x: tuple[Tensor, Tensor], target: Tensor, state: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            losses, counts, after = super().losses(x, target, state)
            return losses + torch.where(x[0][:, :, 1] == 90, torch.nan, 0.0)[..., None, None], counts, after

    made = problem(100)
    broken = Broken()
    assert np.isfinite(made.validate(Nothing()))
    assert np.isnan(made.validate(broken))
    now = torch.from_numpy(arrays(100).now).unsqueeze(0)
    chunk = Chunk((now, now), torch.ones(1, 100, 1, HORIZON), torch.ones(1, 100), True)
    assert made.loss(Nothing(), chunk, torch.zeros(1, 1))[0].item() == 1.0
    assert made.loss(broken, chunk, torch.zeros(1, 1))[0].isnan()


def test_a_segment_network_counts_what_it_looked_at_and_hides_no_nan() -> None:
    torch.manual_seed(0)
    layout = Layout(target=2, observed=0, known=0, calendar=0, static=0)
    network = SegmentNetwork(layout, 4, Segments(6, 2), (0.1, 0.5, 0.9), BackboneConfig("gru", 4))
    x = torch.randn(3, 40, 2), torch.zeros(3, 40, 4, 0)
    target = torch.randn(3, 40, 2, 4)
    target[0, :, 1] = torch.nan
    for training in (True, False):
        network.train(training)
        losses, counts, _ = network.losses(x, target, network.initial_state(3))
        looked = counts[1, :, 0, 0]
        assert int(looked.sum()) == (16 if training else 40)
        assert torch.equal(counts, looked.view(1, 40, 1, 1) & ~target.isnan())
        assert (losses[counts] > 0).all()
        assert (losses[~counts] == 0).all()
    with torch.no_grad():
        network.readout.bias.fill_(torch.nan)
    losses, counts, _ = network.losses(x, target, network.initial_state(3))
    assert losses[counts].isnan().all()
    assert (losses[~counts] == 0).all()
