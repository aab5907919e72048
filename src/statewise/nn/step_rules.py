"""How each operation of torch is said in a step program: a table from names to rules."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from statewise.nn.step_clock import Angle, Clock, counted
from statewise.nn.step_ids import Ids, embedding, gather, refused
from statewise.nn.step_values import Builder, Operand, Unknown, Value

_MOVES = frozenset(
    (
        *("view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "slice", "select"),
        *("squeeze", "unsqueeze", "unbind", "split", "split_with_sizes", "chunk", "unsafe_chunk"),
        *("unsafe_split", "cat", "stack", "clone", "alias", "detach", "contiguous", "flip", "index_select"),
        *("unfold", "repeat", "roll", "index", "gather", "lift_fresh_copy", "slice_scatter"),
        *("select_scatter", "diagonal", "_reshape_alias", "lift_fresh", "movedim"),
    )
)
_SHAPED = frozenset(
    ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty", "empty_like")
)
_MAPS = {
    **{name: name for name in ("neg", "abs", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal")},
    **{name: name for name in ("square", "sigmoid", "tanh", "relu", "silu", "erf", "sin", "cos", "floor")},
    **{name: name for name in ("isnan", "isinf", "sign", "mul", "maximum", "minimum", "gt", "ge", "lt")},
    **{name: name for name in ("le", "eq", "ne", "remainder")},
    **{"logical_not": "not", "bitwise_not": "not", "logical_and": "both", "bitwise_and": "both"},
    **{"logical_or": "either", "bitwise_or": "either"},
}
_TRUTHS = frozenset(("isnan", "isinf", "not", "both", "either", "gt", "ge", "lt", "le", "eq", "ne"))


class Lowering(fx.Interpreter):
    """Runs a graph of one step with values for tensors: what depends on weights alone is computed at once."""

    def __init__(self, module: fx.GraphModule, builder: Builder) -> None:
        super().__init__(module)
        self.builder = builder

    def run_node(self, n: fx.Node) -> Any:
        """Refuses what is written through a view: nobody reads its result, others see it. Raises Unknown."""
        if (
            n.op == "call_function"
            and not n.users
            and getattr(n.target, "__name__", "").split(".")[0].endswith("_")
        ):
            raise Unknown(f"{n.target} through a view")
        return super().run_node(n)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One node of the graph. Raises Unknown."""
        if target is operator.getitem:
            return args[0][args[1]]
        if not _changing((args, kwargs)):
            return target(*args, **kwargs)
        name = target.overloadpacket.__name__
        if "out" in kwargs:
            raise Unknown(f"{target} into a tensor")
        # The recorder follows a tensor through changes in place: what they return is what is used afterwards.
        name = name.removesuffix("_")
        if any(isinstance(one, (Clock, Angle)) for one in args) and name not in _MOVES:
            found = counted(self.builder, name, args)
            if isinstance(found, Value):
                return found
            args = tuple(found)
        elif name not in _MOVES and any(refused(one, name) for one in args):
            raise Unknown(f"{target} of whole numbers")
        if name == "gather" and isinstance(args[2], Ids):
            return gather(self.builder, self.builder.value(args[0]), *args[1:3])
        if name in _MOVES:
            return _moved(self.builder, target, args, kwargs)
        if name in _SHAPED:
            return target(*_mapped(args, lambda one: torch.zeros(one.shape, dtype=one.dtype)), **kwargs)
        if name in _MAPS:
            kind = torch.bool if _MAPS[name] in _TRUTHS else torch.float32
            return self.builder.apply(_MAPS[name], *args, dtype=kind)
        if name not in RULES:
            raise Unknown(str(target))
        return RULES[name](self.builder, *args, **kwargs)


def _changing(tree: Any) -> bool:
    if isinstance(tree, Value):
        return True
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (tuple, list)) else ()
    return any(_changing(part) for part in parts)


def _mapped(tree: Any, function: Callable[[Value], Any]) -> Any:
    if isinstance(tree, Value):
        return function(tree)
    return type(tree)(_mapped(part, function) for part in tree) if isinstance(tree, (tuple, list)) else tree


