# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The passes of the SSD scan; a program holds one chunk of L steps of one head.

Sizes of values and states are walked through in blocks of K, so that any size fits into the registers.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _steps(lengths, time, heads, groups, head, L: tl.constexpr):
    """Of this program: which steps are real, where they lie by head and by group, the chunk's number."""
    row = tl.program_id(0).to(tl.int64)
    stop = tl.cast(time, tl.int64)
    if lengths is not None:
        stop = tl.load(lengths + row)
    t = tl.program_id(1) * L + tl.arange(0, L)
    at = row * time + t
    chunk = (row * tl.num_programs(1) + tl.program_id(1)) * heads + head
    return t < stop, at * heads + head, at * groups + head // (heads // groups), chunk


@triton.jit
def _levels(decay, by_head, real):
    """Sums of decay from the chunk's first step, and over all of it; in float64, as they are subtracted."""
    each = tl.load(decay + by_head, mask=real, other=0).to(tl.float64)
    return tl.cumsum(each, axis=0), tl.sum(each, axis=0)


@triton.jit
def _weights(level, dtype: tl.constexpr, L: tl.constexpr):
    """exp(level_t - level_s) [t, s] for s ≤ t, else 0."""
    t = tl.arange(0, L)
    fall = (level[:, None] - level[None, :]).to(dtype)
    return tl.exp(tl.where(t[:, None] >= t[None, :], fall, float("-inf")))


@triton.jit
def _grid(pointer, rows, row_real, row_stride, columns, column_stride, size):
    """The numbers of `rows` x `columns`; zero where a row is not real or a column is not below `size`."""
    at = rows[:, None] * row_stride + columns[None, :] * column_stride
    return tl.load(pointer + at, mask=row_real[:, None] & (columns < size)[None, :], other=0)


@triton.jit
def _dot(a, b, total, PRECISION: tl.constexpr):
    return tl.dot(a, b, total, input_precision=PRECISION, out_dtype=total.dtype)


