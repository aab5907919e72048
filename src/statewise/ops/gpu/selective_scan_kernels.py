# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The passes of the selective scan; a program holds a block of channels times all N of the state."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _channels(A, bias, channels, size, BLOCK: tl.constexpr, STATES: tl.constexpr):
    """Of this program: channels d, states n, which exist, offsets [d, n], A, and the bias of Δ."""
    d = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    n = tl.arange(0, STATES)
    both = (d < channels)[:, None] & (n < size)[None, :]
    cells = d[:, None] * size + n[None, :]
    rates = tl.load(A + cells, mask=both, other=0)
    shift = tl.zeros((BLOCK,), rates.dtype)
    if bias is not None:
        shift = tl.load(bias + d, mask=d < channels, other=0)
    return d, n, both, cells, rates, shift


@triton.jit
def _steps(lengths, time, span):
    """The first and the last step of this program, in the sequence laid out as [B · T]."""
    row = tl.program_id(0).to(tl.int64)
    stop = tl.cast(time, tl.int64)
    if lengths is not None:
        stop = tl.load(lengths + row)
    start = tl.program_id(1).to(tl.int64) * span
    return row * time + start, row * time + tl.minimum(start + span, stop)


@triton.jit
def _softplus(x):
    """log(1 + exp x), exact where exp x is small (Kahan's log1p), x itself above 20 as torch has it."""
    e = tl.exp(tl.minimum(x, 20.0))
    u = 1 + e
    small = u == 1
    return tl.where(x > 20, x, tl.where(small, e, tl.log(u) * (e / tl.where(small, 1, u - 1))))


