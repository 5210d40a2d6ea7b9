"""Random statements that go over elements: functions, arithmetic, reductions, cumulative ops and sorting.

Operands are kept inside the domain of a function and away from its edge, where rounding decides.
"""

import math

from scope import NoFit, Scope, Variable, broadcast, replaced

ANYWHERE = """sin cos tanh sigmoid softplus relu relu6 silu elu log_sigmoid square abs atan asinh erf erfc
neg sinc cbrt gelu leaky_relu integer_pow sign floor ceil round""".split()
GROWING = "exp exp2 expm1 sinh cosh".split()
POSITIVE = "log sqrt rsqrt reciprocal log1p log2 lgamma digamma acosh".split()
BOUNDED = "asin acos atanh erf_inv tan".split()


def function(scope: Scope) -> None:
    if scope.is_complex:
        return _complex_function(scope)
    x, op = scope.pick(), scope.rng.choice(ANYWHERE + GROWING + POSITIVE + BOUNDED)
    attrs = {}
    if op in GROWING:
        x = scope.unary("tanh", x)
    elif op in POSITIVE:
        x = scope.binary("add", scope.unary("square", x), 1.25)
    elif op in BOUNDED:
        x = scope.binary("mul", scope.unary("tanh", x), 0.75)
    elif op == "gelu":
        attrs = {"approximate": scope.chance(0.5)}
    elif op == "leaky_relu":
        attrs = {"alpha": 0.1}
    elif op == "integer_pow":
        attrs = {"n": scope.rng.randint(0, 3)}
    scope.unary(op, x, **attrs)


def _off_cuts(scope: Scope, x: Variable) -> Variable:
    """Away from 0 and from the cuts of complex functions."""
    return scope.binary("add", scope.binary("mul", x, 0.2), scope.constant((), entries=[[1.7, 0.6]]))


def _complex_function(scope: Scope) -> None:
    x = scope.pick()
    parts, whole = (
        "real imag abs angle".split(),
        "sin cos tanh exp square conj neg sinh cosh integer_pow".split(),
    )
    cut = "sqrt log asin atan asinh reciprocal log1p".split()
    op = scope.rng.choice(["parts"] * 3 + whole + cut)
    if op == "parts":
        real = "float64" if x.dtype == "complex128" else "float32"
        halves = [scope.emit(scope.rng.choice(parts), [x], (real, x.shape)) for _ in range(2)]
        scope.emit("complex", halves, (x.dtype, x.shape))
    elif op in cut:
        scope.unary(op, _off_cuts(scope, x))
    else:
        scope.unary(op, x, **({"n": scope.rng.choice([2, 3])} if op == "integer_pow" else {}))


def arithmetic(scope: Scope) -> None:
    x, y = scope.pick_pair()
    if scope.is_complex:
        return _complex_arithmetic(scope, x, y)
    ops = "add sub mul mul div maximum minimum atan2 rem logaddexp hypot xlogy pow where clip where"
    op = scope.rng.choice(ops.split())
    if op in ("div", "xlogy"):
        y = scope.binary("add", scope.unary("square", y), 0.5)
    elif op == "rem":
        y = scope.binary("add", scope.unary("abs", y), 0.8)
    elif op == "pow":
        x, y = scope.binary("add", scope.unary("square", x), 0.5), scope.unary("tanh", y)
    elif op == "where":
        return _where(scope, x, y)
    elif op == "clip":
        bounds = [y, scope.binary("add", y, 0.9)]
        scope.emit("clip", [x, *bounds], (x.dtype, broadcast(x.shape, y.shape)))
        return
    scope.binary(op, x, y)


def _where(scope: Scope, x: Variable, y: Variable) -> None:
    compared = scope.rng.choice(["lt", "le", "gt", "ge"])
    mask = scope.emit(compared, [x, y], ("bool", broadcast(x.shape, y.shape)))
    if scope.chance(0.2):
        mask = scope.unary("logical_not", mask)
    z, _ = scope.pick_pair()
    shape = broadcast(mask.shape, y.shape, z.shape)
    if math.prod(shape) > 64:
        raise NoFit
    scope.emit("where", [mask, y, z], (x.dtype, shape))


def _complex_arithmetic(scope: Scope, x: Variable, y: Variable) -> None:
    op = scope.rng.choice("add sub mul mul div pow where".split())
    if op == "div":
        y = _off_cuts(scope, y)
    elif op == "pow":
        x, y = _off_cuts(scope, x), scope.binary("mul", y, 0.4)
    elif op == "where":
        mask = scope.constant(y.shape, "bool")
        scope.emit("where", [mask, x, y], (x.dtype, broadcast(x.shape, y.shape)))
        return
    scope.binary(op, x, y)


def reduction(scope: Scope) -> None:
    x = scope.pick_filled()
    dims = scope.pick_dims(x)
    ops = (
        "sum mean prod logsumexp"
        if scope.is_complex
        else "sum mean prod max min logsumexp var std norm median"
    )
    op = scope.rng.choice(ops.split())
    count = math.prod(x.shape[dim] for dim in dims)
    attrs = {}
    if op in ("std", "norm") and count < 2:
        op = "var"
    if op in ("var", "std") and count > 1:
        attrs = {"ddof": scope.rng.choice([0, 1])}
    if op in ("norm", "std"):
        # Neither has a derivative at 0.
        x = scope.binary("add", x, scope.constant(x.shape))
    keepdims = scope.chance(0.4)
    kept = [1 if dim in dims else size for dim, size in enumerate(x.shape) if keepdims or dim not in dims]
    axes = [scope.signed(dim, x.rank) for dim in dims]
    scope.emit(op, [x], (x.dtype, kept), axes=axes, keepdims=keepdims or None, **attrs)


def cumulative(scope: Scope) -> None:
    x = scope.pick(lambda variable: variable.rank)
    running = "cumsum cumprod" if scope.is_complex else "cumsum cumprod cummax cumlogsumexp"
    ops = running.split() + ([] if scope.is_complex else "softmax log_softmax sort".split())
    op, axis = scope.rng.choice(ops), scope.signed(scope.pick_dim(x), x.rank)
    reverse = scope.chance(0.5) if op.startswith("cum") else None
    scope.unary(op, x, axis=axis, reverse=reverse)


def order(scope: Scope) -> None:
    if scope.is_complex:
        raise NoFit
    x = scope.pick_filled()
    dim, op = scope.pick_dim(x), scope.rng.choice("top_k argsort argmax argmin".split())
    if op == "top_k":
        count = scope.rng.randint(1, x.shape[-1])
        shape = replaced(x.shape, x.rank - 1, count)
        scope.emit(op, [x], (x.dtype, shape), ("int32", shape), k=count)
    elif op == "argsort":
        places = scope.emit(op, [x], ("int64", x.shape), axis=dim)
        scope.emit("take_along_axis", [scope.shaped(x.shape), places], (x.dtype, x.shape), axis=dim)
    else:
        place = scope.emit(op, [x], ("int64", replaced(x.shape, dim)), axis=dim)
        size = x.shape[dim]
        scope.emit("one_hot", [place], (x.dtype, (*place.shape, size)), n=size, dtype=x.dtype)