@triton.jit
def ends(
    x, keys, decay, made, fades, lengths, time, heads, groups, values, states,
    REVERSE: tl.constexpr, PRECISION: tl.constexpr, L: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """Where every chunk ends from zero [B, chunks, H, P, N], and what it keeps of what comes in.

    REVERSE: x is the gradient of y, `keys` are C, and what is made is the gradient of what comes in.
    """
    down, across = tl.cdiv(values, K), tl.cdiv(states, K)
    head, block = tl.program_id(2) // (down * across), tl.program_id(2) % (down * across)
    p, n = block // across * K + tl.arange(0, K), block % across * K + tl.arange(0, K)
    real, by_head, by_group, chunk = _steps(lengths, time, heads, groups, head, L)
    level, last = _levels(decay, by_head, real)
    dtype = made.dtype.element_ty
    weighted = _grid(x, by_head, real, values, p, 1, values)
    weighted *= tl.exp(level if REVERSE else last - level).to(dtype)[:, None]
    key = _grid(keys, by_group, real, states, n, 1, states)
    end = _dot(tl.trans(weighted), key, tl.zeros((K, K), dtype), PRECISION)
    at = (chunk * values + p[:, None]) * states + n[None, :]
    tl.store(made + at, end, mask=(p < values)[:, None] & (n < states)[None, :])
    tl.store(fades + chunk, tl.exp(last).to(dtype))


@triton.jit
def carry(
    fades, made, initial, starts, final, count, heads, size, REVERSE: tl.constexpr, BLOCK: tl.constexpr
):
    """What comes into every chunk, and what goes out of the last; the state as one line of `size` = P · N."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    i = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    own = (row * heads + head) * size + i
    state = tl.load(initial + own, mask=i < size, other=0)
    for number in tl.range(0, count, num_stages=3):
        chunk = (row * count + (count - 1 - number if REVERSE else number)) * heads + head
        tl.store(starts + chunk * size + i, state, mask=i < size)
        end = tl.load(made + chunk * size + i, mask=i < size, other=0)
        state = tl.load(fades + chunk) * state + end
    tl.store(final + own, state, mask=i < size)


@triton.jit
def reads(
    q, k, v, decay, state, out, lengths, time, heads, groups, inner, outer, inner_stride, outer_stride,
    TURNED: tl.constexpr, REVERSE: tl.constexpr, PRECISION: tl.constexpr, L: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """out_t = Σ_s weight(t, s) (q_t · k_s) v_s + what `state` answers to q_t, by head.

    With q = C, k = B, v = x that is y. The gradients of x, B and C have the same form: REVERSE reads what
    comes later instead of earlier, TURNED has q and k by head and v by group instead of the other way round.
    q and k have `inner` numbers, v and out `outer`.
    """
    blocks = tl.cdiv(outer, K)
    head, o = tl.program_id(2) // blocks, tl.program_id(2) % blocks * K + tl.arange(0, K)
    real, by_head, by_group, chunk = _steps(lengths, time, heads, groups, head, L)
    level, last = _levels(decay, by_head, real)
    dtype = out.dtype.element_ty
    state += chunk * inner * outer
    scores, answers = tl.zeros((L, L), dtype), tl.zeros((L, K), dtype)
    for first in tl.range(0, inner, K):
        i = first + tl.arange(0, K)
        query = _grid(q, by_head if TURNED else by_group, real, inner, i, 1, inner)
        key = _grid(k, by_head if TURNED else by_group, real, inner, i, 1, inner)
        held = _grid(state, i, i < inner, inner_stride, o, outer_stride, outer)
        scores = _dot(query, tl.trans(key), scores, PRECISION)
        answers = _dot(query, held, answers, PRECISION)
    weights = _weights(level, dtype, L)
    scores *= tl.trans(weights) if REVERSE else weights
    answers *= tl.exp(last - level if REVERSE else level).to(dtype)[:, None]
    value = _grid(v, by_group if TURNED else by_head, real, outer, o, 1, outer)
    answers = _dot(scores, value, answers, PRECISION)
    at = by_head[:, None] * outer + o[None, :]
    tl.store(out + at, answers, mask=real[:, None] & (o < outer)[None, :])


@triton.jit
def decays(
    x, decay, B, C, starts, backs, grad, grad_decay, lengths, time, heads, groups, values, states,
    PRECISION: tl.constexpr, L: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """The gradient of decay_t: what passes through step t, summed and never taken as a difference of sums.

    That is: written before t and read at t or later, come in and read at t or later, written before t and
    gone out, come in and gone out.
    """
    dtype = grad_decay.dtype.element_ty
    real, by_head, by_group, chunk = _steps(lengths, time, heads, groups, tl.program_id(2), L)
    level, last = _levels(decay, by_head, real)
    of_scores, scores = tl.zeros((L, L), dtype), tl.zeros((L, L), dtype)
    read, written, whole = tl.zeros((L,), dtype), tl.zeros((L,), dtype), tl.zeros((K,), dtype)
    for first in tl.range(0, values, K):
        p = first + tl.arange(0, K)
        value = _grid(x, by_head, real, values, p, 1, values)
        of_y = _grid(grad, by_head, real, values, p, 1, values)
        of_scores = _dot(of_y, tl.trans(value), of_scores, PRECISION)
        from_start, from_back = tl.zeros((L, K), dtype), tl.zeros((L, K), dtype)
        for then in tl.range(0, states, K):
            n = then + tl.arange(0, K)
            cells = (chunk * values + p[None, :]) * states + n[:, None]
            mask = (n < states)[:, None] & (p < values)[None, :]
            start = tl.load(starts + cells, mask=mask, other=0)
            back = tl.load(backs + cells, mask=mask, other=0)
            query = _grid(C, by_group, real, states, n, 1, states)
            key = _grid(B, by_group, real, states, n, 1, states)
            from_start = _dot(query, start, from_start, PRECISION)
            from_back = _dot(key, back, from_back, PRECISION)
            whole += tl.sum(start * back, axis=0)
        read += tl.sum(of_y * from_start, axis=1)
        written += tl.sum(value * from_back, axis=1)
    for first in tl.range(0, states, K):
        n = first + tl.arange(0, K)
        query = _grid(C, by_group, real, states, n, 1, states)
        key = _grid(B, by_group, real, states, n, 1, states)
        scores = _dot(query, tl.trans(key), scores, PRECISION)
    read *= tl.exp(level).to(dtype)
    written *= tl.exp(last - level).to(dtype)
    through = scores * of_scores * _weights(level, dtype, L)
    t = tl.arange(0, L)
    earlier = t[:, None] < t[None, :]
    passed = _dot(through, earlier.to(dtype), tl.zeros((L, L), dtype), PRECISION)
    passed = tl.where(earlier, written[:, None], passed + read[:, None])
    of_decay = tl.sum(passed, axis=0) + tl.exp(last).to(dtype) * tl.sum(whole, axis=0)
    tl.store(grad_decay + by_head, of_decay, mask=real)
