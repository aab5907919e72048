"""Causal attention with rotary positions, as a recurrence whose memory is its keys and values.

With q, k, v = W x per head, R_t the rotation by the position t (Su et al. 2021, "RoFormer", equation 34):

    y_t = O Σ_s softmax_s((R_t q_t) · (R_s k_s) / √D) v_s       over s ≤ t (Vaswani et al. 2017, equation 1)
                                                                or t - window < s ≤ t (Beltagy et al. 2020)

Positions count from the first step that the state has seen; only their differences matter.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import at_least
from statewise.ops.linear import linear
from statewise.ops.window import last_inputs
from statewise.recurrence import Recurrence, check_sequence, zero_padding

_BASE = 10_000.0  # of the rotary wave lengths, as in the paper


class GrowingCache(NamedTuple):
    """All keys (rotated) and values so far, one entry per step at the left, zeros after `steps`."""

    keys: Tensor  # [B, S, heads, D], S = the largest count
    values: Tensor  # [B, S, heads, D]
    steps: Tensor  # [B] int64, how many were seen

    @property
    def growing(self) -> tuple[str, ...]:
        return ("keys", "values")


class WindowCache(NamedTuple):
    """The last `window` keys (rotated) and values, the newest at the right, zeros where there are none."""

    keys: Tensor  # [B, window, heads, D]
    values: Tensor  # [B, window, heads, D]
    steps: Tensor  # [B] int64, how many were seen


Cache = GrowingCache | WindowCache


class Attention(Recurrence):
    """Multi-head causal self-attention: x [B, T, I] to [B, T, H].

    Without `window` a step looks at all steps before it, and the memory grows with every step; with one, at
    the last `window` steps, itself included, and the memory has one size. Each head has the even number of
    features next above H / `num_heads`. Raises ShapeError, ConfigError.

    State per layer: 2 H floats per step seen (window: 2 H · window). Cost per step: O(H² + H · steps seen).
    Form: attention. Good for: exact recall of anything seen, at a price that grows; the baseline.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, num_heads: int = 4, window: int | None = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_heads = at_least(num_heads, 1, "num_heads")
        self.window = None if window is None else at_least(window, 1, "window")
        self.head_size = 2 * -(-hidden_size // (2 * num_heads))
        self.input = nn.Linear(input_size, 3 * num_heads * self.head_size, bias=False)
        self.output = nn.Linear(num_heads * self.head_size, hidden_size, bias=False)

    def initial_state(self, batch: int) -> Cache:
        """Nothing seen."""
        like = self.input.weight
        make, size = (GrowingCache, 0) if self.window is None else (WindowCache, self.window)
        empty = like.new_zeros(batch, size, self.num_heads, self.head_size)
        steps = torch.zeros(batch, dtype=torch.int64, device=like.device)
        return make(empty, torch.zeros_like(empty), steps)

    def step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        """One observation [B, I] to [B, H]."""
        y, state = self._attend(x.unsqueeze(1), state, None)
        return y.squeeze(1), state

    def forward(
        self, x: Tensor, state: Cache | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Cache]:
        """A sequence [B, T, I] to [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "attention")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        y, state = self._attend(zero_padding(x, lengths), state, lengths)
        return zero_padding(y, lengths), state

    def _attend(self, x: Tensor, state: Cache, lengths: Tensor | None) -> tuple[Tensor, Cache]:
        sizes = (3, self.num_heads, self.head_size)
        q, k, v = torch.unflatten(linear(x, self.input.weight), -1, sizes).unbind(2)
        position = state.steps.unsqueeze(1) + torch.arange(x.shape[1], device=x.device)
        turns = _turns(position, self.head_size, q)
        q, k = _rotated(q, turns), _rotated(k, turns)
        # Under autocast the products are in half precision; the memory stays in full precision.
        k, v = k.to(state.keys.dtype), v.to(state.values.dtype)
        if isinstance(state, GrowingCache):
            y, state = _over_everything(q, k, v, state, lengths)
        else:
            y, state = _over_window(q, k, v, state, lengths)
        return linear(y.flatten(2), self.output.weight), state


def _turns(position: Tensor, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, T, 1, D / 2] of the rotations at `position` [B, T]."""
    # In float64: in float32 a position of some millions would turn by a wrong angle.
    exponent = torch.arange(0, size, 2, device=like.device, dtype=torch.float64) / size
    angle = (position.unsqueeze(-1) * _BASE**-exponent).unsqueeze(2)
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def _rotated(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """x [B, T, heads, D] with each pair (i, i + D / 2) turned by its angle."""
    cosine, sine = turns
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1)


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """[B, T, heads, D] of queries over keys; `mask` [B, 1, T, S] is true where to look, None for s ≤ t."""
    q, k, v = (part.transpose(1, 2).to(v.dtype) for part in (q, k, v))
    y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    return y.transpose(1, 2)


def _over_everything(
    q: Tensor, k: Tensor, v: Tensor, state: GrowingCache, lengths: Tensor | None
) -> tuple[Tensor, GrowingCache]:
    old, time = state.keys.shape[1], k.shape[1]
    keys, values = torch.cat((state.keys, k), dim=1), torch.cat((state.values, v), dim=1)
    mask = None
    if old > 0:
        entry = torch.arange(old + time, device=k.device)
        before = entry < state.steps.unsqueeze(1)  # [B, old + time]
        causal = entry <= old + torch.arange(time, device=k.device).unsqueeze(1)
        mask = (torch.where(entry < old, before, True).unsqueeze(1) & causal).unsqueeze(1)
    y = _attention(q, keys, values, mask)
    steps = state.steps + (time if lengths is None else lengths)
    # Slot s of the new cache: an old entry, or step s - count of this sequence, or nothing yet.
    slot = torch.arange(int(steps.max()) if len(steps) else 0, device=k.device)
    source = torch.where(slot < state.steps.unsqueeze(1), slot, slot - state.steps.unsqueeze(1) + old)
    source, real = source.clamp(max=old + time - 1), slot < steps.unsqueeze(1)
    return y, GrowingCache(_entries(keys, source, real), _entries(values, source, real), steps)


def _entries(line: Tensor, source: Tensor, real: Tensor) -> Tensor:
    """line[b, source[b, s]] where `real` [B, S], else zero."""
    chosen = line.gather(1, source[..., None, None].expand(-1, -1, *line.shape[2:]))
    return torch.where(real[..., None, None], chosen, torch.zeros_like(chosen))


def _over_window(
    q: Tensor, k: Tensor, v: Tensor, state: WindowCache, lengths: Tensor | None
) -> tuple[Tensor, WindowCache]:
    """Entry window + t of `line` is step t, so that every row's steps look the same distance back."""
    window, time = state.keys.shape[1], k.shape[1]
    block = min(window, time)
    missing = -time % block
    line = (torch.cat((state.keys, k), dim=1), torch.cat((state.values, v), dim=1))
    # Blocks of queries, each over the window before it and itself: cost grows with T · window, not T².
    keys, values = (
        functional.pad(part, (0, 0, 0, 0, 0, missing)).unfold(1, window + block, block).movedim(-1, 2)
        for part in line
    )
    queries = torch.unflatten(functional.pad(q, (0, 0, 0, 0, 0, missing)), 1, (-1, block))
    now, entry = torch.arange(block, device=k.device), torch.arange(window + block, device=k.device)
    band = (entry > now.unsqueeze(1)) & (entry <= now.unsqueeze(1) + window)
    start = torch.arange(queries.shape[1], device=k.device).view(1, -1, 1) * block
    filled = entry + start >= window - state.steps.view(-1, 1, 1)  # [B, blocks, window + block]
    mask = (band & filled.unsqueeze(2)).flatten(0, 1).unsqueeze(1)
    y = _attention(queries.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1), mask)
    y = torch.unflatten(y, 0, (q.shape[0], -1)).flatten(1, 2)[:, :time]
    steps = state.steps + (time if lengths is None else lengths)
    keys, values = (last_inputs(part, window, lengths) for part in line)
    return y, WindowCache(keys, values, steps)