@triton.jit
def spans(
    u, delta, A, B, bias, ends, totals, lengths, time, channels, size, span,
    SOFTPLUS: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Where every span ends from zero [B, spans, D, N], and the sum of its Δ [B, spans, D]."""
    d, n, both, cells, rates, shift = _channels(A, bias, channels, size, BLOCK, STATES)
    start, stop = _steps(lengths, time, span)
    state = tl.zeros((BLOCK, STATES), rates.dtype)
    total = tl.zeros((BLOCK,), rates.dtype)
    for t in tl.range(start, stop, num_stages=3):
        step = tl.load(delta + t * channels + d, mask=d < channels, other=0) + shift
        step = _softplus(step) if SOFTPLUS else step
        write = step * tl.load(u + t * channels + d, mask=d < channels, other=0)
        key = tl.load(B + t * size + n, mask=n < size, other=0)
        state = tl.exp(step[:, None] * rates) * state + write[:, None] * key[None, :]
        total += step
    at = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    tl.store(ends + at * channels * size + cells, state, mask=both)
    tl.store(totals + at * channels + d, total, mask=d < channels)


@triton.jit
def spans_back(
    delta, A, C, gate, bias, grad, ends, lengths, time, channels, size, span,
    SOFTPLUS: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """The gradient of the state before every span through the span's own outputs [B, spans, D, N]."""
    d, n, both, cells, rates, shift = _channels(A, bias, channels, size, BLOCK, STATES)
    start, stop = _steps(lengths, time, span)
    flowing = tl.zeros((BLOCK, STATES), rates.dtype)
    for i in tl.range(0, stop - start, num_stages=3):
        t = stop - 1 - i
        step = tl.load(delta + t * channels + d, mask=d < channels, other=0) + shift
        step = _softplus(step) if SOFTPLUS else step
        of_y = tl.load(grad + t * channels + d, mask=d < channels, other=0)
        if gate is not None:
            g = tl.load(gate + t * channels + d, mask=d < channels, other=0)
            of_y *= g * tl.sigmoid(g)
        query = tl.load(C + t * size + n, mask=n < size, other=0)
        flowing = tl.exp(step[:, None] * rates) * (flowing + of_y[:, None] * query[None, :])
    at = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    tl.store(ends + at * channels * size + cells, flowing, mask=both)


@triton.jit
def carry(
    A, totals, ends, initial, starts, final, count, channels, size,
    REVERSE: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """What comes into every span, and what goes out of the last: a span fades by exp(A · its sum of Δ)."""
    d, _, both, cells, rates, _ = _channels(A, None, channels, size, BLOCK, STATES)
    row = tl.program_id(0).to(tl.int64)
    whole = tl.cast(channels, tl.int64) * size
    state = tl.load(initial + row * whole + cells, mask=both, other=0)
    for i in tl.range(0, count, num_stages=3):
        at = row * count + (count - 1 - i if REVERSE else i)
        tl.store(starts + at * whole + cells, state, mask=both)
        total = tl.load(totals + at * channels + d, mask=d < channels, other=0)
        end = tl.load(ends + at * whole + cells, mask=both, other=0)
        state = tl.exp(total[:, None] * rates) * state + end
    tl.store(final + row * whole + cells, state, mask=both)


@triton.jit
def outputs(
    u, delta, A, B, C, D, gate, bias, starts, y, lengths, time, channels, size, span,
    SOFTPLUS: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """y of every span from the state that comes into it."""
    d, n, both, cells, rates, shift = _channels(A, bias, channels, size, BLOCK, STATES)
    real = d < channels
    start, stop = _steps(lengths, time, span)
    at = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    state = tl.load(starts + at * channels * size + cells, mask=both, other=0)
    through = tl.load(D + d, mask=real, other=0)
    for t in tl.range(start, stop, num_stages=3):
        step = tl.load(delta + t * channels + d, mask=real, other=0) + shift
        step = _softplus(step) if SOFTPLUS else step
        value = tl.load(u + t * channels + d, mask=real, other=0)
        key = tl.load(B + t * size + n, mask=n < size, other=0)
        query = tl.load(C + t * size + n, mask=n < size, other=0)
        state = tl.exp(step[:, None] * rates) * state + (step * value)[:, None] * key[None, :]
        out = tl.sum(state * query[None, :], axis=1) + through * value
        if gate is not None:
            g = tl.load(gate + t * channels + d, mask=real, other=0)
            out *= g * tl.sigmoid(g)
        tl.store(y + t * channels + d, out, mask=real)


@triton.jit
def gradients(
    u, delta, A, B, C, D, gate, bias, starts, backs, grad, kept,
    grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_gate,
    first, lengths, time, channels, size, span,
    SOFTPLUS: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """All gradients of the spans from `first` on: the states are computed again into `kept`, then read back.

    What is summed over time or channels is written as a part per program and summed later, so that the result
    does not depend on the order in which programs run.
    """
    d, n, both, cells, rates, shift = _channels(A, bias, channels, size, BLOCK, STATES)
    real = d < channels
    row, part = tl.program_id(0).to(tl.int64), first + tl.program_id(1)
    count = tl.cdiv(time, span)
    stop = tl.cast(time, tl.int64)
    if lengths is not None:
        stop = tl.load(lengths + row)
    start = row * time + part * span
    stop = row * time + tl.minimum((part + 1) * span, stop)
    at = (row * count + part) * channels * size + cells
    state = tl.load(starts + at, mask=both, other=0)
    program = (row * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(2) + tl.program_id(2)
    own = tl.arange(0, BLOCK)[:, None] * STATES + n[None, :]
    kept += program * span * BLOCK * STATES + own
    for t in tl.range(start, stop, num_stages=3):
        tl.store(kept + (t - start) * BLOCK * STATES, state)  # the state before step t
        step = tl.load(delta + t * channels + d, mask=real, other=0) + shift
        step = _softplus(step) if SOFTPLUS else step
        write = step * tl.load(u + t * channels + d, mask=real, other=0)
        key = tl.load(B + t * size + n, mask=n < size, other=0)
        state = tl.exp(step[:, None] * rates) * state + write[:, None] * key[None, :]
    tl.debug_barrier()  # other threads of the program may read what was written

    through = tl.load(D + d, mask=real, other=0)
    flowing = tl.load(backs + at, mask=both, other=0)
    of_A = tl.zeros((BLOCK, STATES), rates.dtype)
    of_D = tl.zeros((BLOCK,), rates.dtype)
    for i in tl.range(0, stop - start, num_stages=3):
        t = stop - 1 - i
        before = tl.load(kept + (t - start) * BLOCK * STATES)
        raw = tl.load(delta + t * channels + d, mask=real, other=0) + shift
        step = _softplus(raw) if SOFTPLUS else raw
        value = tl.load(u + t * channels + d, mask=real, other=0)
        key = tl.load(B + t * size + n, mask=n < size, other=0)
        query = tl.load(C + t * size + n, mask=n < size, other=0)
        of_y = tl.load(grad + t * channels + d, mask=real, other=0)
        fade = tl.exp(step[:, None] * rates)
        state = fade * before + (step * value)[:, None] * key[None, :]
        if gate is not None:
            g = tl.load(gate + t * channels + d, mask=real, other=0)
            open_ = tl.sigmoid(g)
            out = tl.sum(state * query[None, :], axis=1) + through * value
            tl.store(grad_gate + t * channels + d, of_y * out * open_ * (1 + g * (1 - open_)), mask=real)
            of_y *= g * open_
        total = flowing + of_y[:, None] * query[None, :]
        flowing = fade * total
        of_fade = flowing * before
        of_key = tl.sum(total * key[None, :], axis=1)
        of_step = tl.sum(of_fade * rates, axis=1) + of_key * value
        if SOFTPLUS:
            of_step *= tl.where(raw > 20, 1, tl.sigmoid(raw))
        tl.store(grad_delta + t * channels + d, of_step, mask=real)
        tl.store(grad_u + t * channels + d, of_key * step + of_y * through, mask=real)
        line = (tl.program_id(2).to(tl.int64) * tl.num_programs(0) * time + t) * size + n
        tl.store(grad_B + line, tl.sum(total * (step * value)[:, None], axis=0), mask=n < size)
        tl.store(grad_C + line, tl.sum(of_y[:, None] * state, axis=0), mask=n < size)
        of_A += of_fade * step[:, None]
        of_D += of_y * value
    tl.store(grad_A + at, of_A, mask=both)
    tl.store(grad_D + (row * count + part) * channels + d, of_D, mask=real)