def _moved(builder: Builder, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs an operation that only moves numbers, on addresses."""
    lists = {"cat", "stack"}
    first = args[0]
    if target.overloadpacket.__name__ in lists:
        values = [builder.value(one) for one in first]
        like = values[0]
        args = ([one.ids for one in values], *args[1:])
    else:
        like = builder.value(first)
        if _changing(args[1:]) and not target.overloadpacket.__name__.endswith("_scatter"):
            raise Unknown(f"{target} with places that change")
        args = (like.ids, *(builder.value(one).ids if isinstance(one, Value) else one for one in args[1:]))
    if target.overloadpacket.__name__ in ("view", "_unsafe_view", "clone", "contiguous"):
        # Addresses may lie in another order in memory than the numbers did.
        found = args[0].reshape(args[1]) if len(args) > 1 else args[0].contiguous()
    else:
        found = target(*args, **kwargs)
    if isinstance(found, (tuple, list)):
        return [replace(like, ids=part) for part in found]
    return replace(like, ids=found)


def _scaled(b: Builder, value: Operand, scale: float) -> Operand:
    return value if scale == 1 else b.apply("mul", value, scale)


def _add(b: Builder, x: Operand, y: Operand, *, alpha: float = 1) -> Value:
    found = b.apply("add", x, _scaled(b, y, alpha))
    ids = any(isinstance(one, Ids) for one in (x, y))
    return Ids(found.ids, torch.int64) if ids else found


def _sub(b: Builder, x: Operand, y: Operand, *, alpha: float = 1) -> Value:
    return b.apply("sub", x, _scaled(b, y, alpha))


def _div(b: Builder, x: Operand, y: Operand, *, rounding_mode: str | None = None) -> Value:
    found = b.apply("div", x, y)
    if rounding_mode is None:
        return found
    if rounding_mode != "floor":
        raise Unknown(f"div with rounding_mode={rounding_mode}")
    return b.apply("floor", found)


def _pow(b: Builder, x: Operand, y: Operand) -> Value:
    if isinstance(y, (int, float)):
        named = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal", 1: "copy"}
        if y in named:
            return b.apply(named[y], x)
        if y == 3:
            return b.apply("mul", x, b.apply("square", x))
    if isinstance(x, (int, float)) and x > 0:
        return b.apply("exp", b.apply("mul", y, math.log(x)))
    raise Unknown("pow of these")


def _clamp(b: Builder, x: Value, low: Operand | None = None, high: Operand | None = None) -> Value:
    x = x if low is None else b.apply("maximum", x, low)
    return x if high is None else b.apply("minimum", x, high)


def _gelu(b: Builder, x: Value, *, approximate: str = "none") -> Value:
    if approximate == "none":
        return b.apply("gelu", x)
    cube = b.apply("mul", b.apply("square", x), x)
    inside = b.apply("mul", b.apply("fma", cube, 0.044715, x), math.sqrt(2 / math.pi))
    return b.apply("mul", b.apply("mul", x, 0.5), b.apply("add", b.apply("tanh", inside), 1.0))


def _softplus(b: Builder, x: Value, beta: float = 1, threshold: float = 20) -> Value:
    return (
        b.apply("softplus", x)
        if beta == 1
        else b.apply("div", b.apply("softplus", _scaled(b, x, beta)), beta)
    )


def _log_sigmoid(b: Builder, x: Value) -> tuple[Value, Value]:
    found = b.apply("neg", b.apply("softplus", b.apply("neg", x)))
    return found, found


def _where(b: Builder, keep: Operand, x: Operand, y: Operand) -> Value:
    if isinstance(keep, Value):
        return b.apply("where", keep, x, y)
    return Value(torch.where(torch.as_tensor(keep), b.value(x).ids, b.value(y).ids))


def _nan_to_num(
    b: Builder, x: Value, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Value:
    most = torch.finfo(torch.float32).max
    clean = b.apply("where", b.apply("isnan", x), 0.0 if nan is None else nan, x)
    return _clamp(b, clean, -most if neginf is None else neginf, most if posinf is None else posinf)


def _addcmul(b: Builder, x: Operand, y: Operand, z: Operand, *, value: float = 1) -> Value:
    return b.apply("fma", _scaled(b, y, value), z, x)


def _lerp(b: Builder, x: Operand, y: Operand, weight: Operand) -> Value:
    return b.apply("fma", weight, b.apply("sub", y, x), x)


def _glu(b: Builder, x: Value, axis: int = -1) -> Value:
    value, gate = (Value(part) for part in x.ids.chunk(2, dim=axis))
    return b.apply("mul", value, b.apply("sigmoid", gate))


def _sum(
    b: Builder, x: Value, axes: Sequence[int] | None = None, keep: bool = False, *, dtype: Any = None
) -> Value:
    return b.reduce("sum", x, axes or (), keep)


def _mean(
    b: Builder, x: Value, axes: Sequence[int] | None = None, keep: bool = False, *, dtype: Any = None
) -> Value:
    total = b.reduce("sum", x, axes or (), keep)
    return b.apply("mul", total, total.ids.numel() / x.ids.numel())


def _amax(b: Builder, x: Value, axes: Sequence[int] = (), keep: bool = False) -> Value:
    return b.reduce("max", x, axes, keep)


def _vector_norm(
    b: Builder, x: Value, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Value:
    if ord != 2:
        raise Unknown(f"linalg_vector_norm of order {ord}")
    axes = () if dim is None else (dim,) if isinstance(dim, int) else dim
    return b.apply("sqrt", b.reduce("sum", b.apply("square", x), axes, keepdim))


def _softmax(b: Builder, x: Value, axis: int, half: bool = False) -> Value:
    moved = Value(x.ids.movedim(axis, -1))
    return Value(b.along("SOFTMAX", moved).ids.movedim(-1, axis))


def _log_softmax(b: Builder, x: Value, axis: int, half: bool = False) -> Value:
    low = b.apply("sub", x, b.reduce("max", x, (axis,), True))
    return b.apply("sub", low, b.apply("log", b.reduce("sum", b.apply("exp", low), (axis,), True)))


def _logsumexp(b: Builder, x: Value, axes: Sequence[int], keep: bool = False) -> Value:
    """Minus infinity where all of a row is."""
    highest = b.reduce("max", x, axes, True)
    base = b.apply("where", b.apply("eq", highest, -math.inf), 0.0, highest)
    total = b.reduce("sum", b.apply("exp", b.apply("sub", x, base)), axes, True)
    found = b.apply("add", b.apply("log", total), base)
    dims = [axis % len(x.shape) for axis in axes]
    kept = [size for axis, size in enumerate(x.shape) if axis not in dims]
    return found if keep else Value(found.ids.reshape(kept))


def _safe_softmax(b: Builder, x: Value, axis: int, dtype: Any = None) -> Value:
    """0 where there is nothing to share: all of a row is -inf."""
    nothing = b.apply("eq", b.reduce("max", x, (axis,), True), -math.inf)
    return b.apply("where", nothing, 0.0, _softmax(b, x, axis))


def _cumsum(b: Builder, x: Value, axis: int) -> Value:
    moved = Value(x.ids.movedim(axis, -1))
    return Value(b.along("CUMSUM", moved).ids.movedim(-1, axis))


def _layer_norm(
    b: Builder, x: Value, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, epsilon: float
) -> tuple[Value, None, None]:
    flat = Value(x.ids.flatten(-len(shape)))
    return Value(b.norm(flat, weight, bias, epsilon).ids.view(x.shape)), None, None


def _mm(b: Builder, x: Operand, y: Operand) -> Value:
    if isinstance(y, Tensor) and isinstance(x, Value):
        return b.linear(x, y.t(), None)
    if isinstance(x, Tensor) and isinstance(y, Value):
        return Value(b.linear(Value(y.ids.t()), x, None).ids.t())
    assert isinstance(x, Value)
    assert isinstance(y, Value)
    return Value(b.product(Value(x.ids[None]), Value(y.ids[None])).ids[0])


def _addmm(b: Builder, bias: Operand, x: Operand, y: Operand, *, beta: float = 1, alpha: float = 1) -> Value:
    plain = beta == 1 and alpha == 1 and not (isinstance(bias, Tensor) and bias.dim() != 1)
    if plain and isinstance(bias, Tensor) and isinstance(x, Value) and isinstance(y, Tensor):
        return b.linear(x, y.t(), bias)
    return b.apply("add", _scaled(b, bias, beta), _scaled(b, _mm(b, x, y), alpha))


def _bmm(b: Builder, x: Operand, y: Operand) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        return b.product(x, y)
    parts = [_mm(b, one, two) for one, two in zip(_unbound(x), _unbound(y), strict=True)]
    return Value(torch.stack([part.ids for part in parts]))


def _unbound(x: Operand) -> list[Operand]:
    return (
        [Value(part) for part in x.ids.unbind()]
        if isinstance(x, Value)
        else list(torch.as_tensor(x).unbind())
    )


def _mv(b: Builder, x: Operand, y: Operand) -> Value:
    column = Value(y.ids[:, None]) if isinstance(y, Value) else torch.as_tensor(y)[:, None]
    return Value(_mm(b, x, column).ids[:, 0])


def _convolution(
    b: Builder,
    x: Value,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    pad: Any,
    dilation: Any,
    *rest: Any,
) -> Value:
    """A convolution of [B, D, T] along T: every window through one matrix, or channel by channel."""
    taps, groups = weight.shape[-1], rest[-1]
    depthwise = weight.shape[1] == 1 and groups == x.shape[1] == weight.shape[0]
    plain = x.ids.dim() == 3 and (list(stride), list(dilation), rest[0]) == ([1], [1], False)
    if not plain or not (depthwise or groups == 1):
        raise Unknown("aten.convolution with strides, gaps or groups, or of pictures")
    steps = _pad(b, x, (pad[0], pad[0])).ids.unfold(2, taps, 1)  # [B, D, T', taps]
    if groups == 1:
        made = b.linear(Value(steps.transpose(1, 2).flatten(2)), weight.flatten(1), bias)
        return Value(made.ids.transpose(1, 2))
    total: Operand = 0.0 if bias is None else bias[:, None]
    for tap in range(taps):
        total = b.apply("fma", Value(steps[..., tap]), weight[:, 0, tap, None], total)
    return b.value(total)


def _pad(b: Builder, x: Value, pad: Sequence[int], fill: float = 0.0) -> Value:
    return Value(torch.constant_pad_nd(x.ids, list(pad), int(b.value(fill).ids)), x.dtype)


def _cast(b: Builder, x: Value, *, dtype: torch.dtype | None = None, **rest: Any) -> Value:
    if dtype == x.dtype:
        return x
    if dtype == torch.bool and x.dtype != torch.bool:
        return b.apply("ne", x, 0.0, dtype=torch.bool)
    if dtype is not None and not dtype.is_floating_point and x.dtype.is_floating_point:
        raise Unknown(f"_to_copy to {dtype}")
    return Value(x.ids, dtype or x.dtype)


RULES: dict[str, Callable[..., Any]] = {
    "add": _add,
    "sub": _sub,
    "rsub": lambda b, x, y, alpha=1: _sub(b, y, x, alpha=alpha),
    "div": _div,
    "pow": _pow,
    "clamp": _clamp,
    "clamp_min": lambda b, x, low: _clamp(b, x, low),
    "clamp_max": lambda b, x, high: _clamp(b, x, None, high),
    "gelu": _gelu,
    "softplus": _softplus,
    "log_sigmoid_forward": _log_sigmoid,
    "where": _where,
    "masked_fill": lambda b, x, mask, value: _where(b, mask, value, x),
    "nan_to_num": _nan_to_num,
    "addcmul": _addcmul,
    "lerp": _lerp,
    "glu": _glu,
    "sum": _sum,
    "mean": _mean,
    "amax": _amax,
    "linalg_vector_norm": _vector_norm,
    "_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "_safe_softmax": _safe_softmax,
    "cumsum": _cumsum,
    "native_layer_norm": _layer_norm,
    "mm": _mm,
    "addmm": _addmm,
    "bmm": _bmm,
    "mv": _mv,
    "convolution": _convolution,
    "embedding": embedding,
    "constant_pad_nd": _pad,
    "_to_copy": _cast,
    "copy": lambda b, x, y, *rest: Value(b.value(y).ids.expand(b.value(x).shape)),
}
