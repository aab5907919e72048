"""The live step: in torch and as an ONNX graph it is the recurrence's own step."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from statewise.cells.attention import Attention
from statewise.core.errors import BundleError, MissingExtraError, ShapeError, StreamError
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.live import LiveStep, TorchEngine, export_onnx
from statewise.recurrence import Recurrence
from statewise.state import State
from statewise.streaming.engines import OnnxEngine

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class CellState(NamedTuple):
    hidden: Tensor  # [B, 6]
    keep: Tensor  # [B, 0]


class Network(Recurrence):
    """All that a forecaster's step may hold: NaN, two inputs, lags, a counter, a flag, an empty leaf."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4 + 6, 6)
        self.head = nn.Linear(6, 3 * 2)
        self.known = nn.Linear(2, 2)
        self.dropout = nn.Dropout(0.5)
        self.start = nn.Parameter(torch.randn(6))

    def initial_state(self, batch: int) -> State:
        empty = self.start.new_zeros(batch, 0)
        counter = torch.zeros(batch, dtype=torch.int64)
        flag = torch.zeros(batch, 4, dtype=torch.bool)
        ring = self.start.new_zeros(batch, 5)
        return CellState(self.start.expand(batch, -1), empty), ring, (counter, flag)

    def step(self, x: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        now, future = x
        (hidden, keep), ring, (counter, _) = state
        missing = torch.isnan(now)
        now = torch.where(missing, torch.zeros((), dtype=now.dtype), now)
        after = torch.tanh(self.inner(self.dropout(torch.cat([now, hidden], 1)))) * 0.9 + 0.1 * hidden
        output = self.head(after).view(-1, 3, 2) + self.known(future) + ring[:, :1, None]
        ring = torch.cat([ring[:, 1:], now[:, :1]], 1)
        return output, (CellState(after, keep), ring, (counter + 1, missing))

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        raise NotImplementedError


NAMES = ("now", "future")
LEAVES = ("0.hidden", "0.keep", "1", "2.0", "2.1")


def observations(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(3)
    now = generator.normal(size=(count, 1, 4)).astype(np.float32)
    now[generator.random(now.shape) < 0.1] = np.nan
    return list(zip(now, generator.normal(size=(count, 1, 3, 2)).astype(np.float32), strict=True))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@pytest.fixture(scope="module")
def graph(network: Network) -> bytes:
    return export_onnx(LiveStep(network, NAMES), [torch.randn(1, 4), torch.randn(1, 3, 2)])


@pytest.fixture
def onnx(network: Network, graph: bytes) -> OnnxEngine:
    return OnnxEngine(graph, NAMES, LiveStep(network, NAMES).initial_arrays(), "abc")


def test_live_step_names_and_values(network: Network) -> None:
    live = LiveStep(network, NAMES)
    assert live.leaves == LEAVES
    now, future = torch.randn(2, 4), torch.randn(2, 3, 2)
    got = live(now, future, *live.initial_leaves(2))
    network.eval()
    want, state = network.step((now, future), network.initial_state(2))
    network.train()
    assert torch.equal(got[0], want)
    assert torch.equal(got[1], state[0].hidden)
    assert got[4].tolist() == [1, 1]


def test_live_step_refuses_a_wrong_count(network: Network) -> None:
    with pytest.raises(ShapeError) as caught:
        LiveStep(network, NAMES)(torch.randn(1, 4))
    assert str(caught.value) == "live step: got 1 tensors, want 2 inputs and 5 state leaves."


def test_onnx_equals_torch_over_1000_steps(network: Network, onnx: OnnxEngine) -> None:
    engine = TorchEngine(network, "abc")
    ours, theirs, worst = onnx.initial(), engine.initial(), 0.0
    for inputs in observations(1000):
        got, ours = onnx.step(inputs, ours)
        want, theirs = engine.step(inputs, theirs)
        worst = max(worst, float(np.abs(got - want).max()))
    assert worst < 1e-5
    for name, leaf in engine.dump(theirs).items():
        np.testing.assert_allclose(onnx.dump(ours)[name], leaf, atol=1e-5)
        assert onnx.dump(ours)[name].dtype == leaf.dtype


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_backbone_exports(cell: str) -> None:
    torch.manual_seed(1)
    backbone = Backbone(3, BackboneConfig(cell=cell, hidden_size=8, num_layers=2, recurrent_dropout=0.2))
    live = LiveStep(backbone, ("x",))
    onnx = OnnxEngine(export_onnx(live, [torch.randn(1, 3)]), ("x",), live.initial_arrays(), "abc")
    engine = TorchEngine(backbone, "abc")
    ours, theirs, worst = onnx.initial(), engine.initial(), 0.0
    for x in np.random.default_rng(0).normal(size=(1000, 1, 3)).astype(np.float32):
        got, ours = onnx.step((x,), ours)
        want, theirs = engine.step((x,), theirs)
        worst = max(worst, float(np.abs(got - want).max()))
    assert worst < 1e-5


def test_the_batch_axis_is_free(network: Network, graph: bytes) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    live = LiveStep(network, NAMES)
    now, future = torch.randn(5, 4), torch.randn(5, 3, 2)
    tensors = (now, future, *live.initial_leaves(5))
    names = [*NAMES, *(f"state.{leaf}" for leaf in LEAVES)]
    feeds = {name: tensor.detach().numpy() for name, tensor in zip(names, tensors, strict=True)}
    (output,) = session.run(["output"], feeds)
    np.testing.assert_allclose(output, live(*tensors)[0].numpy(), atol=1e-5)


def test_batch_one_exports_what_fixes_the_batch(network: Network) -> None:
    live = LiveStep(network, NAMES)
    graph = export_onnx(live, [torch.randn(3, 4), torch.randn(3, 3, 2)], batch="one")
    engine = OnnxEngine(graph, NAMES, live.initial_arrays(), "abc")
    inputs = observations(1)[0]
    got, _ = engine.step(inputs, engine.initial())
    want, _ = TorchEngine(network, "abc").step(inputs, TorchEngine(network, "abc").initial())
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_export_is_quiet_repeatable_and_names_no_file(
    network: Network, graph: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = export_onnx(LiveStep(network, NAMES), [torch.randn(1, 4), torch.randn(1, 3, 2)])
    assert caught == []
    assert capfd.readouterr() == ("", "")
    assert again == graph
    assert b".py" not in graph
    assert b"stack_trace" not in graph
    for name in ("torch.onnx", "onnxscript"):
        assert logging.getLogger(name).level == logging.NOTSET


def test_export_of_what_cannot_be_traced_says_so() -> None:
    class Branching(Network):
        def step(self, x: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
            if float(x[0].sum()) > 0:
                return super().step(x, state)
            return super().step((x[0] * 2, x[1]), state)

    with pytest.raises(
        ShapeError, match=r"^export: the live step cannot be written as an ONNX graph: [^\n]+$"
    ):
        export_onnx(LiveStep(Branching(), NAMES), [torch.randn(1, 4), torch.randn(1, 3, 2)])


def test_missing_extras_are_named(network: Network, graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveStep(network, NAMES)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"^export to ONNX needs onnxscript.*'statewise\[onnx\]'$"):
        export_onnx(live, [torch.randn(1, 4), torch.randn(1, 3, 2)])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"^the ONNX engine needs onnxruntime.*'statewise\[onnx\]'$"):
        OnnxEngine(graph, NAMES, live.initial_arrays(), "abc")


def test_training_on_does_not_move_a_live_engine(network: Network) -> None:
    twin = Network()
    engine = TorchEngine(twin, "abc")
    inputs = observations(1)[0]
    before, _ = engine.step(inputs, engine.initial())
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    after, _ = engine.step(inputs, engine.initial())
    assert np.array_equal(before, after)
    assert twin.training
    assert all(parameter.requires_grad for parameter in twin.parameters())


@pytest.mark.parametrize("which", ["torch", "onnx"])
def test_a_step_changes_no_earlier_state_or_output(which: str, network: Network, onnx: OnnxEngine) -> None:
    engine = onnx if which == "onnx" else TorchEngine(network, "abc")
    start = engine.initial()
    kept = engine.dump(start)
    rows = observations(4)
    output, state = engine.step(rows[0], start)
    copied, middle = output.copy(), engine.dump(state)
    for inputs in rows[1:]:
        engine.step(inputs, state)
    for name, leaf in engine.dump(start).items():
        assert np.array_equal(leaf, kept[name])
    for name, leaf in engine.dump(state).items():
        assert np.array_equal(leaf, middle[name])
    assert np.array_equal(output, copied)


@pytest.mark.parametrize("which", ["torch", "onnx"])
def test_dump_and_load_go_on_bit_for_bit(which: str, network: Network, onnx: OnnxEngine) -> None:
    engine = onnx if which == "onnx" else TorchEngine(network, "abc")
    rows = observations(20)
    state = engine.initial()
    for inputs in rows[:10]:
        _, state = engine.step(inputs, state)
    other = engine.load(engine.dump(state))
    for inputs in rows[10:]:
        want, state = engine.step(inputs, state)
        got, other = engine.step(inputs, other)
        assert got.tobytes() == want.tobytes()


def test_a_state_moves_between_engines(network: Network, onnx: OnnxEngine) -> None:
    engine = TorchEngine(network, "abc")
    rows = observations(11)
    state = engine.initial()
    for inputs in rows[:10]:
        _, state = engine.step(inputs, state)
    got, _ = onnx.step(rows[10], onnx.load(engine.dump(state)))
    want, _ = engine.step(rows[10], state)
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("which", ["torch", "onnx"])
def test_load_refuses_other_leaves(which: str, network: Network, onnx: OnnxEngine) -> None:
    engine = onnx if which == "onnx" else TorchEngine(network, "abc")
    good = engine.dump(engine.initial())
    with pytest.raises(StreamError) as caught:
        engine.load({name: leaf for name, leaf in good.items() if name != "1"} | {"x": good["1"]})
    assert str(caught.value) == "state: missing leaves ['1'], unknown leaves ['x']."
    with pytest.raises(StreamError) as caught:
        engine.load({**good, "1": np.zeros((1, 4), np.float64)})
    assert str(caught.value) == "state: leaf '1' is float64[1, 4], want float32[1, 5]."


def test_a_graph_of_another_model_is_refused(network: Network, graph: bytes) -> None:
    with pytest.raises(BundleError, match=r"^step\.onnx: takes \['future', 'now', 'state\.0\.hidden'"):
        OnnxEngine(graph, ("x",), LiveStep(network, NAMES).initial_arrays(), "abc")
    with pytest.raises(BundleError, match=r"^step\.onnx: ONNX Runtime cannot load it: "):
        OnnxEngine(b"nonsense", NAMES, LiveStep(network, NAMES).initial_arrays(), "abc")


@pytest.fixture(scope="module")
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(3, 8)


def test_a_state_that_grows_is_streamed_and_loaded(attention: Attention) -> None:
    engine = TorchEngine(attention, "abc")
    x = np.random.default_rng(0).normal(size=(9, 1, 3)).astype(np.float32)
    state, answers = engine.initial(), []
    for row in x[:5]:
        answers.append(engine.step((row,), state)[0])
        state = engine.step((row,), state)[1]
    other = engine.load(engine.dump(state))
    for row in x[5:]:
        want, state = engine.step((row,), state)
        got, other = engine.step((row,), other)
        assert got.tobytes() == want.tobytes()
        answers.append(got)
    whole, _ = attention(torch.from_numpy(x).transpose(0, 1))
    np.testing.assert_allclose(np.concatenate(answers), whole[0].detach(), atol=1e-6)
    wrong = engine.dump(state) | {"keys": np.zeros((1, 9, 4, 3), np.float32)}
    with pytest.raises(StreamError) as caught:
        engine.load(wrong)
    assert str(caught.value) == "state: leaf 'keys' is float32[1, 9, 4, 3], want float32[1, 9, 4, 2]."


def test_a_state_that_grows_is_no_graph(attention: Attention) -> None:
    with pytest.raises(ShapeError) as caught:
        export_onnx(LiveStep(attention), [torch.randn(1, 3)])
    assert str(caught.value) == (
        "export: the state grows with every step (keys, values), a graph's has one size. "
        "Give attention a window, or stream it with engine='torch'."
    )


def test_attention_over_a_window_exports() -> None:
    torch.manual_seed(0)
    cell = Attention(3, 8, window=4)
    live = LiveStep(cell)
    onnx = OnnxEngine(export_onnx(live, [torch.randn(1, 3)]), ("x",), live.initial_arrays(), "abc")
    engine = TorchEngine(cell, "abc")
    ours, theirs = onnx.initial(), engine.initial()
    for row in np.random.default_rng(0).normal(size=(9, 1, 3)).astype(np.float32):
        got, ours = onnx.step((row,), ours)
        want, theirs = engine.step((row,), theirs)
        np.testing.assert_allclose(got, want, atol=1e-5)
