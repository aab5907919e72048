"""Training speed of RNN, LSTM, GRU and their variants on the CPU, beside torch.nn.

    python -m benchmarks.speed.recurrent_layers

Forward and backward of one layer, float32, two threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from benchmarks.recording import Row, arguments, write
from benchmarks.timing import BURST, medians
from torch import Tensor, nn

from statewise.cells.gru import GRU
from statewise.cells.lstm import LSTM
from statewise.cells.rnn import RNN
from statewise.cells.slstm import SLSTM
from statewise.core.heap import keep_freed_memory

Run = Callable[[], Any]

PROTOCOL = """Forward, outputs times a fixed random weighing, backward to the input and all parameters; two
threads; all contestants of a row in turn, bursts of calls, medians over the turns. The C library is told
to keep freed memory, which makes the long sequences of both sides faster. The gradients of both sides,
with the same weights, are compared in the same run (largest difference over largest value)."""
SHAPES = [(100, 32, 128, 128), (512, 32, 256, 256), (96, 1, 64, 128)]  # steps, rows, inputs, hidden
BARS = {"gru": (4.0, 3.0, 14.0), "rnn": (3.0, 3.0, 8.0), "lstm": (1.1, 1.0, 2.2)}
PAIRS: dict[str, tuple[Any, Any]] = {"gru": (GRU, nn.GRU), "rnn": (RNN, nn.RNN), "lstm": (LSTM, nn.LSTM)}
VARIANTS: dict[str, Callable[[int, int], nn.Module]] = {
    "lstm layer_norm": lambda i, h: LSTM(i, h, layer_norm=True),
    "lstm recurrent_dropout": lambda i, h: LSTM(i, h, recurrent_dropout=0.3),
    "lstm zoneout": lambda i, h: LSTM(i, h, zoneout=0.1, zoneout_cell=0.3),
    "lstm projection": lambda i, h: LSTM(i, h, projection_size=h // 2),
    "lstm peephole": lambda i, h: LSTM(i, h, peephole=True),
    "lstm coupled_gates": lambda i, h: LSTM(i, h, coupled_gates=True),
    "gru layer_norm": lambda i, h: GRU(i, h, layer_norm=True),
    "gru reset before": lambda i, h: GRU(i, h, reset_after=False),
    "rnn layer_norm": lambda i, h: RNN(i, h, layer_norm=True),
    "slstm": SLSTM,
    "slstm 4 heads": lambda i, h: SLSTM(i, h, num_heads=4),
}


def main() -> None:
    """Measure all rows and write them."""
    options = arguments(__doc__).parse_args()
    keep_freed_memory()
    torch.set_num_threads(2)
    turns = 3 if options.quick else 15
    rows = [layer_row(cell, index, turns) for cell in PAIRS for index in range(len(SHAPES))]
    rows += [variants_row(turns), lengths_row(turns), long_lengths_row(turns)]
    config = {"turns": turns, "burst_s": BURST, "shapes": SHAPES}
    write("speed.recurrent_layers", rows, PROTOCOL, config, options.quick)


def training(layer: nn.Module, shape: tuple[int, int, int, int], lengths: Tensor | None = None) -> Run:
    """One forward and backward of `layer` [B, T, I] as a call."""
    T, B, I, H = shape  # noqa: E741 - the letters of the field
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, T, I, generator=generator, requires_grad=True)
    weighing = torch.randn(B, T, H, generator=generator)

    def run() -> Tensor | None:
        layer.zero_grad(set_to_none=True)
        x.grad = None
        outputs = layer(x)[0] if lengths is None else layer(x, None, lengths)[0]
        torch.autograd.backward(outputs, weighing[..., : outputs.shape[-1]])
        return x.grad

    return run


def packed(layer: nn.Module, shape: tuple[int, int, int, int], lengths: Tensor) -> Run:
    """torch.nn with packed sequences."""
    T, B, I, H = shape  # noqa: E741
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, T, I, generator=generator, requires_grad=True)
    weighing = torch.randn(B, T, H, generator=generator)

    def run() -> None:
        layer.zero_grad(set_to_none=True)
        steps = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(layer(steps)[0], batch_first=True, total_length=T)
        torch.autograd.backward(outputs, weighing)

    return run


def layer_row(cell: str, index: int, turns: int) -> Row:
    """One cell at one shape, beside its peer with the same weights."""
    shape, (make, peer) = SHAPES[index], PAIRS[cell]
    torch.manual_seed(0)
    ours, theirs = make(*shape[2:]), peer(*shape[2:], batch_first=True)
    copy_weights(theirs, ours)
    runs = {"statewise": training(ours, shape), "torch.nn": training(theirs, shape)}
    gap = relative(runs["statewise"](), runs["torch.nn"]())
    gap = max(gap, relative(ours.recurrent_weight.grad, theirs.weight_hh_l0.grad))
    gap = max(gap, relative(ours.input_weight.grad, theirs.weight_ih_l0.grad))
    found = medians(runs, turns)
    ratio, bar = found["torch.nn"] / found["statewise"], BARS[cell][index]
    return Row(
        f"layer_{cell}_{index}",
        f"nn.{peer.__name__} against Statewise, forward and backward, (T, B, I, H) = {shape}",
        f"≥ {bar}× faster, gradients equal to 1e-6",
        f"{found['statewise']:.2f} ms, {ratio:.2f}× (nn {found['torch.nn']:.2f} ms), gradients {gap:.1e}",
        ratio >= bar and gap <= 1e-6,
        {**found, "ratio": ratio, "gradient_gap": gap},
    )


def copy_weights(theirs: nn.RNNBase, ours: Any) -> None:
    """torch keeps two biases per gate; where ours is one, it is their sum."""
    weights = dict(theirs.named_parameters())
    with torch.no_grad():
        ours.input_weight.copy_(weights["weight_ih_l0"])
        ours.recurrent_weight.copy_(weights["weight_hh_l0"])
        if isinstance(ours, GRU):
            ours.input_bias.copy_(weights["bias_ih_l0"])
            ours.recurrent_bias.copy_(weights["bias_hh_l0"])
        else:
            ours.bias.copy_(weights["bias_ih_l0"] + weights["bias_hh_l0"])


def relative(got: Tensor, want: Tensor) -> float:
    """Largest difference against the largest value."""
    return float((got - want).abs().max() / want.abs().max())


def variants_row(turns: int) -> Row:
    """What torch.nn has no kernel for, beside its plain LSTM."""
    shape = SHAPES[0]
    runs = {name: training(make(*shape[2:]), shape) for name, make in VARIANTS.items()}
    found = medians({"nn.LSTM": training(nn.LSTM(*shape[2:], batch_first=True), shape), **runs}, turns)
    slowest = max(VARIANTS, key=lambda name: found[name])
    ratio = found[slowest] / found["nn.LSTM"]
    parts = ", ".join(f"{name} {found[name]:.1f}" for name in VARIANTS)
    return Row(
        "layer_variants",
        f"Variants, forward and backward, ms at {shape}, beside the plain nn.LSTM",
        "≤ 1.4× nn.LSTM, ≤ 11 ms",
        f"{parts}; nn.LSTM {found['nn.LSTM']:.1f}; slowest {ratio:.2f}×",
        ratio <= 1.4 and found[slowest] <= 11.0,
        found,
    )


def lengths_row(turns: int) -> Row:
    """Rows of T to T/4 steps, beside the padded batch and torch's packed sequences."""
    T, B, I, H = shape = SHAPES[0]  # noqa: E741
    lengths = torch.linspace(T, T / 4, B).long()
    ours, theirs = LSTM(I, H), nn.LSTM(I, H, batch_first=True)
    runs: dict[str, Run] = {
        "lengths": training(ours, shape, lengths),
        "padded": training(ours, shape),
        "nn.LSTM packed": packed(theirs, shape, lengths),
    }
    found = medians(runs, turns)
    work = float(lengths.sum()) / (T * B)
    share = found["lengths"] / found["padded"] / work
    return Row(
        "layer_lengths",
        f"LSTM with lengths T to T/4 ({work:.1%} of the steps), ms at {shape}",
        "≤ 1.1× the padded time times that share, ≤ 5.5 ms",
        f"{found['lengths']:.2f} ms = {share:.2f}× (padded {found['padded']:.2f}, "
        f"nn.LSTM packed {found['nn.LSTM packed']:.1f})",
        share <= 1.1 and found["lengths"] <= 5.5,
        {**found, "work": work, "against_work": share},
    )


def long_lengths_row(turns: int) -> Row:
    """At T = 4,000 and lengths near T, where packing is slowest."""
    shape = (4000, 8, 64, 64)
    lengths = torch.linspace(4000, 3800, 8).long()
    ours = LSTM(64, 64)
    runs = {"lengths": training(ours, shape, lengths), "padded": training(ours, shape)}
    runs["nn.LSTM padded"] = training(nn.LSTM(64, 64, batch_first=True), shape)
    found = medians(runs, turns)
    ratio = found["lengths"] / min(found["padded"], found["nn.LSTM padded"])
    return Row(
        "layer_lengths_4000",
        f"LSTM with lengths 3,800 to 4,000, ms at {shape}",
        "≤ 1.2× the padded time (ours or nn.LSTM's)",
        f"{found['lengths']:.1f} ms = {ratio:.2f}× (padded {found['padded']:.1f}, "
        f"nn.LSTM {found['nn.LSTM padded']:.1f})",
        ratio <= 1.2,
        {**found, "ratio": ratio},
    )


if __name__ == "__main__":
    main()
