# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The passes of the linear scan; a program holds a block of channels and goes through one span of time."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _place(lengths, time, channels, span, BLOCK: tl.constexpr):
    """Of this program: channels, which of them exist, where step 0 lies, first step, last, their stride."""
    row, stride = tl.program_id(0).to(tl.int64), tl.cast(channels, tl.int64)
    d = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    stop = time
    if lengths is not None:
        stop = tl.load(lengths + row).to(tl.int32)
    start = tl.program_id(1) * span
    return d, d < channels, row * time * stride + d, start, tl.minimum(start + span, stop), stride


@triton.jit
def ends(a, b, products, ends, lengths, time, channels, span, REVERSE: tl.constexpr, BLOCK: tl.constexpr):
    """The map of every span: the product of its a, and where it ends from zero."""
    d, real, origin, start, stop, stride = _place(lengths, time, channels, span, BLOCK)
    product = tl.full((BLOCK,), 1, products.dtype.element_ty)
    h = tl.zeros((BLOCK,), products.dtype.element_ty)
    for i in tl.range(0, stop - start, num_stages=4):
        t = stop - 1 - i if REVERSE else start + i
        at = origin + t * stride
        a_t = tl.load(a + at, mask=real, other=0)
        b_t = tl.load(b + at, mask=real, other=0)
        product *= a_t
        h = a_t * (h + b_t) if REVERSE else a_t * h + b_t
    at = (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)) * channels + d
    tl.store(products + at, product, mask=real)
    tl.store(ends + at, h, mask=real)


@triton.jit
def carry(products, ends, initial, starts, count, channels, REVERSE: tl.constexpr, BLOCK: tl.constexpr):
    """What comes into every span, from the maps of those before it."""
    row = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    real = d < channels
    h = tl.load(initial + row * channels + d, mask=real, other=0)
    for i in tl.range(0, count, num_stages=4):
        part = count - 1 - i if REVERSE else i
        at = (row * count + part) * channels + d
        tl.store(starts + at, h, mask=real)
        # A product of |a| > 1 may be infinite where there is nothing to multiply.
        kept = tl.where(h == 0, h, tl.load(products + at, mask=real, other=0) * h)
        h = kept + tl.load(ends + at, mask=real, other=0)


@triton.jit
def apply(a, b, starts, out, lengths, time, channels, span, BLOCK: tl.constexpr):
    """All h from what comes into every span."""
    d, real, origin, start, stop, stride = _place(lengths, time, channels, span, BLOCK)
    at = (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)) * channels + d
    h = tl.load(starts + at, mask=real, other=0)
    for t in tl.range(start, stop, num_stages=4):
        at = origin + t * stride
        h = tl.load(a + at, mask=real, other=0) * h + tl.load(b + at, mask=real, other=0)
        tl.store(out + at, h, mask=real)


@triton.jit
def apply_back(
    a, grad, h, initial, starts, grad_a, grad_b, grad_initial,
    lengths, time, channels, span, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradients of a, b and the initial state; `starts` is what comes into every span from behind."""
    d, real, origin, start, stop, stride = _place(lengths, time, channels, span, BLOCK)
    at = (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)) * channels + d
    own = tl.program_id(0).to(tl.int64) * channels + d
    flowing = tl.load(starts + at, mask=real, other=0)  # the gradient of h_t through all later steps
    for i in tl.range(0, stop - start, num_stages=4):
        t = stop - 1 - i
        at = origin + t * stride
        total = tl.load(grad + at, mask=real, other=0) + flowing
        before = tl.load(h + at - stride, mask=real & (at > origin), other=0)
        before += tl.load(initial + own, mask=real & (at == origin), other=0)
        tl.store(grad_a + at, total * before, mask=real)
        tl.store(grad_b + at, total, mask=real)
        flowing = tl.load(a + at, mask=real, other=0) * total
    if start == 0:
        tl.store(grad_initial + own, flowing, mask=real)
